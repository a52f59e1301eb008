"""``proctor reader-truth``: how far one evaluation's result depends on its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sandbox.commands.comparison import publish
from sandbox.institution.workspace import default_home, open_workspace

_Level = Annotated[float, typer.Option(help="Two-sided level of the intervals.", min=0.5, max=0.999)]
_Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write a page with the tables.", metavar="FILE.html")
]


def reader_truth(
    evaluation: Annotated[str, typer.Argument(help="Id, or its beginning, of a finished evaluation.")],
    readings: Annotated[
        Path | None,
        typer.Option(
            help="CSV with case_id, reader and score of several readers: calls (0 or 1), or grades for agreement.",
            metavar="READERS.csv",
        ),
    ] = None,
    rule: Annotated[
        Literal["majority", "unanimous", "any", "adjudicated"],
        typer.Option(help="How calls become a consensus."),
    ] = "majority",
    adjudicator: Annotated[
        str | None,
        typer.Option(
            help="Reader of the table who decides where the others disagree; with --rule adjudicated."
        ),
    ] = None,
    partial_verification: Annotated[
        bool,
        typer.Option(
            "--partial-verification",
            help="The readers saw a part of the cases: correct sensitivity and specificity (Begg and Greenes).",
        ),
    ] = False,
    error_rate: Annotated[
        list[float] | None,
        typer.Option(
            help="Share of the reference's labels that may be wrong; may be repeated.", min=0, max=0.49
        ),
    ] = None,
    point: Annotated[
        str | None, typer.Option(help="Operating point for rates; the protocol's first.")
    ] = None,
    level: _Level = 0.95,
    output: _Output = None,
) -> None:
    """How far does a result depend on its truth? Readers as truth, their agreement, wrong labels.

    For each stated error rate two values: with errors that do not depend on the algorithm, and the lowest and
    highest that so many wrong labels could make. With readers: each as truth, the consensus without each, and the
    noise ceiling, which is what a member of the panel reaches. Agreement: Krippendorff, Fleiss, and Cohen of two
    readers; of grades Krippendorff and the intraclass correlation. The look enters the ledger.

    \b
      proctor reader-truth 3fa1 --error-rate 0.02 --error-rate 0.1 --error-rate 0.2
      proctor reader-truth 3fa1 --readings readers.csv --rule majority
      proctor reader-truth 3fa1 --readings readers.csv --rule adjudicated --adjudicator chief
    """
    from sandbox.commands.truth_tables import truth_tables
    from sandbox.errors import UsageError
    from sandbox.records import to_plain
    from sandbox.studies.truth_study import study_truth

    if readings is None and not error_rate:
        raise UsageError("Give --readings, or at least one --error-rate.")
    if (rule == "adjudicated") != (adjudicator is not None):
        raise UsageError("--rule adjudicated and --adjudicator go together.")
    found = study_truth(
        open_workspace(default_home()),
        evaluation,
        readings,
        rates=error_rate or (),
        rule=rule,
        adjudicator=adjudicator,
        partial_verification=partial_verification,
        point=point,
        level=level,
    )
    publish(
        truth_tables(found),
        f"{found.vendor} under uncertain truth",
        output,
        to_plain(found, "truth"),
        found.notes,
    )
