"""A folder of anything becomes an index with a row for every entry."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from holdout.attributes import ATTRIBUTES, STRATUM_COLUMNS, row_columns
from holdout.bounded import Failure
from holdout.errors import IngestError
from holdout.headers import STATUSES, ReadLimits
from holdout.index import read_index, schema
from holdout.ingest import ingest
from tests.holdout import zoo
from tests.holdout.dicom_files import dicom_file


def rows_of(index: Path) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in read_index(index).to_pylist()}


@zoo.needs_zoo
def test_the_whole_zoo_goes_through(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    summary = ingest(zoo.ZOO, tmp_path / "index.parquet", progress=lambda *pair: seen.append(pair))
    rows = rows_of(tmp_path / "index.parquet")
    files = {path.relative_to(zoo.ZOO).as_posix() for path in zoo.ZOO.rglob("*") if path.is_file()}
    assert set(rows) == files
    assert summary.files == len(files) == seen[-1][0] == seen[-1][1]
    assert summary.by_status == dict(sorted(Counter(row["status"] for row in rows.values()).items()))
    assert set(summary.by_status) <= set(STATUSES)
    assert summary.bytes == sum((zoo.ZOO / path).stat().st_size for path in files)
    hashes = {entry["file"]: entry["sha256"] for entry in zoo.manifest()}
    assert all(rows[path]["sha256"] == digest for path, digest in hashes.items())
    readable = [rows[e["file"]]["status"] for e in zoo.manifest() if e["kind"] == "real"]
    assert readable.count("ok") >= 290
    assert all((row["status"] == "ok") == (row["defect"] is None) for row in rows.values())
    unknown = sum(r["patient_age_years"] is None for r in rows.values() if r["status"] == "ok")
    assert summary.unknown_by_column["patient_age_years"] == unknown


def test_every_entry_has_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "deep" / "er").mkdir(parents=True)
    dicom_file(folder / "deep" / "er" / "image.dcm", PatientID="P1")
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "notes.txt").write_text("notes")
    os.mkfifo(folder / "fifo")
    outside = dicom_file(tmp_path / "outside.dcm")
    (folder / "leaving.dcm").symlink_to(outside)
    (folder / "inside.dcm").symlink_to(folder / "deep" / "er" / "image.dcm")
    (folder / "loop").symlink_to(folder)
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / os.fsdecode(b"bad\xff.dcm")).write_bytes(b"x")
    index = tmp_path / "index.parquet"
    summary = ingest(folder, index)
    assert {path: row["status"] for path, row in rows_of(index).items()} == {
        "bad\\xff.dcm": "unreadable",
        "dangling": "link",
        "deep/er/image.dcm": "ok",
        "empty.dcm": "empty",
        "fifo": "not_a_file",
        "inside.dcm": "link",
        "leaving.dcm": "link",
        "loop": "link",
        "notes.txt": "not_dicom",
    }
    assert summary.files == 9


def test_the_index_may_lie_inside_and_repeats_itself(tmp_path: Path) -> None:
    for number in range(5):
        dicom_file(tmp_path / f"{number}.dcm", PatientID=f"P{number}")
    index = tmp_path / "index.parquet"
    ingest(tmp_path, index, processes=1)
    first = index.read_bytes()
    assert ingest(tmp_path, index, processes=2).by_status == {"ok": 5}
    assert index.read_bytes() == first


def test_attributes_are_normalised_and_kept_raw(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    dicom_file(
        folder / "a.dcm",
        PatientAge="000Y",
        PatientBirthDate="19800101",
        StudyDate="20200101",
        Manufacturer="  ACME   X ",
        ImageLaterality="L",
        PixelSpacing=[0.5, 0.25],
        SoftwareVersions=["1", "2"],
    )
    ingest(folder, tmp_path / "i.parquet")
    row = rows_of(tmp_path / "i.parquet")["a.dcm"]
    assert row["patient_age_years"] == pytest.approx(40, abs=0.01)
    assert (row["patient_age_years_raw"], row["patient_age_source"]) == ("000Y", "birth_date")
    assert (row["manufacturer"], row["manufacturer_raw"]) == ("ACME X", "  ACME   X")
    assert (row["laterality"], row["software_versions"]) == ("L", "1\\2")
    assert (row["pixel_spacing_row"], row["pixel_spacing_column"]) == (0.5, 0.25)
    assert (row["patient_sex"], row["patient_sex_raw"], row["kvp"]) == ("unknown", None, None)


def test_a_reader_that_dies_leaves_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(3):
        dicom_file(folder / f"{number}.dcm", PatientID="P1")
    with (folder / "huge.dcm").open("wb") as stream:
        stream.truncate(4 << 30)
    index = tmp_path / "i.parquet"
    # 4 GiB of zeros are not hashed within the time, and the other rows do not suffer.
    summary = ingest(folder, index, limits=ReadLimits(seconds_per_file=0.3), processes=1)
    assert summary.by_status == {"ok": 3, "timeout": 1}
    row = rows_of(index)["huge.dcm"]
    assert (row["size"], row["sha256"]) == (4 << 30, None)
    assert "0.3 s" in row["defect"]


def test_a_row_that_is_none_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    dicom_file(folder / "a.dcm")
    dicom_file(folder / "b.dcm")

    def lying(self: object, tasks: Any, *, ordered: bool) -> Any:
        assert ordered
        for number, task in enumerate(tasks):
            yield task, (Failure(code="crash", detail="SIGSEGV") if number else ("x",) * len(row_columns()))

    monkeypatch.setattr("holdout.bounded.BoundedPool.map", lying)
    summary = ingest(folder, tmp_path / "i.parquet")
    assert summary.by_status == {"crash": 2}


def test_bad_folders_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no folder"):
        ingest(tmp_path / "none", tmp_path / "i.parquet")
    (tmp_path / "empty").mkdir()
    assert ingest(tmp_path / "empty", tmp_path / "i.parquet").files == 0
    assert read_index(tmp_path / "i.parquet").num_rows == 0


def test_the_table_of_attributes_is_sound() -> None:
    import pydicom

    for attribute in ATTRIBUTES:
        assert pydicom.datadict.keyword_for_tag(attribute.tags[0]) == attribute.keyword
    assert len(set(row_columns())) == len(row_columns()) == len(schema())
    assert set(STRATUM_COLUMNS) <= set(row_columns())
