"""Decoding of every sound image of the zoo in bounded children, and what is refused before."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless

from holdout.attributes import row_columns
from holdout.bounded import Failure
from holdout.decoding import DecodedImage, DecodingLimits, decode, decode_all, decoded_digests
from holdout.errors import DecodingError
from holdout.headers import ReadLimits, read_header
from tests.holdout import zoo
from tests.holdout.dicom_files import dicom_file


def test_decoded_pixels_are_the_written_ones(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm")
    image = decode(path)
    expected = np.frombuffer(bytes(range(48)), dtype="<u2").reshape(4, 6)
    assert np.array_equal(image.array, expected)
    assert (image.plugin, image.plugin_version) == ("pydicom", pydicom.__version__)
    assert image.sha256 == hashlib.sha256(bytes(range(48))).hexdigest()


def test_lossless_compression_keeps_the_digest(tmp_path: Path) -> None:
    native = dicom_file(tmp_path / "native.dcm")
    dataset = pydicom.dcmread(native)
    dataset.compress(RLELossless, generate_instance_uid=False)
    compressed = tmp_path / "rle.dcm"
    dataset.save_as(compressed)
    digests = [digest for _, digest in decoded_digests([native, compressed])]
    assert not any(isinstance(digest, Failure) for digest in digests)
    assert digests[0].sha256 == digests[1].sha256
    assert digests[0].shape == (4, 6)


def test_too_large_is_refused_before_decoding(tmp_path: Path) -> None:
    with pytest.raises(DecodingError, match="more than the limit of 40 bytes"):
        decode(dicom_file(tmp_path / "a.dcm"), DecodingLimits(decoded_bytes=40))


def test_a_codestream_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(path)
    size = struct.pack(">HHH8I", 0xFF51, 47, 0, 20_000, 20_000, 0, 0, 20_000, 20_000, 0, 0)
    codestream = b"\xff\x4f" + size + struct.pack(">HBBB", 1, 15, 1, 1) + bytes(64)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    with pytest.raises(DecodingError, match="20000 x 20000"):
        decode(path)


def test_what_cannot_be_decoded_says_why(tmp_path: Path) -> None:
    with pytest.raises(DecodingError, match="no pixel data"):
        decode(dicom_file(tmp_path / "a.dcm", PixelData=None, BitsAllocated=None))
    (tmp_path / "b.dcm").write_bytes(b"nothing")
    with pytest.raises(DecodingError, match="not_dicom"):
        decode(tmp_path / "b.dcm")


@zoo.needs_zoo
@pytest.mark.timeout(240)
def test_the_whole_zoo_decodes_as_in_its_manifest() -> None:
    entries = {zoo.ZOO / entry["file"]: entry for entry in zoo.manifest()}
    limits = DecodingLimits(decoded_bytes=128 << 20)
    plugins: Counter[str] = Counter()
    lost = []
    for path, result in decode_all(entries, limits):
        entry = entries[path]
        row = dict(zip(row_columns(), read_header(str(path.parent), path.name, ReadLimits()), strict=True))
        if isinstance(result, DecodedImage):
            plugins[result.plugin] += 1
            assert row["status"] == "ok"
            assert (row["rows"], row["columns"]) in (
                result.array.shape[-2:],
                result.array.shape[-3:-1],
            ), path.name
        elif entry["pydicom_decode"] == "ok" and row["status"] == "ok":
            lost.append((entry["file"], entry["transfer_syntax_uid"], result.detail))
    # 12-bit JPEG, and High-Throughput JPEG 2000 while the pylibjpeg base package is not installed.
    assert len(lost) <= 5, lost
    assert sum(plugins.values()) >= 290
    assert set(plugins) >= {"pydicom", "gdcm", "pyjpegls"}
