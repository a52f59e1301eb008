from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pydicom
import pytest

from holdout import partition
from holdout.errors import LockError, LockRefusedError, ReferenceStandardError, SealError, VerificationError
from holdout.index import read_index as read_ingested
from holdout.ingest import ingest
from holdout.lock import open_locked, open_reference
from holdout.locked import FILES, read_index
from holdout.reference import load

if TYPE_CHECKING:
    SyntheticSet = Any

REFERENCE_KEY = b"r" * 32


def test_a_locked_hold_out_opens_with_all_that_was_put_in(
    synthetic_set: SyntheticSet, tmp_path: Path
) -> None:
    locked = synthetic_set.lock(tmp_path / "locked")
    assert (locked.name, locked.version, locked.unit) == ("synthetic", "1", "image")
    assert locked.cases.num_rows == locked.instances == synthetic_set.index.num_rows
    assert locked.patients == 24
    assert {child.name for child in locked.path.iterdir()} == FILES
    case = locked.cases.slice(0, 1).to_pylist()[0]
    assert case["case_id"].startswith("c-")
    assert case["patient_key"].startswith("p-")
    assert case["manufacturer"] in ("Synthetic A", "Synthetic B")
    assert case["site.site"] in ("North", "South")
    assert locked.cases.column("case_id").to_pylist() == sorted(locked.cases.column("case_id").to_pylist())
    assert read_index(locked).num_rows == synthetic_set.index.num_rows

    truth = open_reference(locked, REFERENCE_KEY)
    assert truth.column_names == [
        "case_id",
        "opacity",
        "reference.method",
        "reference.readers",
        "reference.date",
    ]
    by_path = dict(
        zip(
            synthetic_set.index.column("path").to_pylist(),
            synthetic_set.index.column("sop_instance_uid").to_pylist(),
            strict=True,
        )
    )
    files = dict(
        zip(locked.cases.column("case_id").to_pylist(), locked.cases.column("files").to_pylist(), strict=True)
    )
    for row in truth.to_pylist():
        expected = synthetic_set.reference.by_case[by_path[files[row["case_id"]][0]]]
        assert str(row["opacity"]) == expected.labels["opacity"]
        assert row["reference.method"] == expected.method


