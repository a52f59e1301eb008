"""Files written element by element, against pydicom's own reading and writing of the same."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from sandbox.stress.case import read_image
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.undecoded import has, number_of, set_number, set_text, text_of
from sandbox.stress.writing import written
from tests.sandbox.stress import cases

ZOO = Path(__file__).parents[4] / "shared" / "data" / "dicom-zoo"


def reread(content: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(content), force=True)


def encoded(dataset: Dataset) -> bytes:
    """Every element decoded and encoded by pydicom, in one encoding, so that files compare."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.skipif(not ZOO.is_dir(), reason="../shared/data/dicom-zoo is missing")
def test_real_files_come_back_as_they_were_read() -> None:
    with (ZOO / "MANIFEST.csv").open(newline="") as stream:
        paths = [ZOO / row["file"] for row in csv.DictReader(stream) if row["kind"] == "real"]
    compared = 0
    for path in paths:
        if path.stat().st_size > 1_000_000:
            continue
        content = path.read_bytes()
        try:
            image = read_image(content, path.name)
            theirs = reread(content)
            made = reread(written(image))
        except (NotApplicableError, pydicom.errors.InvalidDicomError, ValueError, AttributeError, KeyError):
            # Reports and the like; and files that pydicom cannot write either.
            continue
        compared += 1
        assert made.file_meta.TransferSyntaxUID == image.syntax
        kept = {each for each in list(theirs.keys()) if each.element and each.group >= 8}
        assert set(made.keys()) == kept, path.name
        assert made.PixelData == theirs.PixelData, path.name
    assert compared > 150


def test_changed_and_unchanged_elements_stand_side_by_side() -> None:
    ((_, content),) = cases.case("MR")
    image = read_image(content, "1.dcm")
    expected = reread(content)
    for dataset in (image.dataset, expected):
        dataset.RepetitionTime = "501"
        dataset.add_new("RequestAttributesSequence", "SQ", [Dataset()])
        dataset.RequestAttributesSequence[0].RequestedProcedureID = "R1"
        dataset.add_new("PixelPaddingValue", "US", 3)
        del dataset.EchoTime
    assert list(reread(written(image))) == list(reread(encoded(expected)))


def test_another_character_set_encodes_texts_anew() -> None:
    ((_, content),) = cases.case("MR")
    first = reread(content)
    first.SpecificCharacterSet, first.InstitutionName = "ISO_IR 100", "Universitätsklinik"
    image = read_image(encoded(first), "1.dcm")
    image.dataset.SpecificCharacterSet = "ISO_IR 192"
    made = reread(written(image))
    assert made.get_item("InstitutionName").value.rstrip() == "Universitätsklinik".encode()
    assert made.InstitutionName == "Universitätsklinik"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_attributes_are_read_and_set_in_other_encodings_too(syntax: str) -> None:
    ((_, content),) = cases.case("MR")
    source = reread(content)
    if syntax == ExplicitVRBigEndian:
        source.PixelData = source.pixel_array.astype(">u2").tobytes()
    source.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    implicit = syntax == ImplicitVRLittleEndian
    dcmwrite(buffer, source, implicit_vr=implicit, little_endian=implicit)
    image = read_image(buffer.getvalue(), "1.dcm")
    assert image.syntax == syntax
    assert number_of(image.dataset, "Rows") == 96
    assert text_of(image.dataset, "ImageType") == "ORIGINAL\\PRIMARY\\AXIAL"
    set_number(image.dataset, "Rows", 95)
    set_text(image.dataset, "PatientID", "odd")
    made = reread(written(image))
    assert (made.Rows, made.PatientID) == (95, "odd")


def test_absent_and_empty_attributes() -> None:
    ((_, content),) = cases.case("MR")
    dataset = read_image(content, "1.dcm").dataset
    assert text_of(dataset, "AccessionNumber") == text_of(dataset, "StationName") == ""
    assert has(dataset, "AccessionNumber")
    assert not has(dataset, "StationName")
    assert number_of(dataset, "PlanarConfiguration", 9) == 9
    set_text(dataset, "StationName", "")
    assert has(dataset, "StationName")
