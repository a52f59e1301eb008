"""The quick walk against pydicom, and rows against the files, over every real and malformed file."""

from __future__ import annotations

import hashlib
import struct
import sys
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from holdout import headers, pydicom_reader
from holdout.attributes import ATTRIBUTES, SPECIFIC_CHARACTER_SET, WANTED_TAGS, Kind, row_columns
from holdout.elements import OddDataSetError, Values, walk_data_set, walk_file
from holdout.headers import ReadLimits, pixel_sha256, read_header
from holdout.written_values import written
from tests.holdout.dicom_files import dicom_file
from tests.holdout.zoo import ZOO, manifest, needs_zoo

LIMITS = ReadLimits()


def row_of(path: Path, limits: ReadLimits = LIMITS) -> dict[str, Any]:
    return dict(zip(row_columns(), read_header(str(path.parent), path.name, limits), strict=True))


def sample_of(value: bytes) -> str:
    """The sample as the documentation has it: length, then 32 blocks of 128 bytes or the whole value."""
    blocks = [value]
    if len(value) > 4096:
        starts = [block * (len(value) - 128) // 31 for block in range(32)]
        blocks = [value[start : start + 128] for start in starts]
    return hashlib.sha256(len(value).to_bytes(8, "little") + b"".join(blocks)).hexdigest()


@needs_zoo
def test_the_quick_walk_reads_what_pydicom_reads() -> None:
    walked = 0
    for entry in manifest():
        data = (ZOO / entry["file"]).read_bytes()
        try:
            quick = walk_file(data, WANTED_TAGS)
        except OddDataSetError:
            continue
        walked += 1
        oracle = pydicom_reader.read_file(BytesIO(data), WANTED_TAGS)
        assert (quick.meta, quick.pixel) == (oracle.meta, oracle.pixel), entry["file"]
        assert (quick.implicit, quick.big_endian) == (oracle.implicit, oracle.big_endian), entry["file"]
        assert _plain(quick.values) == _plain(oracle.values), entry["file"]
    assert walked > 430


def _plain(values: Values) -> Values:
    # pydicom looks up the VR of empty implicit values and of the character set, where it does not matter.
    return {
        tag: ("", raw.rstrip(b" ")) if not raw or tag == SPECIFIC_CHARACTER_SET else (vr, raw)
        for tag, (vr, raw) in values.items()
    }


@needs_zoo
def test_written_values_are_what_pydicom_shows() -> None:
    compared = 0
    for entry in manifest():
        if entry["kind"] != "real" or entry["pydicom_read"] != "ok":
            continue
        data = (ZOO / entry["file"]).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            oracle = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, force=True)
            read = pydicom_reader.read_file(BytesIO(data), WANTED_TAGS)
            for attribute in ATTRIBUTES:
                tag = attribute.tags[0]
                text = written(read.values, tag, big_endian=read.big_endian)
                if tag not in oracle or text is None or attribute.kind is Kind.NUMBER:
                    continue
                try:
                    value = oracle[tag].value
                except Exception:
                    continue
                parts = [value] if not isinstance(value, list | pydicom.multival.MultiValue) else list(value)
                expected = "\\".join("" if part is None else str(part) for part in parts)
                assert text.strip() == expected.strip(), (entry["file"], attribute.keyword)
                compared += 1
    assert compared > 5000


@needs_zoo
def test_hashes_are_those_of_the_bytes_and_of_the_pixel_value() -> None:
    pixels = 0
    for entry in manifest():
        path = ZOO / entry["file"]
        row = row_of(path)
        assert row["sha256"] == entry["sha256"]
        assert row["size"] == int(entry["size"])
        if row["pixel_sample"] is None or row["status"] != "ok":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                whole = pydicom.dcmread(path, force=True)
            except OSError:
                # Whatever is broken lies behind the pixel data and is odd rather than cut off.
                assert entry["file"].endswith("TC0277_missing_delim.dcm")
                continue
        for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
            if keyword in whole:
                value = whole[keyword].value
                assert row["pixel_sample"] == sample_of(value), entry["file"]
                whole_hash = pixel_sha256(str(path.parent), LIMITS, path.name)
                assert whole_hash == hashlib.sha256(value).hexdigest(), entry["file"]
                pixels += 1
    assert pixels > 200


@needs_zoo
def test_rows_agree_with_the_manifest_of_the_zoo() -> None:
    for entry in manifest():
        row = row_of(ZOO / entry["file"])
        assert row["status"] in headers.STATUSES
        assert (row["status"] == "ok") == (row["defect"] is None)
        if row["status"] != "ok" or entry["kind"] != "real":
            continue
        for column, name in (("rows", "rows"), ("columns", "columns"), ("bits_stored", "bits_stored")):
            assert row[column] == (int(entry[name]) if entry[name] else None), entry["file"]
        assert row["sop_class_uid"] == entry["sop_class_uid"], entry["file"]
        assert row["transfer_syntax_uid"] == entry["transfer_syntax_uid"], entry["file"]
        if entry["modality"]:
            assert row["modality"] == entry["modality"].upper()


