"""Each kind of leak, planted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pydicom
import pytest
from pydicom.uid import RLELossless

from holdout import leakage
from holdout.errors import LeakageError
from holdout.index import read_index
from holdout.ingest import ingest
from holdout.leakage import find_leaks
from tests.holdout.dicom_files import dicom_file


def image(folder: Path, name: str, patient: str, seed: int, **changes: Any) -> Path:
    pixels = bytes((seed * 37 + number * (seed + 1)) % 256 for number in range(48))
    path: Path = dicom_file(folder / name, PatientID=patient, PixelData=pixels, **changes)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "source"
    place.mkdir()
    for number in range(4):
        image(place, f"{number}.dcm", f"P{number}", number)
    return place


def leaks(folder: Path, parts: dict[str, str] | None = None, **more: Any) -> dict[str, leakage.Leak]:
    index_path = folder.parent / "index.parquet"
    ingest(folder, index_path, processes=1)
    index: pa.Table = read_index(index_path)
    chosen = None if parts is None else [parts.get(path, "holdout") for path in index["path"].to_pylist()]
    return {leak.kind: leak for leak in find_leaks(index, folder, parts=chosen, **more)}


def test_clean_data_have_no_leak(folder: Path) -> None:
    assert leaks(folder) == {}
    assert leaks(folder, {"0.dcm": "development"}) == {}


def test_a_patient_in_two_parts(folder: Path) -> None:
    image(folder, "5.dcm", "P1", 5)
    found = leaks(folder, {"5.dcm": "development"})
    assert set(found) == {leakage.PATIENT}
    assert found[leakage.PATIENT].items == ("1.dcm", "5.dcm")
    assert found[leakage.PATIENT].excludable == ("1.dcm",)
    assert "P1" not in found[leakage.PATIENT].sentence
    assert leaks(folder, {"5.dcm": "unknown"}) == {}


def test_a_copy_under_another_name(folder: Path) -> None:
    (folder / "copy.dcm").write_bytes((folder / "2.dcm").read_bytes())
    found = leaks(folder)
    assert set(found) == {leakage.SOP_INSTANCE, leakage.BYTE_EQUAL}
    assert found[leakage.BYTE_EQUAL].excludable == ("copy.dcm",)
    across = leaks(folder, {"2.dcm": "development"})[leakage.BYTE_EQUAL]
    assert across.excludable == ("copy.dcm",)
    assert across.items == ("copy.dcm", "2.dcm")


def test_the_same_pixels_under_another_uid(folder: Path) -> None:
    image(folder, "again.dcm", "P9", 3)
    found = leaks(folder)
    assert set(found) == {leakage.PIXEL_EQUAL}
    assert found[leakage.PIXEL_EQUAL].items == ("3.dcm", "again.dcm")


def test_the_same_pixels_compressed_anew(folder: Path) -> None:
    again = image(folder, "again.dcm", "P9", 3)
    dataset = pydicom.dcmread(again)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(again)
    found = leaks(folder)
    assert set(found) == {leakage.DECODED_EQUAL}
    assert found[leakage.DECODED_EQUAL].items == ("3.dcm", "again.dcm")
    left = leaks(folder, most_decoded=2)
    assert left[leakage.NOT_COMPARED].severity == "note"
    assert left[leakage.NOT_COMPARED].excludable == ()
    assert len(left[leakage.NOT_COMPARED].items) == 3


def test_images_that_a_vendor_declares(folder: Path) -> None:
    index_path = folder.parent / "index.parquet"
    ingest(folder, index_path, processes=1)
    rows = read_index(index_path).to_pylist()
    pixels = hashlib.sha256(pydicom.dcmread(folder / "1.dcm").PixelData).hexdigest()
    by_file = find_leaks(read_index(index_path), folder, declared=[rows[0]["sha256"].upper() + "\n"])
    by_pixels = find_leaks(read_index(index_path), folder, declared=[pixels])
    assert [(leak.kind, leak.items) for leak in by_file] == [(leakage.DECLARED, ("0.dcm",))]
    assert [(leak.kind, leak.items) for leak in by_pixels] == [(leakage.DECLARED, ("1.dcm",))]
    parts = ["development", "holdout", "holdout", "holdout"]
    assert find_leaks(read_index(index_path), folder, declared=[rows[0]["sha256"]], parts=parts) == []


def test_equal_samples_are_not_taken_for_equal_pixels(folder: Path) -> None:
    for name, between in (("one", 0), ("two", 1), ("three", 1)):
        pixels = bytearray(2 * 100 * 100)
        # Byte 200 lies between the first two blocks of the sample, which begin at 0 and 641.
        pixels[200] = between
        dicom_file(folder / f"{name}.dcm", rows=100, columns=100, PatientID=name, PixelData=bytes(pixels))
    index_path = folder.parent / "index.parquet"
    ingest(folder, index_path, processes=1)
    index = read_index(index_path)
    samples = dict(zip(index["path"].to_pylist(), index["pixel_sample"].to_pylist(), strict=True))
    assert samples["one.dcm"] == samples["two.dcm"] == samples["three.dcm"]
    (found,) = find_leaks(index, folder)
    assert (found.kind, found.items) == (leakage.PIXEL_EQUAL, ("three.dcm", "two.dcm"))
    (folder / "two.dcm").unlink()
    with pytest.raises(LeakageError, match=r"the pixels of two\.dcm cannot be compared"):
        find_leaks(index, folder)


def test_files_without_an_image_do_not_leak(folder: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("the same text")
        (folder / f"empty-{name}").write_bytes(b"")
    assert leaks(folder) == {}
