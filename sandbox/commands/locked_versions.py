"""``proctor holdout verify`` and ``retire``: what is done to a version that was locked."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.workspace import default_home, open_workspace

_Name = Annotated[str, typer.Argument(help="Name of the hold-out.")]


def verify(
    name: _Name,
    version: Annotated[str | None, typer.Option(help="Version; the latest if left out.")] = None,
) -> int:
    """Read every file of a locked hold-out again, and tell which file or label is not as it was locked.

    Everything that differs is listed: swapped, renamed, added, missing, altered. Exit code 3 when anything does.
    The outcome stands in the ledger either way.

    \b
      proctor holdout verify cxr
      proctor holdout verify cxr --version 1
    """
    from sandbox.holdout_check import check_version

    workspace = open_workspace(default_home())
    with console.progress("verifying") as progress:
        chosen, outcome = check_version(workspace, name, version, progress=progress)

    def human() -> None:
        if outcome.sound:
            console.line(
                f"{name} version {chosen} is as it was locked: all {outcome.files} files and their labels "
                f"checked, root {outcome.root}."
            )
            return
        console.line(f"{name} version {chosen} is NOT as it was locked: {len(outcome.findings)} findings.")
        for finding in outcome.findings:
            console.line(f"  {finding.kind.replace('_', ' ')}: {finding.sentence}")

    console.result(
        {"name": name, "version": chosen, "root": outcome.root, "sound": outcome.sound, "files": outcome.files,
         "checked": outcome.checked_files, "bytes": outcome.bytes,
         "findings": [{"kind": f.kind, "subject": f.subject, "detail": f.detail} for f in outcome.findings]},
        human,
    )  # fmt: skip
    return 0 if outcome.sound else 3


def retire(
    name: _Name,
    reason: Annotated[
        str, typer.Option(help="A short code, e.g. worn, replaced, consent-withdrawn.")
    ] = "worn",
) -> None:
    """End the use of a hold-out version: no evaluation begins on it any more. Needs the role custodian.

    \b
      proctor holdout retire cxr --reason worn
    """
    from sandbox import holdouts

    locked = holdouts.retire(open_workspace(default_home()), name, reason)
    console.result(
        {"holdout": locked.name, "version": locked.version, "reason": reason},
        lambda: console.line(f"{locked.name} {locked.version} is retired."),
    )
