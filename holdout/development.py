"""Export the development part to a vendor: the same view as a container gets later, with the truth beside it.

``cases/<pseudonym>/000001.dcm`` are staged files, ``reference.csv`` has a row for each case (pseudonym,
patient pseudonym, labels), README.md says what it is. Nothing of the hold-out goes in: neither its files nor
the texts that only it has.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from holdout.bounded import BoundedPool, Failure
from holdout.cases import group, known_cases
from holdout.errors import PartitionError
from holdout.new_folder import new_folder
from holdout.partition import DEVELOPMENT
from holdout.reference import ReferenceStandard
from holdout.staging import (
    SMALLEST_GROUP,
    Progress,
    StageResult,
    StageTask,
    check_attributes,
    stage_case,
    vocabulary,
)
from holdout.uids import keyed_token
from holdout.view import ViewPlan

README = """# Development part

Cases to train on, in the form in which a container will meet the cases of the examination: one folder a case,
DICOM files 000001.dcm, 000002.dcm, ... De-identified by an allow-list (PS3.15 Basic Profile); UIDs, names and
dates are not the original ones.

reference.csv: `case` (the folder's name), `patient` (the same text for cases of one patient: keep them
together when you split), then the labels (1 positive, 0 negative, empty: no truth).

Beside image, pixel and geometry attributes the files hold: {attributes}.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopmentExport:
    """What was exported; ``failed`` are (case pseudonym, code) of cases that could not be staged."""

    destination: Path
    cases: int
    patients: int
    bytes: int
    failed: tuple[tuple[str, str], ...]


def export_development(
    source: Path,
    index: pa.Table,
    parts: Sequence[str],
    reference: ReferenceStandard,
    destination: Path,
    *,
    key: bytes,
    attributes: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    smallest_group: int = SMALLEST_GROUP,
    processes: int | None = None,
    progress: Progress | None = None,
) -> DevelopmentExport:
    """Write the labelled cases of the development part to ``destination``, which must not exist.

    ``parts`` has the part of each row of ``index``. ``key`` (32 bytes or more) makes the pseudonyms; it
    must not be the key of a run. The same input and key give the same bytes.

    Raises:
        PartitionError: the destination exists, or no labelled case is in the development part.
        StagingError: an attribute cannot be shown.
    """
    if destination.exists():
        raise PartitionError(f"{destination}: exists already; choose a folder that does not")
    named = check_attributes(attributes)
    shown = tuple(labels) if labels is not None else reference.labels
    unknown = sorted(set(shown) - set(reference.labels))
    if unknown:
        raise PartitionError(f"the reference standard has no label {', '.join(unknown)}")
    paths = index.column("path").to_pylist()
    wanted = [
        part == DEVELOPMENT and path not in reference.objects for path, part in zip(paths, parts, strict=True)
    ]
    chosen = known_cases(index.filter(pa.array(wanted, pa.bool_())), reference.unit)
    plan = ViewPlan(attributes=named, vocabulary=vocabulary(chosen, named, smallest_group=smallest_group))
    with new_folder(destination) as building:
        (building / "cases").mkdir()
        tasks: list[StageTask] = []
        rows: dict[str, dict[str, str]] = {}
        for task, row in _labelled_cases(source, chosen, reference, shown, building / "cases", key):
            tasks.append(task)
            rows[task.pseudonym] = row
        if not tasks:
            raise PartitionError("the development part has no labelled case to export")
        # In the order of the pseudonyms: the order of the source may follow date or label.
        tasks.sort(key=lambda task: task.pseudonym)
        size, failed = _stage(tasks, plan, processes, progress)
        for pseudonym, _ in failed:
            del rows[pseudonym]
        with (building / "reference.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["case", "patient", *shown], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[name] for name in sorted(rows))
        text = README.format(attributes=", ".join(named) or "none")
        (building / "README.md").write_text(text, encoding="utf-8")
    return DevelopmentExport(
        destination=destination,
        cases=len(rows),
        patients=len({row["patient"] for row in rows.values()}),
        bytes=size,
        failed=tuple(failed),
    )


def _labelled_cases(
    source: Path,
    chosen: pa.Table,
    reference: ReferenceStandard,
    labels: Sequence[str],
    destination: Path,
    key: bytes,
) -> Iterator[tuple[StageTask, dict[str, str]]]:
    """Each case with a label: what to stage, and its row in the table of the reference standard."""
    groups = group(chosen, reference.unit)
    paths, hashes = chosen.column("path").to_pylist(), chosen.column("sha256").to_pylist()
    patients = chosen.column("patient_id").to_pylist()
    for case, uid in enumerate(groups.uids):
        truth = reference.by_case.get(uid)
        if truth is None or all(truth.labels[label] is None for label in labels):
            continue
        members = groups.rows_of(case).tolist()
        task = StageTask(
            pseudonym=keyed_token(key, "development case", uid),
            case_key=bytes.fromhex(keyed_token(key, "development key", uid, length=64)),
            source=str(source),
            files=tuple((paths[row], hashes[row]) for row in members),
            destination=str(destination),
        )
        patient = keyed_token(key, "development patient", patients[members[0]])
        told = {label: truth.labels[label] or "" for label in labels}
        yield task, {"case": task.pseudonym, "patient": patient} | told


def _stage(
    tasks: Sequence[StageTask], plan: ViewPlan, processes: int | None, progress: Progress | None
) -> tuple[int, list[tuple[str, str]]]:
    """Bytes written, and (pseudonym, code) of what failed."""
    size, failed = 0, []
    with BoundedPool(
        partial(stage_case, plan=plan),
        processes=processes or len(os.sched_getaffinity(0)),
        memory_bytes=2 << 30,
        seconds_per_task=60,
    ) as pool:
        for done, (task, outcome) in enumerate(pool.map(tasks), start=1):
            result: StageResult | Failure = outcome
            if result.code:
                failed.append((task.pseudonym, result.code))
                shutil.rmtree(Path(task.destination) / f".{task.pseudonym}", ignore_errors=True)
            elif isinstance(result, StageResult):
                size += result.bytes
            if progress is not None:
                progress(done, len(tasks))
    return size, sorted(failed)
