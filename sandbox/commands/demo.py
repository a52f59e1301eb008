"""``proctor demo``: the whole road once, on this machine, each step named by the command that does it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sandbox.commands import console


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images with a metadata table, or of DICOM with reference.yaml.", metavar="DIR"
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(help="How to read the folder's table; found by the folder's name if left out."),
    ] = None,
    protocol: Annotated[
        Path | None, typer.Option(help="Analysis plan; found by the folder's name if left out.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the demonstration keeps its files.")] = Path("demo"),
) -> int:
    """Examine two demonstration vendors on this machine, from data to verified dossier.

    Without --data the hold-out is made of SYNTHETIC radiographs with planted faults. Nothing is made twice: a
    second call shows what the first one made.

    \b
      proctor demo
      proctor demo --data photos/ --folder demo
    """
    from sandbox import demonstration

    plan = demonstration.plan(data=data, mapping=mapping, protocol=protocol, folder=folder.resolve())
    os.environ["PROCTOR_HOME"] = str(plan.home)
    outcome = demonstration.run(plan, say=_step, progress=console.progress)

    def human() -> None:
        console.line("")
        for item in outcome.evaluations:
            console.line(f"{item.vendor}: {(item.verdict or item.state).replace('_', ' ')}")
            for criterion in item.criteria:
                console.line(f"    {criterion}")
            console.line(f"    report   {item.files.get('report')}")
            if item.vendor in outcome.released:
                console.line(f"    vendor's copy   {outcome.released[item.vendor] / 'release.html'}")
        for dossier, held in outcome.dossiers.items():
            console.line(f"dossier  {dossier}  {'verified' if held else 'does NOT hold'}")
        console.line(f"Workspace: export PROCTOR_HOME={plan.home}")

    console.result(
        {
            "home": str(plan.home),
            "evaluations": [item.data() for item in outcome.evaluations],
            "released": {vendor: str(folder) for vendor, folder in outcome.released.items()},
            "dossiers": {str(path): held for path, held in outcome.dossiers.items()},
        },
        human,
    )
    return 0 if all(outcome.dossiers.values()) else 4


def _step(command: str) -> None:
    console.message(command)
