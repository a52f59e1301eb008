"""Looking is an event too: who saw what of a hold-out or of what would leave, and who took a copy of what.

A view is entered once for each person, thing and day (UTC): a second look on one day tells its reader nothing new, and
a script that asks every minute would bury everything else. Reading the exact bytes of a release before a decision, and
searching the index of a hold-out, are entered each time by their own steps. A copy that is handed out of the workspace
is entered every time, with its digest, because each copy may go to another place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.canonical import digest_bytes
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import Workspace, entry, open_ledger

SEEN = "seen"
EXPORTED = "exported"


def note_once_a_day(
    workspace: Workspace,
    ledger: Ledger,
    kind: str,
    subject: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Enter a view by the one who acts, unless the same was entered today; before anything is shown.

    Raises:
        ActorError: who acts is no actor in force here, and is shown nothing.
    """
    view = entry(kind, subject=subject, detail=detail)
    ledger.require(kind)
    known = ledger.find(kind=kind, **subject)
    # Two subjects that differ in what one of them lacks are different things.
    if not any(
        each.actor == workspace.actor and each.time[:10] == view["time"][:10] and each.subject == subject
        for each in known
    ):
        ledger.append(view)


def note_seen(workspace: Workspace, what: str, **subject: str) -> None:
    """Enter that ``what`` (``release``, ``budget``, ``evaluation``, ``holdout``) was shown to the one who acts."""
    with open_ledger(workspace) as ledger:
        note_once_a_day(workspace, ledger, SEEN, {"what": what, **subject})


def note_export(workspace: Workspace, what: str, data: bytes | None, **subject: str) -> None:
    """Enter that a copy of ``what`` is handed out of the workspace; ``data`` None: a folder."""
    copied = {} if data is None else {"exported": digest_bytes(data)}
    with open_ledger(workspace) as ledger:
        ledger.append(entry(EXPORTED, subject={"what": what, **copied, **subject}))
