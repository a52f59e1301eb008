"""Each kind of leak, planted."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pyarrow as pa
import pydicom
import pytest
from pydicom.uid import RLELossless

from holdout import leakage
from holdout.index import read_index
from holdout.ingest import ingest
from holdout.leakage import find_leaks


def _sibling(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dicom_file = _sibling("dicom_files").dicom_file


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
    return {leak.kind: leak for leak in find_leaks(index, source=folder, parts=chosen, **more)}


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
    by_file = find_leaks(read_index(index_path), declared=[rows[0]["sha256"].upper() + "\n"])
    by_pixels = find_leaks(read_index(index_path), declared=[rows[1]["pixel_sha256"]])
    assert [(leak.kind, leak.items) for leak in by_file] == [(leakage.DECLARED, ("0.dcm",))]
    assert [(leak.kind, leak.items) for leak in by_pixels] == [(leakage.DECLARED, ("1.dcm",))]
    parts = ["development", "holdout", "holdout", "holdout"]
    assert find_leaks(read_index(index_path), declared=[rows[0]["sha256"]], parts=parts) == []


def test_files_without_an_image_do_not_leak(folder: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("the same text")
        (folder / f"empty-{name}").write_bytes(b"")
    assert leaks(folder) == {}
