"""Differencing: refuse what, held against an earlier release, would tell about a few patients.

Two versions of a hold-out that differ in three patients, or two submissions whose calls do, make of two harmless
releases a statement about those three.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from holdout.lock import LockedHoldout, open_reference
from holdout.locked import read_index
from sandbox import holdouts
from sandbox.disclosure.differencing import Difference, call_differences, version_differences
from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.evaluation import Evaluation
from sandbox.evidence.ledger import Ledger
from sandbox.release.issued import Issued
from sandbox.results import Results, from_json
from sandbox.workspace import Workspace

Bools = npt.NDArray[np.bool_]


def check_versions(workspace: Workspace, ledger: Ledger, locked: LockedHoldout, minimum: int) -> None:
    """Hold a version against every other version of the same hold-out of which something was released.

    Raises:
        ReleaseRefusedError: they differ by fewer than ``minimum`` patients.
    """
    issued = ledger.find(kind="release-issued", holdout=locked.name)
    others = sorted({each.subject["version"] for each in issued} - {locked.version})
    if others:
        released = {
            f"version {name}": _patients(workspace, holdouts.open_holdout(workspace, locked.name, name))
            for name in others
        }
        _refuse(version_differences(released, _patients(workspace, locked), minimum))


def check_calls(
    workspace: Workspace, item: Evaluation, results: Results, issued: Sequence[Issued], minimum: int
) -> None:
    """Hold the calls of an evaluation against those behind every release of the same hold-out version.

    Raises:
        ReleaseRefusedError: at some operating points they differ by fewer than ``minimum`` patients.
    """
    thresholds = _thresholds(results)
    others = dict.fromkeys(each.evaluation for each in issued if each.evaluation != item.id)
    if not thresholds or not others:
        return
    own = _scored(item.folder)
    released: dict[str, Bools] = {}
    for other in others:
        folder = workspace.evaluation(other)
        table = _scored(folder)
        if not table["case_id"].equals(own["case_id"]):
            # Drawn from a pool: other patients answered, which is the pool's own protection.
            continue
        for name, threshold in _thresholds(from_json((folder / "results.json").read_bytes())).items():
            released[f"{other} at {name}"] = _calls(table, threshold)
    patients = np.asarray(own["patient_key"].to_pylist())
    for threshold in thresholds.values():
        _refuse(call_differences(released, _calls(own, threshold), patients, minimum))


def _refuse(found: Sequence[Difference]) -> None:
    for difference in found:
        if difference.refused:
            raise ReleaseRefusedError(difference.sentence)


def _patients(workspace: Workspace, locked: LockedHoldout) -> Mapping[str, str]:
    """Digest of each patient's images and truth, by the patient's pseudonym."""
    index = read_index(locked)
    hashes = dict(zip(index["path"].to_pylist(), index["sha256"].to_pylist(), strict=True))
    reference = open_reference(locked, holdouts.reference_key(workspace, locked))
    truths = {row["case_id"]: row for row in reference.to_pylist()}
    hashed: dict[str, list[str]] = {}
    for row in locked.cases.select(["case_id", "patient_key", "files"]).to_pylist():
        whole = [*sorted(hashes[path] for path in row["files"]), repr(truths.get(row["case_id"]))]
        hashed.setdefault(row["patient_key"], []).append("\0".join(whole))
    return {
        patient: hashlib.sha256("\1".join(sorted(cases)).encode()).hexdigest()
        for patient, cases in hashed.items()
    }


def _thresholds(results: Results) -> dict[str, float]:
    points = results.analysis().operating_points
    return {point.name: point.threshold for point in points if point.threshold is not None}


def _scored(folder: Path) -> pa.Table:
    try:
        table = pq.read_table(folder / "scored.parquet", columns=["case_id", "patient_key", "score"])
    except (OSError, ValueError, KeyError) as error:
        raise ReleaseError(f"{folder} is damaged. Restore it from a backup of the workspace.") from error
    return table.sort_by("case_id")


def _calls(table: pa.Table, threshold: float) -> Bools:
    """Positive calls; a failed case is none."""
    scores = table["score"].to_numpy(zero_copy_only=False)
    return np.asarray(np.nan_to_num(scores, nan=-np.inf) >= threshold, dtype=bool)
