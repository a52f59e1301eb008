"""Dirty values met in real headers, and properties that hold for any text."""

from __future__ import annotations

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdout import normalise
from holdout.normalise import UNKNOWN

ANY = st.none() | st.text(max_size=300)


@pytest.mark.parametrize(
    ("raw", "years"),
    [
        ("045Y", 45.0),
        ("45y ", 45.0),
        ("006M", 0.5),
        ("000D", 0.0),
        ("100Y", 100.0),
        ("000Y", None),
        ("0Y", None),
        ("***", None),
        ("045", None),
        ("45 years", None),
        ("999Y", None),
        ("-12Y", None),
        ("", None),
        (None, None),
    ],
)
def test_ages(raw: str | None, years: float | None) -> None:
    assert normalise.age_years(raw) == years


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("M", "M"),
        ("f ", "F"),
        ("O", "O"),
        ("Female", "F"),
        *((raw, UNKNOWN) for raw in ("0000", "N/A", "?", "Ã\x83Â¤", "MF", "", None, "W")),
    ],
)
def test_sexes(raw: str | None, expected: str) -> None:
    assert normalise.sex(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("20200229", "2020-02-29"),
        ("1997.06.09", "1997-06-09"),
        ("20210229", UNKNOWN),
        ("00010101", UNKNOWN),
        ("19000101", UNKNOWN),
        ("2020.0101", UNKNOWN),
        ("20200000", UNKNOWN),
        ("20200101-20200131", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_dates(raw: str, expected: str) -> None:
    assert normalise.date(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("SIEMENS ", "SIEMENS"),
        ("GE  MEDICAL\x00 SYSTEMS", "GE MEDICAL SYSTEMS"),
        ("N/A", UNKNOWN),
        ("***", UNKNOWN),
        ("0000", UNKNOWN),
        ("Anonymized", UNKNOWN),
        ("not available", UNKNOWN),
        ("Zentrum f\ufffdr Radiologie", UNKNOWN),
        ("Zentrum für Radiologie", "Zentrum für Radiologie"),
        ("0", "0"),
    ],
)
def test_texts(raw: str, expected: str) -> None:
    assert normalise.text(raw) == expected


@pytest.mark.parametrize(
    ("raw", "component", "expected"),
    [
        ("1.5", None, 1.5),
        (" 120 ", None, 120.0),
        ("120\\120", None, 120.0),
        ("120\\80", None, None),
        ("1,5", None, None),
        ("1A", None, None),
        ("0", None, None),
        ("-1", None, None),
        ("nan", None, None),
        ("1e400", None, None),
        ("0.5\\0.7", 0, 0.5),
        ("0.5\\0.7", 1, 0.7),
        ("0.5", 1, None),
        ("1e-1", None, 0.1),
        ("1_0", None, None),
        ("１２", None, None),
    ],
)
def test_numbers(raw: str, component: int | None, expected: float | None) -> None:
    assert normalise.number(raw, component=component, positive=True, maximum=1000) == expected


def test_codes_and_closed_sets() -> None:
    assert normalise.code(" chest ") == "CHEST"
    assert normalise.code("ABDOMEN\\PELVIS") == "ABDOMEN/PELVIS"
    assert normalise.code("胸部") == UNKNOWN
    assert normalise.laterality("l") == "L"
    assert normalise.laterality("LEFT") == UNKNOWN
    assert normalise.yes_no("yes") == "YES"
    assert normalise.compression("01") == "01"
    assert normalise.integer("512") == 512
    assert normalise.integer("512\\512") is None
    assert normalise.integer("-1") is None


def test_long_identifiers_stay_apart() -> None:
    first, second = "9" * 1024 + "1", "9" * 1024 + "2"
    assert len(normalise.identifier(first)) < 128
    assert normalise.identifier(first) != normalise.identifier(second)
    assert normalise.identifier(" 12\0") == "12"
    assert normalise.identifier(None) == UNKNOWN


def test_age_from_dates() -> None:
    assert normalise.years_between("1980-01-01", "2020-01-01") == pytest.approx(40, abs=0.01)
    assert normalise.years_between("2020-01-02", "2020-01-01") is None
    assert normalise.years_between(UNKNOWN, "2020-01-01") is None


@given(ANY)
def test_any_text_comes_out_storable_and_final(raw: str | None) -> None:
    for function in (normalise.text, normalise.code, normalise.identifier, normalise.sex, normalise.date):
        value = function(raw)
        assert value
        value.encode("utf-8")
        if function is not normalise.date:
            assert function(value) == value
    shortened = normalise.shortened(raw)
    assert shortened is None or len(shortened) <= normalise.LONGEST_RAW + 1


@given(ANY)
def test_numbers_are_finite_and_within_bounds(raw: str | None) -> None:
    value = normalise.number(raw, component=None, positive=True, maximum=10)
    assert value is None or (math.isfinite(value) and 0 < value <= 10)
    years = normalise.age_years(raw)
    assert years is None or 0 <= years <= normalise.OLDEST_YEARS


@given(st.floats(min_value=1e-6, max_value=999, allow_nan=False))
def test_every_decimal_string_comes_through(value: float) -> None:
    assert normalise.number(f"{value:.9e}", component=None, positive=True, maximum=1000) == float(
        f"{value:.9e}"
    )


@given(st.dates(min_value=datetime.date(1902, 1, 1), max_value=datetime.date(2098, 12, 31)))
def test_every_real_date_comes_through(date: datetime.date) -> None:
    assert normalise.date(date.strftime("%Y%m%d")) == date.isoformat()


@given(st.integers(min_value=1, max_value=125))
def test_every_real_age_comes_through(years: int) -> None:
    assert normalise.age_years(f"{years:03d}Y") == years
