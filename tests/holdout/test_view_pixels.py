"""The image survives in the container's view unchanged, and nothing beside it."""

from __future__ import annotations

import hashlib
import struct
from io import BytesIO

import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGBaseline8Bit

from holdout import deidentification, pixel_copy
from holdout.dicom_writer import ImageDescription, JpegPixels, write_image
from holdout.view import ViewError, ViewPlan
from holdout.view_attributes import STAGED_SOP_CLASSES, STAGED_TRANSFER_SYNTAXES
from tests.holdout import zoo
from tests.holdout.view_files import PSEUDONYM, TOKEN, base_file, lenient, view, with_value

BIG_ENDIAN = (False, False)


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


def test_excess_behind_native_pixels_is_cut() -> None:
    staged = view(with_value(PixelData=bytes(128) + b"CNRY00001 "))
    assert TOKEN.findall(staged) == []
    assert len(pydicom.dcmread(BytesIO(staged)).PixelData) == 128


def zoo_files() -> list[str]:
    return [row["file"] for row in zoo.manifest() if row["kind"] == "real"]


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
        elif before.original_encoding != BIG_ENDIAN:
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
