"""``proctor stress``: which perturbations there are, and what they look like on a case."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.commands import console

stress_app = typer.Typer(help="Perturbations of cases: list them, look at them.", no_args_is_help=True)


@stress_app.command("list")
def list_(
    family: Annotated[
        str | None, typer.Option(help="Only this family, for example CT.", metavar="NAME")
    ] = None,
) -> None:
    """List every perturbation: severities with their unit, what must come of it, and what it stands for.

    The sources (papers, sections of the standard) are in --json, and whether each leaves every pixel `in_place`: only
    then masks and findings are asked, as their truth stays where it is.

    \b
      proctor stress list --family CT
      proctor stress list --json
    """
    from sandbox.errors import UsageError
    from sandbox.stress.registry import registry

    known = [entry for entry in registry().values() if family is None or entry.family == family]
    if not known:
        families = sorted({entry.family for entry in registry().values()})
        raise UsageError(f"There is no family of this name; there are {', '.join(families)}.")
    console.result(
        [_described(entry) for entry in known],
        lambda: console.table(
            ["family", "name", "modalities", "severities", "expectation", "what it stands for"],
            [
                (
                    entry.family,
                    entry.name,
                    " ".join(sorted(entry.modalities)) or "any",
                    ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in entry.severities)
                    + (f" {entry.unit}" if entry.unit else ""),
                    entry.expectation,
                    entry.sentence,
                )
                for entry in known
            ],
            title=f"{len(known)} perturbations",
        ),
    )


def _described(entry: Any) -> dict[str, Any]:
    shown = {field.name: getattr(entry, field.name) for field in fields(entry) if field.name != "function"}
    return shown | {"modalities": sorted(entry.modalities), "severities": list(entry.severities)}


@stress_app.command("preview")
def preview(
    case: Annotated[Path, typer.Argument(help="A DICOM file, or the folder of one case.", metavar="CASE")],
    perturbation: Annotated[
        str, typer.Argument(help="Name of a perturbation (see: stress list).", metavar="PERTURBATION")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the picture goes (PNG).", metavar="SHEET.png")
    ] = None,
    donor: Annotated[
        Path | None,
        typer.Option(help="Another patient's case, for perturbations that need one.", metavar="CASE"),
    ] = None,
) -> None:
    """Draw a contact sheet: the case clean and at every severity, with the grey levels of the clean one.

    The picture shows patient data: it stays in the institution. A perturbation that has no meaning for the case is
    refused (exit code 3).

    \b
      proctor stress preview chest/000001.dcm dr_quantum_noise -o noise.png
    """
    from sandbox.commands.output_file import output_file
    from sandbox.stress.preview import contact_sheet
    from sandbox.stress.registry import find

    destination = output_file(output or Path(f"{find(perturbation).name}.png"))
    captions = contact_sheet(case, perturbation, destination, donor=donor)
    console.result(
        {"sheet": str(destination), "severities": list(captions)},
        lambda: console.line(f"{destination}: {', '.join(captions)}"),
    )


@stress_app.command("sheets")
def sheets(
    evaluation: Annotated[str, typer.Argument(help="Id of a finished evaluation, or its beginning.")],
) -> None:
    """Draw contact sheets of what breaks an algorithm first, into the evaluation's folder.

    The pictures show patient data: they stay in the institution, and are in no report or dossier.

    \b
      proctor stress sheets e-1a2b3c
    """
    from sandbox.evaluations import evaluation as evaluations
    from sandbox.evaluations.stress_sheets import write_sheets
    from sandbox.institution.workspace import default_home, open_workspace

    workspace = open_workspace(default_home())
    written = write_sheets(workspace, evaluations.find(workspace, evaluation))
    console.result(
        {"sheets": [str(path) for path in written]},
        lambda: console.line(
            "\n".join(map(str, written)) or "nothing breaks it, so there is nothing to draw"
        ),
    )
