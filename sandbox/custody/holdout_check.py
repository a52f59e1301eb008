"""Verification on request: of a locked version by name, also of one too damaged to be opened."""

from __future__ import annotations

from collections.abc import Callable

from holdout.verification import Verification
from holdout.verification import verify as verify_locked
from sandbox.custody import holdouts
from sandbox.errors import UsageError
from sandbox.institution.workspace import Workspace, checked_name, open_ledger, secret_key


def check_version(
    workspace: Workspace,
    name: str,
    version: str | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[str, Verification]:
    """Read every file of a locked version again; returns the version and what was found.

    The outcome stands in the ledger, sound or not: who calls this sees the findings only after that.

    Raises:
        UsageError: there is no such locked version.
        LockError: its folder is gone.
        WorkspaceError: the keyring does not have its key.
    """
    with open_ledger(workspace) as ledger:
        known = {
            str(item.subject["version"]): str(item.subject["root"])
            for item in ledger.find(kind="holdout-locked", holdout=checked_name(name))
        }
    chosen = version or next(reversed(known), None)
    if chosen is None or chosen not in known:
        raise UsageError(holdouts.not_locked(name, version))
    outcome = verify_locked(
        workspace.holdout(name) / "locked" / chosen,
        reference_key=secret_key(workspace, f"holdout:{name}:reference"),
        expected_root=known[chosen],
        progress=progress,
    )
    holdouts.enter_verification(
        workspace,
        outcome,
        subject={"holdout": name, "version": chosen, "root": known[chosen]},
        moment="request",
    )
    return chosen, outcome
