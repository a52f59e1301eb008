"""The container's view: nothing identifying survives, the image does, and real files go through."""

from __future__ import annotations

import hashlib
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import config
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from holdout import deidentification, pixel_copy
from holdout.dicom_writer import ImageDescription, JpegPixels, NativePixels, write_image
from holdout.view import ViewError, ViewPlan, build, read_source
from holdout.view_attributes import IMAGE, NAMEABLE, STAGED_SOP_CLASSES, STAGED_TRANSFER_SYNTAXES
from holdout.view_values import passed
from tests.holdout import zoo

TOKEN = re.compile(rb"CNRY\d{5}")
KEY = b"k" * 32
PSEUDONYM = "0123456789abcdef"
EVERYTHING = ViewPlan(attributes=tuple(NAMEABLE), vocabulary={"Manufacturer": frozenset({"Siemens"})})


def view(content: bytes, plan: ViewPlan | None = None) -> bytes:
    plan = plan or ViewPlan()
    rules = plan.rules()
    return build(read_source(content, rules), plan, rules=rules, case_key=KEY, pseudonym=PSEUDONYM, number=1)


@contextmanager
def lenient() -> Iterator[None]:
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.writing_validation_mode, config.settings.reading_validation_mode = before


def base_file(**options: Any) -> bytes:
    description = ImageDescription(
        kind="DX",
        sop_instance_uid="1.2.3.4",
        study_instance_uid="1.2.3.5",
        series_instance_uid="1.2.3.6",
        patient_id="P",
        pixel_spacing=(0.2, 0.2),
        view="PA",
        **options,
    )
    pixels = np.zeros((8, 8), np.uint16)
    return write_image(description, NativePixels(array=pixels, bits_stored=12))


class Canary:
    """A file with a unique token in every place that can hold one."""

    kept_tags = frozenset(rule.tag for rule in IMAGE if rule.vr in ("US", "SS", "OW", "DS", "IS")) | {
        0x00080016,
        0x00280004,
        0x7FE00008,
        0x7FE00009,
        0x7FE00010,
    }

    def __init__(self) -> None:
        self.count = 0
        self.dates: set[bytes] = set()

    def token(self) -> str:
        self.count += 1
        return f"CNRY{self.count:05d}"

    def value(self, vr: str) -> Any:
        if vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"):
            return self.token()
        if vr in ("OB", "OW", "OD", "OF", "OL", "OV", "UN"):
            return self.token().encode() + b"123"[:1]
        if vr == "UI":
            self.count += 1
            return f"1.9.4242.{self.count}"
        if vr == "DA":
            return "19370411"
        if vr == "DT":
            return "19370411093742"
        if vr == "TM":
            return "093742"
        return None

    def fill(self, dataset: Dataset) -> None:
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
            group = tag >> 16
            if group in (0x0000, 0x0002, 0xFFFE) or tag & 0xFFFF == 0 or tag in self.kept_tags or not keyword:
                continue
            for single in [vr] if " or " not in vr else [vr.split(" or ")[-1]]:
                if single == "SQ":
                    item = Dataset()
                    item.CodeValue, item.CodingSchemeDesignator = self.token(), self.token()
                    item.CodeMeaning = self.token()
                    nested = Dataset()
                    nested.TextValue = self.token()
                    item.ContentSequence = Sequence([nested])
                    item.add(DataElement(0x00091001, "LO", self.token()))
                    dataset.add(DataElement(tag, "SQ", Sequence([item])))
                else:
                    value = self.value(single)
                    if value is not None:
                        dataset.add(DataElement(tag, single, value))
        for group in (0x5000, 0x5002, 0x6000, 0x601E):
            dataset.add(DataElement(group << 16 | 0x0022, "LO", self.token()))
            dataset.add(DataElement(group << 16 | 0x3000, "OB", self.value("OB")))
        dataset.add(DataElement(0x00091001, "LO", self.token()))
        dataset.add(DataElement(0x00090010, "LO", self.token()))
        dataset.add(DataElement(0x7FDF1010, "UN", self.value("UN")))
        dataset.add(DataElement(0x00180FFF, "UN", self.value("UN")))
        dataset.add(DataElement(0xFFFCFFFC, "OB", self.value("OB")))

    def make(self) -> bytes:
        with lenient():
            dataset = pydicom.dcmread(BytesIO(base_file()))
            self.fill(dataset)
            dataset.preamble = (self.token().encode() * 16)[:128]
            meta = dataset.file_meta
            meta.SourceApplicationEntityTitle = self.token()
            meta.SendingApplicationEntityTitle = self.token()
            meta.ReceivingApplicationEntityTitle = self.token()
            meta.PrivateInformationCreatorUID = "1.9.4242.1"
            meta.PrivateInformation = self.value("OB")
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, dataset, enforce_file_format=False)
            return buffer.getvalue() + self.token().encode()