@needs_zoo
def test_known_liars_of_the_zoo_are_found() -> None:
    expected = {
        "malformed/cat07_file_meta/TC0399_sop_class_mismatch.dcm": "inconsistent",
        "malformed/cat04_pixel_data/TC0295_rows_zero.dcm": "inconsistent",
        "malformed/cat04_pixel_data/TC0329_rgb_spp1.dcm": "inconsistent",
        "malformed/cat04_pixel_data/TC0289_buf_10x.dcm": "inconsistent",
        "malformed/cat13_cve_microdicom/TC0831_px_100frames_1024.dcm": "truncated",
        "malformed/cat11_cve_2025_11266/TC0713_encap_frag_len_2gb.dcm": "truncated",
        "malformed/cat20_cve_dcmtk_dimse_segfault/TC0963_undef_len_no_delim.dcm": "truncated",
        "malformed/cat20_cve_dcmtk_dimse_segfault/TC0969_midvalue_truncation.dcm": "truncated",
        "malformed/cat16_cve_dcmtk_null_pathtraversal/TC0861_missing_sop_instance.dcm": "incomplete",
        "MR/134_3gb-bulk-data-truncated": "truncated",
        "OT/226_SC_rgb_jpeg.dcm": "inconsistent",
        "dicomdir-fileset/DICOMDIR": "directory",
    }
    assert {name: row_of(ZOO / name)["status"] for name in expected} == expected


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_all_native_encodings_give_the_same_row(tmp_path: Path, syntax: str) -> None:
    row = row_of(
        dicom_file(
            tmp_path / "a.dcm", syntax, PatientAge="042Y", PatientSex="F", KVP="120", StudyDate="20200131"
        )
    )
    assert row["status"] == "ok"
    assert (row["rows"], row["columns"], row["patient_age_years"], row["patient_sex"]) == (4, 6, 42.0, "F")
    assert (row["kvp"], row["study_date"], row["study_date_raw"]) == (120.0, "2020-01-31", "20200131")
    assert row["patient_age_source"] == "attribute"
    if syntax != ExplicitVRBigEndian:
        assert row["pixel_sample"] == sample_of(bytes(range(48)))


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", "empty"), (b"hello, this is no image\n" * 20, "not_dicom"), (bytes(4096), "not_dicom")],
)
def test_what_is_not_dicom_says_so(tmp_path: Path, content: bytes, status: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    row = row_of(path)
    assert row["status"] == status
    assert row["sha256"] == hashlib.sha256(content).hexdigest()


def test_every_cut_of_a_file_is_seen(tmp_path: Path) -> None:
    data = dicom_file(tmp_path / "whole.dcm").read_bytes()
    cut = tmp_path / "cut.dcm"
    for length in range(0, len(data), 7):
        cut.write_bytes(data[:length])
        row = row_of(cut)
        # A cut between two elements leaves a whole data set; what is gone shows once Bits Allocated is there.
        assert row["status"] != "ok" or row["bits_allocated"] is None, length


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"Rows": 400}, "truncated", "need 4800"),
        ({"Rows": 0}, "inconsistent", "0 rows"),
        ({"Rows": None}, "inconsistent", "without Rows"),
        ({"BitsStored": 17}, "inconsistent", "Bits Stored is 17"),
        ({"PhotometricInterpretation": "RGB"}, "inconsistent", "RGB with 1"),
        ({"SOPInstanceUID": "1.2.3"}, "inconsistent", "SOP Instance UID differs"),
        ({"SOPInstanceUID": None}, "incomplete", "No SOP Instance UID"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}, "inconsistent", "SOP Class UID differs"),
    ],
)
def test_files_that_contradict_themselves(
    tmp_path: Path, changes: dict[str, Any], status: str, words: str
) -> None:
    row = row_of(dicom_file(tmp_path / "a.dcm", **changes))
    assert row["status"] == status
    assert words in row["defect"]


def test_a_transfer_syntax_that_lies_about_compression(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm")
    data = path.read_bytes()
    old = ExplicitVRLittleEndian.encode() + b"\0"
    # 1.2.840.10008.1.2.4.50 is longer; the element and the group length are rewritten with it.
    new = JPEGBaseline8Bit.encode()
    start = data.index(old) - 2
    data = data[:start] + struct.pack("<H", len(new)) + new + data[start + 2 + len(old) :]
    path.write_bytes(data)
    row = row_of(path)
    assert row["status"] == "inconsistent"
    assert "not encapsulated" in row["defect"]


def test_a_deflated_bomb_is_a_row_within_the_limit(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm", DeflatedExplicitVRLittleEndian)
    data = path.read_bytes()
    start = data.index(DeflatedExplicitVRLittleEndian.encode()) + len(DeflatedExplicitVRLittleEndian)
    dataset = struct.pack("<HH2sHI", 0x0009, 0x1000, b"OB", 0, 64 << 20) + bytes(64 << 20)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(data[:start] + deflater.compress(dataset) + deflater.flush())
    assert path.stat().st_size < 1 << 17
    row = row_of(path, ReadLimits(inflated_bytes=1 << 20))
    assert row["status"] == "memory"
    assert "1 MiB" in row["defect"]


def test_a_large_file_is_hashed_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "READ_AT_ONCE", 100)
    path = dicom_file(tmp_path / "a.dcm", rows=60, columns=70, PixelData=bytes(8400))
    mapped = row_of(path)
    # Smaller than the file: the rest is read past the mapped part.
    beyond = row_of(path, ReadLimits(memory_bytes=2 * 1000))
    monkeypatch.undo()
    whole = row_of(path)
    assert whole["status"] == "ok"
    assert mapped == beyond == whole


def test_deep_nesting_does_not_recurse(tmp_path: Path) -> None:
    depth = 3_000
    nested = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    for _ in range(depth):
        nested += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        nested += struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    path = dicom_file(tmp_path / "a.dcm", PixelData=None)
    path.write_bytes(path.read_bytes() + nested)
    with pytest.raises(OddDataSetError, match="nested too deep"):
        walk_data_set(nested, 0, (), implicit=False, big_endian=False)
    assert row_of(path)["status"] in ("unreadable", "truncated")
    assert sys.getrecursionlimit() <= 5000


def test_a_changing_file_and_a_missing_file_are_rows(tmp_path: Path) -> None:
    row = row_of(tmp_path / "gone.dcm")
    assert row["status"] == "unreadable"
    assert "No such file" in row["defect"]
