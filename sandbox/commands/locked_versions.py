"""``proctor holdout verify``, ``retire`` and ``refresh``: what is done to a version that was locked."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.institution.workspace import default_home, open_workspace

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
    from sandbox.custody.holdout_check import check_version

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
    from sandbox.custody import holdouts

    locked = holdouts.retire(open_workspace(default_home()), name, reason)
    console.result(
        {"holdout": locked.name, "version": locked.version, "reason": reason},
        lambda: console.line(f"{locked.name} {locked.version} is retired."),
    )


def refresh(
    name: _Name,
    uses: Annotated[
        int | None,
        typer.Option(help="A patient is worn from so many uses on; default: the policy's.", min=1),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="As for `holdout lock`: --exclude 'code or path=reason'.")
    ] = None,
) -> None:
    """Replace the worn patients of a hold-out from its reserve, and lock the next version. Needs the role custodian.

    Every evaluation of which something was released is one use of each case that it asked. Who comes is drawn with a
    key that stays here; who left and who came is in the ledger, by digest. The reserve is what `holdout partition
    --reserve` kept back. Too small a change is refused: numbers of both versions would tell about those few.

    Where the policy wants two people (two_people: [refresh]), the first command proposes (exit code 3) and the same
    command by another confirms.

    \b
      proctor holdout refresh cxr --uses 20
    """
    from sandbox.commands.exclusions import exclusions_of
    from sandbox.custody import refreshing

    found = refreshing.refresh(
        open_workspace(default_home()),
        name,
        most_uses=uses,
        exclusions=exclusions_of(exclude),
        progress=console.progress,
    )
    locked = found.locked
    console.result(
        {"holdout": locked.name, "replaced": found.replaced, "version": locked.version, "root": locked.root,
         "left": found.left, "came": found.came, "reserve": found.reserve, "cases": locked.cases.num_rows},
        lambda: console.line(
            f"{locked.name} version {locked.version} takes the place of {found.replaced}: {found.left} patients left, "
            f"{found.came} came, {found.reserve} stay in the reserve."
        ),
    )  # fmt: skip