@pytest.mark.parametrize("plan", [ViewPlan(), EVERYTHING], ids=["nothing named", "everything named"])
@pytest.mark.parametrize("syntax", ["explicit", "implicit", "odd"])
def test_no_canary_survives(plan: ViewPlan, syntax: str) -> None:
    content = Canary().make()
    with lenient():
        if syntax == "implicit":
            dataset = pydicom.dcmread(BytesIO(content), force=True)
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
            content = buffer.getvalue()
    if syntax == "odd":
        # An element out of order sends the file to pydicom instead of the quick walk.
        start = content.index(b"\x08\x00\x08\x00CS")
        content = content[:start] + b"\x08\x00\x0a\x00LO\x0a\x00CNRY99999 " + content[start:]
    assert len(set(TOKEN.findall(content))) > 2000
    staged = view(content, plan)
    assert TOKEN.findall(staged) == []
    assert b"1.9.4242." not in staged
    assert b"19370411" not in staged
    assert b"093742" not in staged
    assert deidentification.violations(staged, pseudonym=PSEUDONYM, retained=plan.attributes) == []
    assert np.array_equal(pydicom.dcmread(BytesIO(staged)).pixel_array, np.zeros((8, 8)))


def jpeg_with_notes() -> tuple[bytes, bytes]:
    """A JPEG stream, and the same with tokens in every place where it can hold text."""
    random = np.random.default_rng(1)
    picture = Image.fromarray(random.integers(0, 255, (16, 24), np.uint8))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    plain = buffer.getvalue()
    assert plain[2:4] == b"\xff\xe0"
    end = 4 + int.from_bytes(plain[4:6], "big")

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body

    notes = (
        segment(0xFE, b"CNRY00001")
        + segment(0xE1, b"Exif\0\0CNRY00002")
        + segment(0xED, b"Photoshop 3.0\0CNRY00003")
        + segment(0xE0, b"JFXX\0CNRY00004" + b"thumbnail" * 9)
    )
    return plain, plain[:end] + notes + plain[end:] + b"CNRY00005\xff\xd9CNRY00006"


def test_notes_inside_and_behind_a_codestream_are_dropped() -> None:
    plain, noted = jpeg_with_notes()
    assert pixel_copy.without_notes(noted) == plain
    assert pixel_copy.without_notes(plain) == plain
    description = ImageDescription(
        kind="CR", sop_instance_uid="1.2", study_instance_uid="1.3", series_instance_uid="1.4", patient_id="P"
    )
    pixels = JpegPixels(stream=noted, rows=16, columns=24, photometric="MONOCHROME2")
    content = write_image(description, pixels)
    staged = view(content)
    assert TOKEN.findall(staged) == []
    assert np.array_equal(
        pydicom.dcmread(BytesIO(staged)).pixel_array, pydicom.dcmread(BytesIO(content)).pixel_array
    )
    kept = view(content, ViewPlan(drop_notes=False))
    (frame,) = generate_frames(pydicom.dcmread(BytesIO(kept)).PixelData, number_of_frames=1)
    assert frame[: len(noted)] == noted


def test_nothing_rides_beside_compressed_pixel_data() -> None:
    plain, _ = jpeg_with_notes()
    description = ImageDescription(
        kind="CR", sop_instance_uid="1.2", study_instance_uid="1.3", series_instance_uid="1.4", patient_id="P"
    )
    content = write_image(
        description, JpegPixels(stream=plain, rows=16, columns=24, photometric="MONOCHROME2")
    )
    # The offset table of a single frame is free to hold anything.
    empty = b"\xfe\xff\x00\xe0\x04\x00\x00\x00\x00\x00\x00\x00"
    assert content.count(empty) == 1
    content = content.replace(empty, b"\xfe\xff\x00\xe0\x0c\x00\x00\x00CNRY00001   ") + b"CNRY00002 "
    assert TOKEN.findall(view(content)) == []


def test_offset_tables_that_are_true_are_kept() -> None:
    plain, noted = jpeg_with_notes()
    with lenient():
        dataset = pydicom.dcmread(BytesIO(base_file()))
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.2"
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 16, 24, 3
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = encapsulate([noted, plain, noted])
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset)
    staged = pydicom.dcmread(BytesIO(view(buffer.getvalue())))
    item = struct.unpack_from("<3I", staged.PixelData, 8)
    assert item == (0, len(plain) + len(plain) % 2 + 8, 2 * (len(plain) + len(plain) % 2 + 8))
    frames = list(generate_frames(staged.PixelData, number_of_frames=3))
    assert all(frame[: len(plain)] == plain for frame in frames)


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


def with_value(**values: Any) -> bytes:
    with lenient():
        dataset = pydicom.dcmread(BytesIO(base_file()))
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset)
        return buffer.getvalue()


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


