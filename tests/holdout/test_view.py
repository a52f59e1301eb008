"""The container's view: what it says, under which names, and what it refuses."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from holdout import deidentification
from holdout.view import ViewError, ViewPlan, build, read_source
from holdout.view_attributes import IMAGE, NAMEABLE
from holdout.view_values import passed
from tests.holdout.view_files import PSEUDONYM, TOKEN, base_file, lenient, view, with_value


def test_the_view_is_fresh_and_says_what_was_done() -> None:
    options = {"patient_sex": "F", "patient_age": "093Y", "manufacturer": "Siemens", "model": "Unique"}
    content = base_file(**options)
    plan = ViewPlan(
        attributes=("PatientSex", "PatientAge", "Manufacturer", "ManufacturerModelName", "ViewPosition"),
        vocabulary={"Manufacturer": frozenset({"Siemens"}), "ManufacturerModelName": frozenset()},
    )
    dataset = pydicom.dcmread(BytesIO(view(content, plan)))
    assert (dataset.PatientID, str(dataset.PatientName)) == (PSEUDONYM, PSEUDONYM)
    assert dataset.PatientSex == "F"
    assert dataset.PatientAge == "090Y"
    assert dataset.Manufacturer == "Siemens"
    assert "ManufacturerModelName" not in dataset
    assert dataset.ViewPosition == "PA"
    assert dataset.StudyDate == dataset.AccessionNumber == dataset.PatientBirthDate == ""
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
    codes = [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113108", "113109"]
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert dataset[keyword].value.startswith("2.25.")
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    nothing = pydicom.dcmread(BytesIO(view(content)))
    assert nothing.PatientSex == nothing.Manufacturer == ""
    assert "PatientAge" not in nothing
    assert "ViewPosition" not in nothing


def test_uids_follow_the_case_key() -> None:
    content, rules = base_file(), ViewPlan().rules()
    source = read_source(content, rules)

    def uids(key: bytes) -> tuple[str, ...]:
        built = build(source, ViewPlan(), rules=rules, case_key=key, pseudonym=PSEUDONYM, number=1)
        dataset = pydicom.dcmread(BytesIO(built))
        return dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID

    assert uids(b"a" * 32) == uids(b"a" * 32)
    assert not set(uids(b"a" * 32)) & set(uids(b"b" * 32))
    assert len(set(uids(b"a" * 32))) == 3


@pytest.mark.parametrize(
    ("keyword", "raw", "vr", "expected"),
    [
        ("PixelSpacing", rb"0.143\0.143 ", "DS", rb"0.143\0.143"),
        ("PixelSpacing", rb"0.143\0.143\7", "DS", None),
        ("PixelSpacing", b"0,143", "DS", None),
        ("PixelSpacing", b"12345678901234567", "DS", None),
        ("PixelSpacing", b"Smith", "DS", None),
        ("PixelSpacing", rb"0.143\0.143", "LO", None),
        ("RescaleSlope", b"1.0e-3", "DS", b"1.0e-3"),
        ("NumberOfFrames", b"3\0", "IS", b"3"),
        ("NumberOfFrames", b"3.5", "IS", None),
        ("Rows", b"\x08\x00", "US", b"\x08\x00"),
        ("Rows", b"\x08\x00\x08\x00", "US", None),
        ("Rows", b"", "US", None),
        ("ImageType", rb"ORIGINAL\PRIMARY\AXIAL\SMITH\AXIAL", "CS", rb"ORIGINAL\PRIMARY\AXIAL"),
        ("ImageType", rb"SMITH\PRIMARY", "CS", None),
        ("PatientOrientation", rb"L\F", "CS", rb"L\F"),
        ("PatientOrientation", rb"L\SMITH", "CS", None),
        ("LossyImageCompression", b"01", "CS", b"01"),
        ("LossyImageCompression", b"02", "CS", None),
        ("PatientSex", b"F ", "CS", b"F"),
        ("PatientSex", b"SMITH", "CS", None),
        ("PatientAge", b"034Y", "AS", b"034Y"),
        ("PatientAge", b"34Y", "AS", None),
        ("Manufacturer", b"Siemens ", "LO", b"Siemens"),
        ("Manufacturer", b"Smith", "LO", None),
        ("Manufacturer", "Siemens\u00e9".encode("latin-1"), "LO", None),
        ("BodyPartExamined", b"chest", "CS", b"CHEST"),
    ],
)
def test_values_are_checked(keyword: str, raw: bytes, vr: str, expected: bytes | None) -> None:
    rule = next(rule for rule in (*IMAGE, *NAMEABLE.values()) if rule.keyword == keyword)
    known = {"Manufacturer": frozenset({"Siemens"}), "BodyPartExamined": frozenset({"CHEST"})}
    assert passed(rule, raw, vr, known) == expected


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_dicom"),
        (b"\0" * 400, "not_dicom"),
        (with_value(PixelData=None), "no_pixel_data"),
        (with_value(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1"), "sop_class_unsupported"),
        (with_value(Rows=9), "pixel_data_inconsistent"),
        (with_value(Rows=None), "pixel_data_inconsistent"),
        (with_value(NumberOfFrames=2), "pixel_data_inconsistent"),
        (with_value(PhotometricInterpretation="SMITH"), "pixel_data_inconsistent"),
    ],
)
def test_what_cannot_be_shown_has_a_code(content: bytes, code: str) -> None:
    with pytest.raises(ViewError) as caught:
        view(content)
    assert caught.value.code == code


def test_functional_groups_are_rebuilt_from_their_geometry() -> None:
    with lenient():
        dataset = pydicom.dcmread(BytesIO(base_file()))
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.NumberOfFrames = 2
        dataset.PixelData = bytes(256)
        shared, measures = Dataset(), Dataset()
        measures.PixelSpacing, measures.SliceThickness = ["0.5", "0.5"], "1.25"
        measures.PatientComments = "CNRY00001"
        shared.PixelMeasuresSequence = Sequence([measures])
        shared.ReferencedImageSequence = Sequence([Dataset()])
        shared.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.9.4242.1"
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
        frames = []
        for number in range(2):
            frame, position, content = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = ["-1.5", "2", str(number)]
            content.InStackPositionNumber = number + 1
            content.FrameComments = "CNRY00002"
            content.FrameAcquisitionDateTime = "19370411"
            frame.PlanePositionSequence, frame.FrameContentSequence = (
                Sequence([position]),
                Sequence([content]),
            )
            frame.add(DataElement(0x00091001, "LO", "CNRY00003"))
            frames.append(frame)
        dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
        dataset.VOILUTSequence = Sequence([Dataset()])
        dataset.VOILUTSequence[0].LUTDescriptor = [2, 0, 16]
        dataset.VOILUTSequence[0].LUTExplanation = "CNRY00004"
        dataset.VOILUTSequence[0].add(DataElement(0x00283006, "OW", b"\0\0\1\0"))
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset)
    for implicit in (False, True):
        content_bytes = buffer.getvalue()
        if implicit:
            with lenient():
                again = pydicom.dcmread(BytesIO(content_bytes))
                again.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
                rewritten = BytesIO()
                pydicom.dcmwrite(rewritten, again, implicit_vr=True, little_endian=True)
                content_bytes = rewritten.getvalue()
        staged = view(content_bytes)
        assert TOKEN.findall(staged) == []
        assert b"19370411" not in staged
        assert b"4242" not in staged
        shown = pydicom.dcmread(BytesIO(staged))
        assert shown.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [0.5, 0.5]
        assert [
            list(frame.PlanePositionSequence[0].ImagePositionPatient)
            for frame in shown.PerFrameFunctionalGroupsSequence
        ] == [[-1.5, 2, 0], [-1.5, 2, 1]]
        assert shown.PerFrameFunctionalGroupsSequence[1].FrameContentSequence[0].InStackPositionNumber == 2
        assert shown.VOILUTSequence[0].LUTDescriptor == [2, 0, 16]
        assert deidentification.violations(staged, pseudonym=PSEUDONYM) == []


def test_plain_explicit_little_endian_comes_out(tmp_path: Path) -> None:
    staged = view(base_file())
    assert pydicom.dcmread(BytesIO(staged)).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
