"""Spacing and thickness of multi-frame objects come from their functional groups (PS3.3, C.7.6.16)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from holdout import pydicom_reader
from holdout.attributes import row_columns
from holdout.headers import ReadLimits, read_header
from tests.holdout.dicom_files import dicom_file
from tests.holdout.zoo import ZOO, manifest, needs_zoo

COLUMNS = ("pixel_spacing_row_raw", "slice_thickness_raw")


def measures_of_row(path: Path) -> tuple[Any, ...]:
    row = dict(zip(row_columns(), read_header(str(path.parent), path.name, ReadLimits()), strict=True))
    return tuple(row[column] for column in COLUMNS)


def measures_in(dataset: Dataset) -> tuple[str | None, str | None]:
    """What pydicom shows, looked up attribute by attribute."""
    places = [dataset]
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = dataset.get(keyword)
        if groups and groups[0].get("PixelMeasuresSequence"):
            places.append(groups[0].PixelMeasuresSequence[0])
    found: list[str | None] = []
    for keyword in ("PixelSpacing", "SliceThickness"):
        value = next((place[keyword].value for place in places if keyword in place), None)
        if value is not None and keyword == "PixelSpacing":
            value = "\\".join(map(str, value))
        found.append(None if value is None else str(value))
    return found[0], found[1]


@needs_zoo
def test_every_multi_frame_object_of_the_zoo_has_the_measures_that_pydicom_shows() -> None:
    compared = 0
    for entry in manifest():
        if entry["kind"] != "real" or entry["pydicom_read"] != "ok":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(ZOO / entry["file"], stop_before_pixels=True, force=True)
        if "SharedFunctionalGroupsSequence" in dataset:
            assert measures_of_row(ZOO / entry["file"]) == measures_in(dataset), entry["file"]
            compared += 1
    assert compared > 40


def groups(spacing: str | None, thickness: str | None, *, undefined: bool) -> Sequence:
    measures, frame = Dataset(), Dataset()
    if spacing is not None:
        measures.PixelSpacing = spacing
    if thickness is not None:
        measures.SliceThickness = thickness
    frame.PixelMeasuresSequence = [measures]
    # A second frame that says otherwise: the first one counts.
    other = Dataset()
    other.PixelMeasuresSequence = [Dataset()]
    other.PixelMeasuresSequence[0].PixelSpacing = r"9\9"
    for item in (measures, frame, other):
        item.is_undefined_length_sequence_item = undefined
    return Sequence([frame, other])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(
    ("top", "shared", "per_frame", "expected"),
    [
        ((None, None), (r"0.5\0.5", "3"), (r"0.7\0.7", "4"), (r"0.5\0.5", "3")),
        ((None, None), (None, None), (r"0.7\0.7", "4"), (r"0.7\0.7", "4")),
        ((r"0.2\0.2", None), (r"0.5\0.5", "3"), (None, None), (r"0.2\0.2", "3")),
        ((None, None), (None, "3"), (r"0.7\0.7", "4"), (r"0.7\0.7", "3")),
        ((None, "1"), (None, None), (None, None), (None, "1")),
    ],
)
def test_the_top_level_comes_first_then_all_frames_then_the_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    syntax: str,
    undefined: bool,
    top: tuple[str | None, str | None],
    shared: tuple[str | None, str | None],
    per_frame: tuple[str | None, str | None],
    expected: tuple[str | None, str | None],
) -> None:
    named = dict(zip(("PixelSpacing", "SliceThickness"), top, strict=True))
    path = dicom_file(tmp_path / "a.dcm", syntax, **{key: value for key, value in named.items() if value})
    dataset = pydicom.dcmread(path)
    dataset.SharedFunctionalGroupsSequence = groups(*shared, undefined=undefined)
    dataset.PerFrameFunctionalGroupsSequence = groups(*per_frame, undefined=undefined)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        dataset[keyword].is_undefined_length = undefined
    dataset.save_as(path)
    monkeypatch.setattr(pydicom_reader, "read_file", None)
    assert measures_of_row(path) == expected


def test_odd_functional_groups_leave_the_measures_unknown_and_the_row_sound(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(path)
    dataset.SharedFunctionalGroupsSequence = groups(r"0.5\0.5", "3", undefined=False)
    dataset.save_as(path)
    content = path.read_bytes()
    # The Pixel Measures Sequence gets a VR that does not exist.
    path.write_bytes(content.replace(b"\x28\x00\x10\x91SQ", b"\x28\x00\x10\x91ZZ"))
    row = dict(zip(row_columns(), read_header(str(path.parent), path.name, ReadLimits()), strict=True))
    assert (row["status"], row["pixel_spacing_row"], row["slice_thickness"]) == ("ok", None, None)
