"""The order of the files of a case."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdout.slice_order import Slice, in_order, numbers, whole_number

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def one(path, number=None, place=None, orientation=AXIAL, series="1.2"):
    position = None if place is None else (-100.0, -90.0, float(place))
    return Slice(
        path=path,
        series=series,
        number=number,
        position=position,
        orientation=None if place is None else orientation,
    )


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_places_decide_whatever_the_numbers_and_names_say(names, given_numbers):
    slices = [
        one(f"{name}.dcm", number, 2.5 * place)
        for place, (name, number) in enumerate(zip(names, given_numbers, strict=True))
    ]
    shuffled = sorted(slices, key=lambda each: each.path)
    assert in_order(shuffled) == [each.path for each in slices]


def test_oblique_slices_are_ordered_along_their_own_normal():
    # Coronal: rows run along x, columns along -z, so the normal is +y (1,0,0) x (0,0,-1) = (0,1,0).
    coronal = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    slices = [
        Slice(path=f"{y}", series="1", number=None, position=(0.0, float(y), 5.0), orientation=coronal)
        for y in (30, -10, 7)
    ]
    assert in_order(slices) == ["-10", "7", "30"]


@pytest.mark.parametrize(
    "slices",
    [
        pytest.param([one("a", 2, 0), one("b", 1, 0), one("c", 3, 5)], id="two phases of one place"),
        pytest.param(
            [one("a", 2, 0), one("b", 1, 9, SAGITTAL), one("c", 3, 5)], id="localiser in two planes"
        ),
        pytest.param([one("a", 2, 0), one("b", 1), one("c", 3, 5)], id="one without a place"),
        pytest.param([one("a", 2), one("b", 1), one("c", 3)], id="no geometry"),
    ],
)
def test_numbers_decide_where_places_do_not(slices):
    for order in itertools.permutations(slices):
        assert in_order(order) == ["b", "a", "c"]


def test_what_has_no_number_comes_last_and_series_stay_together():
    slices = [one("x", None, series="2"), one("d", -3, series="2"), one("a", 10), one("b", 9)]
    assert in_order(slices) == ["b", "a", "d", "x"]


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), ("-3", -3), ("+7", 7), ("", None), ("1.5", None), ("\u0663", None)]
)
def test_integer_strings(text, value):
    assert whole_number(text) == value


@pytest.mark.parametrize("text", ["", "1\\2", "1\\2\\x", "1\\2\\nan", "1\\2\\3\\4"])
def test_what_is_not_a_place(text):
    assert numbers(text, 3) is None
