from __future__ import annotations

import csv
import dataclasses
import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest

from holdout import partition
from holdout.development import export_development
from holdout.errors import PartitionError, StagingError
from holdout.locked import read_index
from holdout.pixel_equality import pixel_hashes
from holdout.staging import StagedCase, Stager, StagingFailure, vocabulary

if TYPE_CHECKING:
    SyntheticSet = Any

RUN_KEY = b"k" * 32


def test_cases_are_staged_in_the_run_s_order(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    locked = synthetic_set.lock(tmp_path / "locked")
    files = dict(
        zip(locked.cases.column("case_id").to_pylist(), locked.cases.column("files").to_pylist(), strict=True)
    )
    seen: list[str] = []
    calls: list[tuple[int, int | None]] = []
    with Stager(
        locked, run_key=RUN_KEY, destination=tmp_path / "stage", attributes=("ViewPosition",), processes=2
    ) as stager:
        order = stager.order()
        for case in stager.stage(progress=lambda done, total: calls.append((done, total))):
            assert isinstance(case, StagedCase)
            seen.append(case.pseudonym)
            assert case.files == ("000001.dcm",)
            staged = pydicom.dcmread(case.directory / case.files[0])
            source = pydicom.dcmread(locked.source / files[case.case_id][0])
            assert np.array_equal(staged.pixel_array, source.pixel_array)
            assert staged.PhotometricInterpretation == source.PhotometricInterpretation
            assert staged.ViewPosition == source.ViewPosition
            assert staged.PatientID == case.pseudonym == stager.pseudonym(case.case_id)
            assert case.bytes == (case.directory / case.files[0]).stat().st_size
            shutil.rmtree(case.directory)
        kept = next(iter(stager.stage([order[4]])))
        assert isinstance(kept, StagedCase)
        assert kept.pseudonym == order[4]
        # What a killed run left behind does not hinder the same run.
        (tmp_path / "stage" / f".{order[0]}").mkdir()
        (tmp_path / "stage" / order[1]).mkdir()
        (tmp_path / "stage" / order[1] / "000001.dcm").write_bytes(b"half")
    with Stager(locked, run_key=RUN_KEY, destination=tmp_path / "stage", processes=1) as stager:
        assert all(isinstance(case, StagedCase) for case in stager.stage(order[:2]))
    assert seen == order
    assert calls[-1] == (len(order), len(order))
    assert list((tmp_path / "stage").iterdir()) == []


def test_two_runs_cannot_be_joined(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    locked = synthetic_set.lock(tmp_path / "locked")
    identities: list[set[str]] = []
    orders: list[list[str]] = []
    for key in (b"a" * 32, b"b" * 32):
        found: set[str] = set()
        with Stager(locked, run_key=key, destination=tmp_path / key[:1].decode(), processes=1) as stager:
            for case in stager.stage(stager.order()[:6]):
                assert isinstance(case, StagedCase)
                dataset = pydicom.dcmread(case.directory / case.files[0])
                found |= {case.pseudonym, dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.PatientID}
            by_pseudonym = {
                stager.pseudonym(name): name for name in locked.cases.column("case_id").to_pylist()
            }
            orders.append([by_pseudonym[pseudonym] for pseudonym in stager.order()])
        identities.append(found)
    assert not identities[0] & identities[1]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_images_of_one_patient_are_not_linked(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    locked = synthetic_set.lock(tmp_path / "locked")
    patients = locked.cases.column("patient_key").to_pylist()
    several = next(key for key in patients if patients.count(key) > 1)
    wanted = [
        name
        for name, key in zip(locked.cases.column("case_id").to_pylist(), patients, strict=True)
        if key == several
    ]
    with Stager(locked, run_key=RUN_KEY, destination=tmp_path / "stage", processes=1) as stager:
        cases = list(stager.stage([stager.pseudonym(name) for name in wanted]))
        datasets = [
            pydicom.dcmread(case.directory / case.files[0]) for case in cases if isinstance(case, StagedCase)
        ]
    assert len({dataset.PatientID for dataset in datasets}) == len(wanted)
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == len(wanted)


def test_no_identifier_of_the_source_is_staged(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    locked = synthetic_set.lock(tmp_path / "locked")
    with Stager(locked, run_key=RUN_KEY, destination=tmp_path / "stage", processes=1) as stager:
        for case in stager.stage(stager.order()[:5]):
            assert isinstance(case, StagedCase)
            content = (case.directory / case.files[0]).read_bytes()
            assert not re.search(rb"SYN|Synthetic|2022\d{4}", content)


def test_bad_files_fail_with_their_code_and_the_others_go_on(
    synthetic_set: SyntheticSet, tmp_path: Path
) -> None:
    shutil.copytree(synthetic_set.dicom, tmp_path / "dicom")
    locked = synthetic_set.lock(tmp_path / "locked", source=tmp_path / "dicom")
    first, second = (files[0] for files in locked.cases.column("files").to_pylist()[:2])
    content = bytearray((locked.source / first).read_bytes())
    content[-1] ^= 1
    (locked.source / first).write_bytes(content)
    (locked.source / second).unlink()
    with Stager(locked, run_key=RUN_KEY, destination=tmp_path / "stage", processes=1) as stager:
        outcomes = {case.case_id: case for case in stager.stage()}
        left = sorted(path.name for path in (tmp_path / "stage").iterdir())
        assert left == sorted(case.pseudonym for case in outcomes.values() if isinstance(case, StagedCase))
    ids = locked.cases.column("case_id").to_pylist()
    altered, gone = outcomes[ids[0]], outcomes[ids[1]]
    assert isinstance(altered, StagingFailure)
    assert isinstance(gone, StagingFailure)
    assert (altered.code, gone.code) == ("altered", "unreadable")
    assert sum(isinstance(case, StagedCase) for case in outcomes.values()) == len(ids) - 2


def test_slices_come_in_their_order(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    from holdout import reference
    from holdout.index import read_index as read
    from holdout.ingest import ingest

    source = sorted(synthetic_set.dicom.rglob("*.dcm"))[:4]
    (tmp_path / "dicom").mkdir()
    for number, path in zip((30, 4, 100, 2), source, strict=True):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.PatientID = "1.2", "1.3", "P"
        dataset.InstanceNumber = number
        dataset.WindowCenter = number
        dataset.save_as(tmp_path / "dicom" / path.name)
    ingest(tmp_path / "dicom", tmp_path / "index.parquet", processes=1)
    index = read(tmp_path / "index.parquet")
    (tmp_path / "reference.csv").write_text("k,truth\n1.2,1\n")
    (tmp_path / "reference.yaml").write_text(
        "proctor: reference/1\ntable: reference.csv\nkey: {study_instance_uid: k}\nmethod: {value: made}\n"
        "labels: {opacity: {column: truth, positive: [1], negative: [0]}}\n"
    )
    standard = reference.load(tmp_path / "reference.yaml", index, unit="study")
    locked = synthetic_set.lock(
        tmp_path / "locked", index=index, source=tmp_path / "dicom", reference=standard, site=None
    )
    with Stager(locked, run_key=RUN_KEY, destination=tmp_path / "stage", processes=1) as stager:
        (case,) = stager.stage()
        assert isinstance(case, StagedCase)
        datasets = [pydicom.dcmread(case.directory / name) for name in case.files]
    assert [float(dataset.WindowCenter) for dataset in datasets] == [2, 4, 30, 100]
    assert [dataset.InstanceNumber for dataset in datasets] == [1, 2, 3, 4]
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 1
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == 4


def test_texts_pass_only_when_several_patients_share_them(synthetic_set: SyntheticSet) -> None:
    rows = synthetic_set.index.to_pylist()
    rows[0]["manufacturer"] = "Dr Smith's own"
    index = type(synthetic_set.index).from_pylist(rows, schema=synthetic_set.index.schema)
    found = vocabulary(index, ("Manufacturer", "PatientSex"))
    assert found == {"Manufacturer": frozenset({"Synthetic A", "Synthetic B"})}
    assert vocabulary(index, ("Manufacturer",), smallest_group=1)["Manufacturer"] >= {"Dr Smith's own"}


def test_refusals(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    locked = synthetic_set.lock(tmp_path / "locked")
    for keyword in ("PatientName", "PatientBirthDate", "InstitutionName", "NoSuchThing"):
        with pytest.raises(StagingError, match=f"{keyword}: cannot be shown to a container"):
            Stager(locked, run_key=RUN_KEY, destination=tmp_path / "stage", attributes=(keyword,))
    with pytest.raises(StagingError, match="at least 32"):
        Stager(locked, run_key=b"short", destination=tmp_path / "stage")


def test_dcmtk_reads_staged_files(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmdump (DCMTK) is not installed")
    locked = synthetic_set.lock(tmp_path / "locked")
    with Stager(locked, run_key=RUN_KEY, destination=tmp_path / "stage", processes=1) as stager:
        (case,) = stager.stage(stager.order()[:1])
        assert isinstance(case, StagedCase)
        done = subprocess.run(
            ["dcmdump", "-q", str(case.directory / case.files[0])], capture_output=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_export_of_the_development_part(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    index = synthetic_set.index
    balance = partition.balance_by(index, reference=synthetic_set.reference, label="opacity")
    parts = partition.parts_of_files(
        index, partition.partition(index, development=0.4, seed=2, balance=balance)
    )

    def export(name: str, **options: Any) -> Path:
        made = export_development(
            synthetic_set.dicom,
            index,
            parts,
            synthetic_set.reference,
            tmp_path / name,
            key=b"e" * 32,
            attributes=("Manufacturer", "ViewPosition"),
            smallest_group=2,
            **options,
        )
        assert made.failed == ()
        assert made.cases == parts.count("development")
        return made.destination

    folder = export("a")
    with (folder / "reference.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {path.name for path in (folder / "cases").iterdir()} == {row["case"] for row in rows}
    assert list(rows[0]) == ["case", "patient", "opacity"]
    locked = synthetic_set.lock(tmp_path / "locked", parts=parts)
    hidden = set(pixel_hashes(read_index(locked).column("path").to_pylist(), synthetic_set.dicom).values())
    assert len(hidden) == locked.instances
    for row in rows:
        staged = pydicom.dcmread(folder / "cases" / row["case"] / "000001.dcm")
        assert hashlib.sha256(staged.PixelData).hexdigest() not in hidden
        assert staged.PatientID == row["case"]
        assert staged.Manufacturer.startswith("Synthetic")
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    for column in ("sop_instance_uid", "patient_id", "accession_number", "study_instance_uid"):
        assert not any(value.encode() in content for value in index.column(column).to_pylist())
    again = export("b", processes=1)
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes()
    with pytest.raises(PartitionError, match="exists already"):
        export("a")
    standard = dataclasses.replace(synthetic_set.reference, by_case={})
    with pytest.raises(PartitionError, match="no labelled case"):
        export_development(synthetic_set.dicom, index, parts, standard, tmp_path / "c", key=b"e" * 32)
    with pytest.raises(PartitionError, match="has no label nodule"):
        export("d", labels=("nodule",))
