"""Versions of one hold-out that differ in a few patients: numbers of both would tell about those few."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from holdout.lock import LockedHoldout, open_reference
from holdout.locked import read_index
from sandbox.custody import holdouts
from sandbox.disclosure.differencing import Difference, version_differences
from sandbox.errors import ReleaseRefusedError
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import Workspace


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


def _refuse(found: Sequence[Difference]) -> None:
    for each in found:
        if each.refused:
            raise ReleaseRefusedError(each.sentence)


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
