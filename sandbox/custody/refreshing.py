"""A fresh version of a hold-out: worn patients leave, others come from a reserve that was never asked.

The reserve is the part that ``proctor holdout partition --reserve`` kept back. Who leaves follows from the uses that
the releases prove; who comes is drawn with a key that stays here, so that nobody can choose. Steps, each of which a
killed process may leave behind and the same command goes on from:

1. refresh-<version>.json    who leaves and who comes, by Patient ID: it stays inside
2. holdout-refreshed         in the ledger: digests and counts, by two people where the policy says so
3. parts.parquet             the new partition
4. the lock of the next version
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from holdout.cases import UNIT_COLUMNS, known_cases, patient_key
from holdout.lock import LockedHoldout
from holdout.partition import HOLDOUT
from sandbox.custody import holdouts
from sandbox.custody.drafts import RESERVE, Draft, draft, truth
from sandbox.errors import EvaluationRefusedError, UsageError, WorkspaceError
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.ledger import Ledger
from sandbox.institution.policy import Policy
from sandbox.institution.two_people import ActKind, check_may_take_part, enter_act, govern
from sandbox.institution.workspace import Workspace, open_ledger, secret_key, write_json
from sandbox.release.wear import uses_of
from sandbox.reuse.pool import Refresh, patients_digest
from sandbox.reuse.pool import refresh as draw_fresh
from sandbox.reuse.uses import uses_per_case
from sandbox.tables import write_table

WORN = "worn"
ACT: ActKind = "holdout-refreshed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A refreshed hold-out: the version locked anew, and how many patients left and came."""

    locked: LockedHoldout
    replaced: str
    left: int
    came: int
    reserve: int


def refresh(
    workspace: Workspace,
    name: str,
    *,
    most_uses: int | None = None,
    exclusions: Mapping[str, str] | None = None,
    progress: holdouts.ProgressBar | None = None,
) -> Refreshed:
    """Replace the worn patients of the newest version of ``name`` and lock the next one.

    Args:
        most_uses: from so many uses on a patient is worn; the policy's ``reuse.retire.uses`` when None.
        exclusions: as for the lock of the new version.

    Raises:
        UsageError: nothing is worn, or the draft has no reserve.
        EvaluationRefusedError: so few patients would change that the two versions would tell about them.
        ReuseError: the reserve is too small.
        ActorError: who acts is no custodian, or the policy wants a second person.
    """
    locked = holdouts.open_holdout(workspace, name)
    item = draft(workspace, name)
    note = item.folder / f"refresh-{locked.version}.json"
    with open_ledger(workspace) as ledger:
        check_may_take_part(workspace, ledger, ACT)
        policy = govern(workspace, ledger)
        entered = ledger.find(kind=ACT, holdout=locked.name, version=locked.version)
        if entered:
            plan = _read(note, entered[-1])
        else:
            plan = _plan(workspace, ledger, item, locked, most_uses, policy)
            write_json(note, plan)
            enter_act(workspace, ledger, ACT, _subject(locked, plan), _counts(locked, plan))
    _partition(item, plan)
    fresh = holdouts.lock(workspace, name, unit=locked.unit, exclusions=exclusions, progress=progress)
    return Refreshed(
        locked=fresh,
        replaced=locked.version,
        left=len(plan["left"]),
        came=len(plan["came"]),
        reserve=plan["reserve"],
    )


