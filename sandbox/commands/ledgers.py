"""``proctor ledger``: read and check the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.errors import EvidenceError
from sandbox.evidence.audit import LedgerReport
from sandbox.evidence.kept_checkpoint import read_kept_checkpoint
from sandbox.institution.workspace import default_home, open_ledger, open_workspace

ledger_app = typer.Typer(help="Read and check the append-only log.", no_args_is_help=True)


@ledger_app.command("show")
def show(
    last: Annotated[int, typer.Option(help="How many of the newest entries; 0 shows all.", min=0)] = 20,
    kind: Annotated[
        str | None, typer.Option(help="Only entries of this kind, e.g. evaluation-finished.")
    ] = None,
) -> None:
    """Show the newest entries.

    Entries hold digests, pseudonyms and counts; never a DICOM UID, a name or anything that a container wrote.

    \b
      proctor ledger show
      proctor ledger show --last 0 --kind release-issued
    """
    from sandbox.errors import UsageError
    from sandbox.evidence.kinds import KINDS
    from sandbox.institution.views import note_once_a_day

    if kind is not None and kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of entry. Kinds: {', '.join(sorted(KINDS))}.")
    workspace = open_workspace(default_home())
    with open_ledger(workspace) as ledger:
        note_once_a_day(workspace, ledger, "ledger-read", {}, {"entries": len(ledger)})
        entries = [item for item in ledger.entries() if kind is None or item.kind == kind]
    entries = entries[-last:] if last else entries
    data = [
        {"index": item.index, "time": item.time, "kind": item.kind, "actor": item.actor,
         "subject": dict(item.subject), "detail": dict(item.detail)}
        for item in entries
    ]  # fmt: skip
    console.result(
        data,
        lambda: console.table(
            ["#", "time (UTC)", "kind", "actor", "subject"],
            [
                (
                    item.index,
                    item.time,
                    item.kind,
                    item.actor,
                    "  ".join(f"{k}={str(v)[:23]}" for k, v in item.subject.items()),
                )
                for item in entries
            ],
        ),
    )


@ledger_app.command("verify")
def verify(
    against: Annotated[
        Path | None,
        typer.Option(help="A checkpoint that somebody kept, or a dossier that holds one.", metavar="FILE"),
    ] = None,
) -> int:
    """Recompute the whole log: every entry, its actor's signature and role, the tree, the signed checkpoint.

    With --against it is also held against an earlier head: that the log only grew since, and that nothing before was
    rewritten. Only a head in other hands can show that; every dossier holds one.

    Exit code 4 when anything does not hold; the first bad entry is named.

    \b
      proctor ledger verify
      proctor ledger verify --against acme.zip
    """
    kept = read_kept_checkpoint(against) if against is not None else None
    workspace = open_workspace(default_home())
    grown = None
    try:
        with open_ledger(workspace) as ledger:
            outcome = ledger.verify_all()
            if kept is not None and outcome.held:
                grown = ledger.consistency(kept).old.size
    except EvidenceError as error:
        # A head that is damaged itself cannot even be opened; that is an outcome like any other.
        outcome = LedgerReport(held=False, size=0, root=b"", first_bad=None, problem=str(error))
    data = {
        "held": outcome.held, "entries": outcome.size, "root": outcome.root.hex(), "problem": outcome.problem,
        "clock_went_back": list(outcome.clock_went_back), "verifier_key": workspace.verifier_key,
        "grown_from": grown,
    }  # fmt: skip

    def human() -> None:
        if outcome.held:
            console.line(
                f"The ledger holds: {outcome.size} entries, root {outcome.root.hex()}, signature good."
            )
            if grown is not None:
                console.line(f"It only grew since the kept head at {grown} entries.")
            if outcome.clock_went_back:
                before = ", ".join(map(str, outcome.clock_went_back))
                console.line(
                    f"mind: the clock went back before entry {before}; the order of the log is what counts."
                )
            console.line(f"Verifier key: {workspace.verifier_key}")
        else:
            console.line(f"The ledger does NOT hold: {outcome.problem}")

    console.result(data, human)
    return 0 if outcome.held else 4