def test_big_endian_is_refused() -> None:
    with lenient():
        dataset = pydicom.dcmread(BytesIO(base_file()))
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False)
    with pytest.raises(ViewError, match="transfer_syntax_unsupported"):
        view(buffer.getvalue())


def test_excess_behind_native_pixels_is_cut() -> None:
    staged = view(with_value(PixelData=bytes(128) + b"CNRY00001 "))
    assert TOKEN.findall(staged) == []
    assert len(pydicom.dcmread(BytesIO(staged)).PixelData) == 128


def test_the_second_check_finds_what_the_view_would_have_missed() -> None:
    staged = view(base_file())

    def spoiled(**values: Any) -> list[str]:
        with lenient():
            dataset = pydicom.dcmread(BytesIO(staged))
            for keyword, value in values.items():
                setattr(dataset, keyword, value)
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, dataset)
            return deidentification.violations(buffer.getvalue(), pseudonym=PSEUDONYM)

    assert spoiled() == []
    for values, tag in (
        ({"PatientBirthDate": "19700101"}, "(0010,0030)"),
        ({"PatientName": "Smith"}, "(0010,0010)"),
        ({"SOPInstanceUID": "1.2.3"}, "(0008,0018)"),
        ({"PatientComments": "x"}, "(0010,4000)"),
        ({"InstitutionName": "x"}, "(0008,0080)"),
        ({"SequenceName": "x"}, "(0018,0024)"),
        ({"StudyDate": "20200101"}, "(0008,0020)"),
    ):
        assert any(found.startswith(tag) for found in spoiled(**values)), tag
    assert deidentification.violations(b"x" + staged[1:], pseudonym=PSEUDONYM) == ["preamble is not empty"]
    assert deidentification.violations(staged + b"xx", pseudonym=PSEUDONYM) != []
    assert len(deidentification.profile_tags()) > 600


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


def zoo_files() -> list[str]:
    return [row["path"] if "path" in row else row["file"] for row in zoo.manifest() if row["kind"] == "real"]


@zoo.needs_zoo
def test_real_files_go_through_with_their_pixels_unchanged() -> None:
    outcomes: dict[str, int] = {}
    for name in zoo_files():
        content = (zoo.ZOO / name).read_bytes()
        if len(content) > 8_000_000:
            continue
        try:
            staged = view(content, ViewPlan(drop_notes=False))
        except ViewError as exc:
            outcomes[exc.code] = outcomes.get(exc.code, 0) + 1
            continue
        outcomes["staged"] = outcomes.get("staged", 0) + 1
        assert deidentification.violations(staged, pseudonym=PSEUDONYM) == [], name
        with lenient():
            before = pydicom.dcmread(BytesIO(content), force=True)
            after = pydicom.dcmread(BytesIO(staged))
        assert before.SOPClassUID in STAGED_SOP_CLASSES
        assert after.file_meta.TransferSyntaxUID in STAGED_TRANSFER_SYNTAXES
        frames = int(after.get("NumberOfFrames", 1) or 1)
        if after.file_meta.TransferSyntaxUID.is_encapsulated:
            pairs = zip(
                generate_frames(before.PixelData, number_of_frames=frames),
                generate_frames(after.PixelData, number_of_frames=frames),
                strict=True,
            )
            assert all(first.rstrip(b"\0") == second.rstrip(b"\0") for first, second in pairs), name
        else:
            size = len(after.PixelData) - 1
            assert (
                hashlib.sha256(after.PixelData[:size]).digest()
                == hashlib.sha256(before.PixelData[:size]).digest()
            ), name
        for keyword in ("Rows", "Columns", "BitsStored", "PixelRepresentation", "PhotometricInterpretation"):
            assert after.get(keyword) == before.get(keyword), (name, keyword)
    assert outcomes["staged"] > 150
    assert set(outcomes) <= {
        "staged",
        "sop_class_unsupported",
        "transfer_syntax_unsupported",
        "no_pixel_data",
        "pixel_data_inconsistent",
        "not_dicom",
        "value_refused",
    }


@zoo.needs_zoo
def test_dropping_notes_keeps_the_decoded_image() -> None:
    checked = 0
    for name in zoo_files():
        content = (zoo.ZOO / name).read_bytes()
        if len(content) > 1_000_000:
            continue
        with lenient():
            try:
                before = pydicom.dcmread(BytesIO(content))
                if not before.file_meta.TransferSyntaxUID.is_encapsulated:
                    continue
                staged, kept = view(content), view(content, ViewPlan(drop_notes=False))
                if staged == kept:
                    continue
                expected = pydicom.dcmread(BytesIO(kept)).pixel_array
            except Exception:
                continue
            assert np.array_equal(pydicom.dcmread(BytesIO(staged)).pixel_array, expected), name
            checked += 1
    assert checked >= 1


def test_plain_explicit_little_endian_comes_out(tmp_path: Path) -> None:
    staged = view(base_file())
    assert pydicom.dcmread(BytesIO(staged)).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