def _plan(
    workspace: Workspace,
    ledger: Ledger,
    item: Draft,
    locked: LockedHoldout,
    most_uses: int | None,
    policy: Policy,
) -> dict[str, Any]:
    """Who leaves and who comes: Patient IDs by pseudonym, and how many stay in the reserve."""
    key = secret_key(workspace, f"holdout:{locked.name}:pseudonyms")
    ids = {patient_key(key, patient): patient for patient in _parts(item)}
    reserve = {patient_key(key, patient) for patient in _reserve(item, locked)}
    worn_at = most_uses or policy.reuse.retire.uses
    if worn_at is None:
        raise UsageError("The policy retires no case by its uses. Say from how many on: --uses N.")
    used = uses_per_case(uses_of(workspace, ledger, locked))
    uses: dict[str, int] = {}
    for row in locked.cases.select(["case_id", "patient_key"]).to_pylist():
        uses[row["patient_key"]] = max(used.get(row["case_id"], 0), uses.get(row["patient_key"], 0))
    found = draw_fresh(uses, uses, reserve, most_uses=worn_at, size=len(uses), key=key)
    if not found.left:
        raise UsageError(
            f"No patient of {locked.name} {locked.version} was used {worn_at} times: it is fresh."
        )
    _check_enough(found, policy)
    return {
        "left": {patient: ids[patient] for patient in found.left},
        "came": {patient: ids[patient] for patient in found.came},
        "reserve": len(reserve) - len(found.came),
    }


def _check_enough(found: Refresh, policy: Policy) -> None:
    least = policy.disclosure.minimum_difference
    if min(len(found.left), len(found.came)) < least:
        raise EvaluationRefusedError(
            f"So few patients would change that numbers of both versions would tell about them: at least {least} must "
            "(disclosure.minimum_difference). Refresh later, or from fewer uses on: --uses N."
        )


def _parts(item: Draft) -> dict[str, str]:
    parts = item.parts()
    if parts is None or "path" in parts.column_names or {RESERVE, WORN}.isdisjoint(parts["part"].to_pylist()):
        raise UsageError(
            f"{item.name!r} has no reserve to draw from. Keep one back before the first lock: "
            f"proctor holdout partition {item.name} --reserve 0.2"
        )
    return dict(zip(parts["patient_id"].to_pylist(), parts["part"].to_pylist(), strict=True))


def _reserve(item: Draft, locked: LockedHoldout) -> set[str]:
    """Patients of the reserve with a usable case that has a reference standard."""
    usable, labelled = known_cases(item.index(), locked.unit), truth(item, locked.unit).by_case
    cases = zip(usable["patient_id"].to_pylist(), usable[UNIT_COLUMNS[locked.unit]].to_pylist(), strict=True)
    kept_back = {patient for patient, part in _parts(item).items() if part == RESERVE}
    return {patient for patient, uid in cases if patient in kept_back and uid in labelled}


def _partition(item: Draft, plan: Mapping[str, Any]) -> None:
    parts = item.parts()
    assert parts is not None
    moved = dict.fromkeys(plan["left"].values(), WORN) | dict.fromkeys(plan["came"].values(), HOLDOUT)
    patients = parts["patient_id"].to_pylist()
    column = [
        moved.get(patient, part) for patient, part in zip(patients, parts["part"].to_pylist(), strict=True)
    ]
    write_table(pa.table({"patient_id": patients, "part": column}), item.folder / "parts.parquet")


def _subject(locked: LockedHoldout, plan: Mapping[str, Any]) -> dict[str, str]:
    return {
        "holdout": locked.name,
        "version": locked.version,
        "root": locked.root,
        "pool": patients_digest(set(locked.cases["patient_key"].to_pylist())),
        **{side: patients_digest(plan[side]) for side in ("left", "came")},
    }


def _counts(locked: LockedHoldout, plan: Mapping[str, Any]) -> dict[str, int]:
    left, came = len(plan["left"]), len(plan["came"])
    return {"stayed": locked.patients - left, "left": left, "came": came, "reserve": plan["reserve"]}


def _read(note: Path, entered: LedgerEntry) -> dict[str, Any]:
    """The plan of a refresh that was entered but whose version was never locked."""
    try:
        plan: dict[str, Any] = json.loads(note.read_bytes())
        held = all(patients_digest(plan[side]) == entered.subject[side] for side in ("left", "came"))
    except (OSError, ValueError, LookupError, TypeError):
        held = False
    if not held:
        raise WorkspaceError(
            f"{note} is not the plan of the refresh in ledger entry {entered.index}. Restore it from a backup."
        )
    return plan