def test_the_same_input_gives_the_same_root_and_bytes(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    first = synthetic_set.lock(tmp_path / "a")
    second = synthetic_set.lock(tmp_path / "b")
    assert first.root == second.root
    for name in FILES:
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    shuffled = synthetic_set.index.take(pa.array(range(synthetic_set.index.num_rows - 1, -1, -1)))
    site = {name: values[::-1] for name, values in synthetic_set.site.items()}
    assert synthetic_set.lock(tmp_path / "c", index=shuffled, site=site).root == first.root
    for option in (
        {"name": "other"},
        {"version": "2"},
        {"dataset_key": b"e" * 32},
        {"reference_key": b"s" * 32},
    ):
        changed = synthetic_set.lock(tmp_path / next(iter(option)), **option)
        assert changed.root != first.root


def test_no_identifier_stands_in_cases_or_reference(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    locked = synthetic_set.lock(tmp_path / "locked")
    shown = str(locked.cases.drop_columns(["files"]).to_pylist())
    for column in ("sop_instance_uid", "study_instance_uid", "patient_id", "accession_number"):
        for value in set(synthetic_set.index.column(column).to_pylist()):
            assert value not in shown


def test_everything_is_read_only(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    shutil.copytree(synthetic_set.dicom, tmp_path / "dicom")
    locked = synthetic_set.lock(tmp_path / "locked", source=tmp_path / "dicom", protect_source=True)
    assert all(child.stat().st_mode & 0o222 == 0 for child in locked.path.iterdir())
    assert locked.path.stat().st_mode & 0o222 == 0
    files = [path for path in (tmp_path / "dicom").rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o222 == 0 for path in files)


def test_partition_and_flow(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    parts = partition.partition(synthetic_set.index, development=0.5, seed=1)
    of_files = partition.parts_of_files(synthetic_set.index, parts)
    excluded = synthetic_set.index.column("path").to_pylist()[of_files.index("holdout")]
    locked = synthetic_set.lock(tmp_path / "locked", parts=of_files, exclusions={excluded: "motion"})
    assert locked.instances == of_files.count("holdout") - 1
    assert locked.flow == (
        ("another_part", "belongs to another part of the partition", of_files.count("development")),
        ("by_path", "motion", 1),
    )


def test_unlabelled_cases_leave_the_flow(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    by_case = dict(synthetic_set.reference.by_case)
    gone = sorted(by_case)[:3]
    for uid in gone:
        by_case[uid] = dataclasses.replace(by_case[uid], labels={"opacity": None})
    standard = dataclasses.replace(synthetic_set.reference, by_case=by_case, unlabelled=tuple(gone))
    locked = synthetic_set.lock(tmp_path / "locked", reference=standard)
    assert locked.flow == (("unlabelled", "has no reference standard", 3),)


def with_rows(index: pa.Table, change: dict[int, dict[str, Any]]) -> pa.Table:
    rows = index.to_pylist()
    for position, values in change.items():
        rows[position].update(values)
    return pa.Table.from_pylist(rows, schema=index.schema)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({1: {"status": "truncated"}}, "truncated"),
        ({1: {"patient_id": "unknown"}}, "without_patient_id"),
        ({1: {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.11"}}, "unsupported_sop_class"),
        ({1: {"transfer_syntax_uid": "1.2.840.10008.1.2.4.100"}}, "unsupported_transfer_syntax"),
        ({1: {"sop_instance_uid": "SAME"}, 2: {"sop_instance_uid": "SAME"}}, "repeated_sop_instance_uid"),
    ],
)
def test_what_a_rule_forbids_refuses_until_it_is_excluded(
    change: dict[int, dict[str, Any]], code: str, synthetic_set: SyntheticSet, tmp_path: Path
) -> None:
    index = with_rows(synthetic_set.index, change)
    with pytest.raises(LockRefusedError, match=code):
        synthetic_set.lock(tmp_path / "locked", index=index)
    assert list(tmp_path.iterdir()) == []
    if code == "repeated_sop_instance_uid":
        return  # the made-up UID has no truth
    locked = synthetic_set.lock(tmp_path / "locked", index=index, exclusions={code: "said so"})
    assert locked.flow == ((code, "said so", 1),)


def test_leaks_refuse(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    patients = synthetic_set.index.column("patient_id").to_pylist()
    several = next(patient for patient in patients if patients.count(patient) > 1)
    parts = ["holdout"] * len(patients)
    parts[patients.index(several)] = "development"
    with pytest.raises(LockRefusedError, match="patient_in_two_parts"):
        synthetic_set.lock(tmp_path / "locked", parts=parts)
    excluded = {"patient_in_two_parts": "the vendor may have trained on it"}
    locked = synthetic_set.lock(tmp_path / "locked", parts=parts, exclusions=excluded)
    assert locked.instances == len(patients) - patients.count(several)
    declared = synthetic_set.index.column("sha256").to_pylist()[:2]
    with pytest.raises(LockRefusedError, match="declared_training"):
        synthetic_set.lock(tmp_path / "other", declared=declared)


def test_an_image_under_two_uids_refuses_until_it_is_excluded(
    synthetic_set: SyntheticSet, tmp_path: Path
) -> None:
    shutil.copytree(synthetic_set.folder, tmp_path / "set")
    first, second = sorted((tmp_path / "set" / "dicom").rglob("*.dcm"))[:2]
    image, other = pydicom.dcmread(first), pydicom.dcmread(second)
    other.PixelData = image.PixelData
    second.chmod(0o644)
    other.save_as(second)
    ingest(tmp_path / "set" / "dicom", tmp_path / "index.parquet", processes=1)
    index = read_ingested(tmp_path / "index.parquet")
    here: dict[str, Any] = {"source": tmp_path / "set" / "dicom", "index": index}
    with pytest.raises(LockRefusedError, match=r"2 files have equal pixels .* \(pixel_equal\)"):
        synthetic_set.lock(tmp_path / "locked", **here)
    locked = synthetic_set.lock(tmp_path / "locked", **here, exclusions={"pixel_equal": "exported twice"})
    assert locked.flow == (("pixel_equal", "exported twice", 1),)


def test_files_changed_since_ingest_refuse(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    shutil.copytree(synthetic_set.dicom, tmp_path / "dicom")
    victim = next((tmp_path / "dicom").rglob("*.dcm"))
    victim.write_bytes(victim.read_bytes()[:-2])
    with pytest.raises(LockRefusedError, match="1 files are not what was ingested"):
        synthetic_set.lock(tmp_path / "locked", source=tmp_path / "dicom")
    assert not (tmp_path / "locked").exists()


def test_other_refusals(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    standard = dataclasses.replace(synthetic_set.reference, conflicts=("lines 2, 3: contradiction",))
    with pytest.raises(ReferenceStandardError, match="contradiction"):
        synthetic_set.lock(tmp_path / "locked", reference=standard)
    with pytest.raises(LockRefusedError, match="has no reason"):
        synthetic_set.lock(tmp_path / "locked", exclusions={"truncated": " "})
    with pytest.raises(LockRefusedError, match="no such file"):
        synthetic_set.lock(tmp_path / "locked", exclusions={"a/b.dcm": "why"})
    with pytest.raises(LockRefusedError, match=r"no such code \(codes: byte_equal"):
        synthetic_set.lock(tmp_path / "locked", exclusions={"byte_equl": "misspelt"})
    with pytest.raises(LockRefusedError, match="32 are needed"):
        synthetic_set.lock(tmp_path / "locked", dataset_key=b"short")
    with pytest.raises(SealError, match="at least 32"):
        synthetic_set.lock(tmp_path / "locked", reference_key=b"short")
    with pytest.raises(LockRefusedError, match="no case is left"):
        synthetic_set.lock(tmp_path / "locked", parts=["development"] * synthetic_set.index.num_rows)
    assert list(tmp_path.iterdir()) == []
    synthetic_set.lock(tmp_path / "locked")
    with pytest.raises(LockRefusedError, match="never overwritten"):
        synthetic_set.lock(tmp_path / "locked")


def test_a_failure_while_writing_leaves_nothing(
    synthetic_set: SyntheticSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        synthetic_set.lock(tmp_path / "locked")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_lock_does_not_open(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    with pytest.raises(LockError, match="is not a locked hold-out"):
        open_locked(tmp_path)
    locked = synthetic_set.lock(tmp_path / "locked")
    with pytest.raises(SealError, match="wrong key"):
        open_reference(locked, b"x" * 32)
    locked.path.chmod(0o755)
    for name in FILES - {"reference.sealed"}:
        content = (locked.path / name).read_bytes()
        (locked.path / name).chmod(0o644)
        (locked.path / name).write_bytes(content[:-3] + b"xyz")
        if name not in ("index.parquet", "commitments.jsonl"):
            with pytest.raises(VerificationError):
                open_locked(locked.path)
        (locked.path / name).write_bytes(content)
    assert open_locked(locked.path).root == locked.root


@pytest.mark.parametrize("unit", ["series", "study"])
def test_coarser_units(unit: str, synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    from holdout import reference

    # One series from two images of a patient, on two scanners.
    patients = synthetic_set.index.column("patient_id").to_pylist()
    several = next(patient for patient in patients if patients.count(patient) > 1)
    places = [place for place, patient in enumerate(patients) if patient == several]
    shared = {"series_instance_uid": "2.25.1", "study_instance_uid": "2.25.2"}
    change: dict[int, dict[str, Any]] = {place: dict(shared) for place in places}
    change[places[0]] |= {"manufacturer": "Synthetic A", "kvp": 80.0}
    change[places[1]] |= {"manufacturer": "Synthetic B", "kvp": 90.0}
    index = with_rows(synthetic_set.index, change)
    table = ["path,truth"] + [f"{path},1" for path in index.column("path").to_pylist()]
    (tmp_path / "reference.csv").write_text("\n".join(table))
    (tmp_path / "reference.yaml").write_text(
        "proctor: reference/1\ntable: reference.csv\nkey: {file: path}\nmethod: {value: made}\n"
        "labels: {opacity: {column: truth, positive: [1], negative: [0]}}\n"
    )
    standard = reference.load(tmp_path / "reference.yaml", index, unit=unit)  # type: ignore[arg-type]
    locked = synthetic_set.lock(tmp_path / "locked", index=index, reference=standard)
    assert locked.unit == unit
    row = next(row for row in locked.cases.to_pylist() if len(row["files"]) > 1)
    assert row["instances"] == len(places)
    assert row["manufacturer"] == "mixed"
    assert row["kvp"] is None
    two_patients = with_rows(index, {places[0]: {"patient_id": "SOMEBODY"}})
    with pytest.raises(LockRefusedError, match="belongs to 2 patients"):
        synthetic_set.lock(tmp_path / "other", index=two_patients, reference=standard)


def test_a_study_that_lost_a_file_is_told(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    rows = synthetic_set.index.to_pylist()
    label = {
        row["sop_instance_uid"]: synthetic_set.reference.by_case[row["sop_instance_uid"]] for row in rows
    }
    one, other = next(
        (a, b)
        for a in rows
        for b in rows
        if a["path"] < b["path"]
        and a["patient_id"] == b["patient_id"]
        and label[a["sop_instance_uid"]].labels == label[b["sop_instance_uid"]].labels
    )
    other["study_instance_uid"] = one["study_instance_uid"]
    index = pa.Table.from_pylist(rows, schema=synthetic_set.index.schema)
    reference = load(synthetic_set.dicom.parent / "reference.yaml", index, unit="study")
    whole = synthetic_set.lock(tmp_path / "whole", index=index, reference=reference)
    assert whole.notes == ()
    motion = {one["path"]: "motion"}
    cut = synthetic_set.lock(tmp_path / "cut", index=index, reference=reference, exclusions=motion)
    assert [note.split(";")[0] for note in cut.notes] == ["1 cases lost 1 of their files to exclusions"]
