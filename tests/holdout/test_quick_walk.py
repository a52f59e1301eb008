"""The quick walk and pydicom, the reader of record, give the same row: on every real file and on generated ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from holdout import headers
from holdout.elements import OddDataSetError
from holdout.headers import ReadLimits, Row, read_header
from tests.holdout.dicom_files import dicom_file
from tests.holdout.zoo import ZOO, manifest, needs_zoo

LIMITS = ReadLimits()
NATIVE = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def row_of(path: Path) -> Row:
    return read_header(str(path.parent), path.name, LIMITS)


@contextmanager
def without_quick_walk() -> Iterator[None]:
    """Every file is odd: pydicom reads it."""

    def odd(*_: Any, **__: Any) -> Any:
        raise OddDataSetError("is not walked here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headers, "walk_file", odd)
        patch.setattr(headers, "walk_data_set", odd)
        yield


@contextmanager
def counting_pydicom(read: list[str]) -> Iterator[None]:
    """Note each data set that pydicom had to read."""
    from holdout import pydicom_reader

    def noted(name: str) -> Any:
        original = getattr(pydicom_reader, name)

        def call(*arguments: Any) -> Any:
            read.append(name)
            return original(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("read_file", "read_inflated"):
            patch.setattr(pydicom_reader, name, noted(name))
        yield


@needs_zoo
def test_every_file_of_the_zoo_has_the_same_row_either_way() -> None:
    walked = 0
    for entry in manifest():
        path = ZOO / entry["file"]
        read: list[str] = []
        with counting_pydicom(read):
            quick = row_of(path)
        if read:
            continue
        walked += 1
        with without_quick_walk():
            assert row_of(path) == quick, entry["file"]
    assert walked > 430


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), max_size=20).map(
    str.strip
)
NUMBERS = st.sampled_from(["1", "0.5", "12.25", " 3 ", "-1", "nan", "1e3", ""])
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "PatientAge": st.sampled_from(["042Y", "003M", "000Y", "***", ""]),
        "PatientSex": st.sampled_from(["M", "F", "O", "?", ""]),
        "PatientBirthDate": st.sampled_from(["19700101", "18000101", ""]),
        "StudyDate": st.sampled_from(["20200229", "20210229", "2020"]),
        "Manufacturer": TEXT,
        "StudyDescription": TEXT,
        "InstitutionName": st.sampled_from(["Universitätsklinik", "北里大学病院", "plain"]),
        "KVP": NUMBERS,
        "SliceThickness": NUMBERS,
        "PixelSpacing": st.lists(st.sampled_from(["0.5", "0.25"]), min_size=1, max_size=3),
        "NumberOfFrames": st.sampled_from([None, 1, 2]),
        "ImageLaterality": st.sampled_from(["L", "R", "X"]),
        "Rows": st.sampled_from([4, 0, 400]),
    },
)
SHAPES = st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2))


def nested(undefined: bool, items: int, depth: int) -> Sequence:
    """Items with a private element, a measure and as much nesting as asked for."""
    made = []
    for number in range(items):
        item = Dataset()
        item.SliceThickness = str(number + 2)
        item.add_new(0x00091001, "OB", b"\0" * 6)
        if depth:
            # Pixel Measures: what is read of the functional groups.
            item.add_new(0x00289110, "SQ", nested(undefined, items, depth - 1))
            item[0x00289110].is_undefined_length = undefined
        item.is_undefined_length_sequence_item = undefined
        made.append(item)
    return Sequence(made)


@settings(max_examples=150, deadline=None)
@given(
    syntax=st.sampled_from(NATIVE),
    attributes=ATTRIBUTES,
    shape=SHAPES,
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
def test_generated_files_have_the_same_row_either_way(
    syntax: str, attributes: dict[str, Any], shape: tuple[bool, int, int], cut: float | None
) -> None:
    undefined, items, depth = shape
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "InstitutionName" in attributes:
            attributes = {"SpecificCharacterSet": "ISO_IR 192"} | attributes
        path = dicom_file(
            Path(folder) / "a.dcm", syntax, **{k: v for k, v in attributes.items() if v is not None}
        )
        dataset = pydicom.dcmread(path)
        for tag in (0x00081140, 0x52009229, 0x52009230):
            dataset.add_new(tag, "SQ", nested(undefined, items, depth))
            dataset[tag].is_undefined_length = undefined
        dataset.save_as(path)
        if cut is not None:
            content = path.read_bytes()
            path.write_bytes(content[: int(cut * len(content))])
        read: list[str] = []
        with counting_pydicom(read):
            quick = row_of(path)
        with without_quick_walk():
            by_pydicom = row_of(path)
    if not read:
        assert quick == by_pydicom
    else:
        assert cut is not None
