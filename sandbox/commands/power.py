"""``proctor holdout power``: what a locked hold-out can support, before the first evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.commands import console
from sandbox.institution.workspace import default_home, open_workspace

if TYPE_CHECKING:
    from sandbox.scoring.planning.learning_curve import LearningCurve
    from sandbox.scoring.planning.reader_study import PlannedStudy


def power(
    name: Annotated[str, typer.Argument(help="Name of the hold-out.", metavar="NAME")],
    target: Annotated[str | None, typer.Option(help="The binary label.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Takes target and strata from this protocol: its file, name or digest.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="A further attribute whose levels are strata; may be repeated.")
    ] = None,
    auroc: Annotated[float, typer.Option(help="AUROC to be expected.", min=0.501, max=0.9999)] = 0.85,
    sensitivity: Annotated[
        float, typer.Option(help="Sensitivity to be expected.", min=0.01, max=0.9999)
    ] = 0.85,
    specificity: Annotated[
        float, typer.Option(help="Specificity to be expected.", min=0.01, max=0.9999)
    ] = 0.85,
    margin: Annotated[
        float | None,
        typer.Option(
            help="What the lower limits of sensitivity and specificity have to clear.", min=0.01, max=0.999
        ),
    ] = None,
    auroc_margin: Annotated[
        float | None, typer.Option(help="What the lower limit of AUROC has to clear.", min=0.5, max=0.999)
    ] = None,
    chance: Annotated[float, typer.Option("--power", help="Power to be reached.", min=0.5, max=0.999)] = 0.8,
    level: Annotated[
        float, typer.Option(help="Two-sided level of the intervals.", min=0.5, max=0.999)
    ] = 0.95,
    correlation: Annotated[
        float, typer.Option(help="Of two cases of one patient, for the design effect.", min=0, max=1)
    ] = 0.5,
    readers: Annotated[
        int | None, typer.Option(help="Also size a reader study with so many readers.", min=2)
    ] = None,
    pilot: Annotated[
        str | None,
        typer.Option(
            help="Variance components of a pilot: error,cov1,cov2,cov3,interaction,cases.", metavar="NUMBERS"
        ),
    ] = None,
    difference: Annotated[
        float, typer.Option(help="Difference that the reader study has to show.", min=0.001, max=0.5)
    ] = 0.05,
    curve: Annotated[
        str | None,
        typer.Option(
            help="Points n:value of a learning curve, at least five.", metavar="50:0.70,100:0.76,..."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write a page with the tables.", metavar="FILE.html")
    ] = None,
) -> None:
    """What can this hold-out support? Interval widths, detectable gaps, cases needed: from counts alone.

    No score is needed and no case's truth is shown: only how many cases are positive and negative, overall and in
    each stratum. Even that look enters the ledger. Run it before the protocol is registered: strata that cannot
    show a gap worth knowing of are better merged now than explained later.

    \b
      proctor holdout power cxr --target opacity --by patient_sex --margin 0.8 --sensitivity 0.9
      proctor holdout power cxr --protocol PROTOCOL.yaml --json
      proctor holdout power cxr --target opacity --readers 10 --pilot 0.0008,0.00035,0.00034,0.00024,0.0002,114
    """
    from sandbox.commands.power_tables import curve_table, study_table, support_tables
    from sandbox.custody.holdout_power import holdout_power
    from sandbox.records import to_plain
    from sandbox.scoring.planning.support import Conjecture

    # Wrong numbers are told before the truth is counted, which is a look that the ledger keeps.
    study = _reader_study(readers, pilot, difference, chance, level)
    growth = _learning_curve(curve, level)
    conjecture = Conjecture(
        auroc=auroc, sensitivity=sensitivity, specificity=specificity, margin=margin, auroc_margin=auroc_margin,
        power=chance, level=level, correlation=correlation,
    )  # fmt: skip
    found = holdout_power(
        open_workspace(default_home()),
        name,
        target=target,
        protocol=protocol,
        by=by or (),
        conjecture=conjecture,
    )
    sections = support_tables(found)
    if study is not None:
        sections.append(study_table(study, difference))
    if growth is not None:
        sections.append(curve_table(growth))
    if output is not None:
        from sandbox.commands.tables_page import write_page

        write_page(output, f"What {found.holdout} version {found.version} can support", sections)
        console.message(f"Written to {output}.")
    data = to_plain(found, "power")
    data["reader_study"] = None if study is None else to_plain(study, "reader_study")
    data["learning_curve"] = None if growth is None else to_plain(growth, "learning_curve")

    def human() -> None:
        for section in sections:
            console.table(section.columns, section.rows, title=section.heading)
            for note in section.notes:
                console.line(note)
            console.line("")

    console.result(data, human)


def _reader_study(
    readers: int | None, pilot: str | None, difference: float, power: float, level: float
) -> PlannedStudy | None:
    from sandbox.errors import UsageError
    from sandbox.scoring.mrmc.covariances import Components
    from sandbox.scoring.planning.reader_study import Pilot, cases_needed

    if readers is None and pilot is None:
        return None
    numbers = _numbers(pilot or "", ",", 6)
    if readers is None or numbers is None:
        raise UsageError("A reader study needs --readers and --pilot error,cov1,cov2,cov3,interaction,cases.")
    error, cov1, cov2, cov3, interaction, cases = numbers
    found = cases_needed(
        Pilot(
            components=Components(error=error, cov1=cov1, cov2=cov2, cov3=cov3),
            interaction_variance=interaction,
            cases=int(cases),
        ),
        readers,
        difference,
        power,
        level,
    )
    if found is None:
        raise UsageError(
            f"{readers} readers cannot show a difference of {difference:g} on any number of cases. Take more readers."
        )
    return found


def _learning_curve(curve: str | None, level: float) -> LearningCurve | None:
    from sandbox.errors import UsageError
    from sandbox.scoring.planning.learning_curve import FARTHEST, fit_learning_curve

    if curve is None:
        return None
    points = [_numbers(part, ":", 2) for part in curve.split(",")]
    if any(point is None for point in points) or len(points) < 5:
        raise UsageError(
            "--curve needs at least five points as n:value, e.g. 50:0.70,100:0.76,200:0.80,400:0.83,800:0.85."
        )
    n, value = zip(*(point for point in points if point is not None), strict=True)
    largest = max(n)
    at = [int(largest * factor) for factor in (1, 2, FARTHEST)]
    return fit_learning_curve(n, value, at, level)


def _numbers(text: str, separator: str, count: int) -> tuple[float, ...] | None:
    try:
        found = tuple(float(part) for part in text.split(separator))
    except ValueError:
        return None
    return found if len(found) == count else None
