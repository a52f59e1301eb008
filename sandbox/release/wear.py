"""How often each case of a hold-out has answered, over all of its versions.

A case that stays when others are replaced keeps its count. Counts are derived from the releases that were issued and
from the draws that the ledger holds.
"""

from __future__ import annotations

import json
from typing import Any

from holdout.lock import LockedHoldout
from sandbox.custody import holdouts
from sandbox.errors import ReleaseError
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import Workspace
from sandbox.reuse.pool import patients_digest
from sandbox.reuse.uses import Use

DRAWN = "drawn.json"


def uses_of(workspace: Workspace, ledger: Ledger, locked: LockedHoldout) -> list[Use]:
    """Every evaluation of this hold-out, in any version, of which something was issued, with the cases that it asked.

    Raises:
        ReleaseError: the record of a draw was changed.
    """
    found: dict[str, Use] = {}
    for issued in ledger.find(kind="release-issued", holdout=locked.name):
        evaluation, version = issued.subject["evaluation"], issued.subject["version"]
        if evaluation not in found:
            of = (
                locked
                if version == locked.version
                else holdouts.open_holdout(workspace, locked.name, version)
            )
            found[evaluation] = Use(evaluation=evaluation, cases=_asked(workspace, ledger, evaluation, of))
    return list(found.values())


def _asked(workspace: Workspace, ledger: Ledger, evaluation: str, locked: LockedHoldout) -> tuple[str, ...]:
    drawn = ledger.find(kind="holdout-drawn", evaluation=evaluation)
    if not drawn:
        return tuple(locked.cases["case_id"].to_pylist())
    path = workspace.evaluation(evaluation) / DRAWN
    try:
        plain: dict[str, Any] = json.loads(path.read_bytes())
        cases = tuple(map(str, plain["cases"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ReleaseError(f"{path} is damaged. Restore it from a backup of the workspace.") from error
    rows = locked.cases.select(["case_id", "patient_key"]).to_pylist()
    chosen = set(cases)
    patients = {row["patient_key"] for row in rows if row["case_id"] in chosen}
    complete = {row["case_id"] for row in rows if row["patient_key"] in patients} == chosen
    # Cases taken out of the list would seem unused.
    if not complete or patients_digest(patients) != drawn[-1].subject["drawn"]:
        raise ReleaseError(f"{path} is not the draw that is in the ledger. Restore it from a backup.")
    return cases
