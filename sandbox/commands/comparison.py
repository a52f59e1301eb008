"""``proctor compare`` and ``compare-readers``: evaluations against each other and against readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sandbox.commands import console
from sandbox.institution.workspace import default_home, open_workspace

if TYPE_CHECKING:
    from sandbox.commands.tables_page import Section
    from sandbox.scoring.comparison.paired import Difference, Inferiority
    from sandbox.scoring.comparison.ranking import Ranking
    from sandbox.scoring.comparison.study import ComparedPair, SubmissionComparison

_Margin = Annotated[
    float | None,
    typer.Option(
        help="Largest loss of the first that counts as none: a test of non-inferiority.", min=1e-6, max=1
    ),
]
_Level = Annotated[float, typer.Option(help="Two-sided level of the intervals.", min=0.5, max=0.999)]
_Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write a page with the tables.", metavar="FILE.html")
]


def compare(
    evaluations: Annotated[
        list[str],
        typer.Argument(help="Ids, or their beginnings, of finished evaluations.", metavar="EVALUATION"),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="auroc, sensitivity@POINT, specificity@POINT, accuracy@POINT, ppv@POINT, npv@POINT or failure_rate; "
            "may be repeated. All when left out."
        ),
    ] = None,
    margin: _Margin = None,
    fixed_sequence: Annotated[
        bool,
        typer.Option(
            "--fixed-sequence",
            help="Test the metrics of the first two in the given order, and stop at the first that is not shown.",
        ),
    ] = False,
    level: _Level = 0.95,
    output: _Output = None,
) -> int:
    """Compare finished evaluations of the same version of one hold-out and the same target.

    Differences are the first minus the second, on the same cases: AUROC by paired DeLong, rates by Tango's
    interval and McNemar's mid-p, predictive values by the weighted generalised score; several cases of a patient
    are allowed for. Three or more evaluations are also ranked, with the uncertainty of the ranks and groups that
    cannot be told apart. Each look enters the ledger.

    With --margin the exit code is the verdict: 0 the first is non-inferior everywhere, 1 inferior somewhere, 5
    the data cannot tell. Different hold-outs, targets or unfinished evaluations are refused with 3.

    \b
      proctor compare 3fa1 77c0 --metric auroc --margin 0.05
      proctor compare 3fa1 77c0 b2d9 -o comparison.html
    """
    from sandbox.errors import UsageError
    from sandbox.records import to_plain
    from sandbox.studies import comparing

    if len(evaluations) < 2:
        raise UsageError("Give at least two evaluations to compare. See: proctor evaluation list")
    workspace = open_workspace(default_home())
    loaded = comparing.load_finished(workspace, evaluations)
    endpoints = comparing.endpoints_of(metric or (), loaded)
    found = comparing.compare(
        workspace, loaded, endpoints, margin=margin, sequence=fixed_sequence, level=level, replicates=2000
    )
    sections = _sections(found)
    publish(sections, f"Comparison of {', '.join(found.names)}", output, to_plain(found, "comparison"))
    if margin is None:
        return 0
    first = [pair for pair in found.pairs if pair.first == found.names[0]]
    return verdict_code([pair.verdict for pair in first])


def compare_readers(
    evaluation: Annotated[str, typer.Argument(help="Id, or its beginning, of a finished evaluation.")],
    readings: Annotated[
        Path,
        typer.Argument(
            help="CSV with case_id, reader, score, and condition where readers read under several.",
            metavar="READERS.csv",
        ),
    ],
    margin: _Margin = None,
    method: Annotated[
        Literal["obuchowski-rockette", "dbm", "u-statistics"],
        typer.Option(help="How the variance over readers and cases is estimated."),
    ] = "obuchowski-rockette",
    level: _Level = 0.95,
    output: _Output = None,
) -> int:
    """Compare an algorithm's AUROC with readers who scored the same cases.

    Readers and cases both count as samples (Obuchowski-Rockette with Hillis' degrees of freedom): the answer
    holds for other readers and other cases, which a comparison with the readers' mean alone does not. With several
    conditions, such as without and with the algorithm, the conditions are compared over readers as well.

    --method dbm takes jackknife pseudovalues (Dorfman, Berbaum and Metz), u-statistics the unbiased variance of Gallas;
    both take cases as independent. A variance component below 0 counts as 0, or is replaced, and the notes say so.

    With --margin the exit code is the verdict on algorithm minus readers: 0 non-inferior, 1 inferior, 5 cannot tell.

    \b
      proctor compare-readers 3fa1 readers.csv --margin 0.05
    """
    from sandbox.records import to_plain
    from sandbox.studies.reader_study import study_readers

    found = study_readers(
        open_workspace(default_home()), evaluation, readings, margin=margin, level=level, method=method
    )
    from sandbox.commands.tables_page import Section

    sections = [
        Section(
            heading=f"{found.vendor} against readers, {item.condition}",
            columns=("reader", "AUROC", "algorithm minus reader", "low", "high"),
            rows=(
                *(
                    (name, *map(number, (each.value, each.difference, each.low, each.high)))
                    for name, each in zip(found.readers, item.result.readers, strict=True)
                ),
                (
                    "all readers, as a sample",
                    number(item.result.readers_mean),
                    number(item.result.value),
                    number(item.result.low),
                    number(item.result.high),
                ),
            ),
            notes=(
                f"Algorithm {number(item.result.algorithm)}; p {_p(item.result.p)}, degrees of freedom "
                f"{'infinite' if item.result.degrees is None else format(item.result.degrees, '.1f')}; "
                f"{item.result.cases} cases of {item.result.patients} patients; {item.result.method}."
                + (f" Verdict: {item.verdict.replace('_', ' ')}." if item.verdict else ""),
                *item.result.notes,
            ),
        )
        for item in found.against
    ]
    if found.conditions_compared is not None:
        result = found.conditions_compared
        sections.append(
            Section(
                heading="Conditions compared over readers",
                columns=("first", "second", "difference", "low", "high", "p"),
                rows=tuple(
                    (
                        found.conditions[each.first],
                        found.conditions[each.second],
                        number(each.value),
                        number(each.low),
                        number(each.high),
                        _p(each.p),
                    )
                    for each in result.differences
                ),
                notes=(f"{result.method}; readers and cases random.", *result.notes),
            )
        )
    publish(sections, f"{found.vendor} against readers", output, to_plain(found, "readers"), found.notes)
    return 0 if margin is None else verdict_code([item.verdict for item in found.against])


def verdict_code(verdicts: Sequence[Inferiority | None]) -> int:
    """Exit code of verdicts on a margin: one inferior is not met, one open cannot be told."""
    if "inferior" in verdicts:
        return 1
    return 5 if "cannot_tell" in verdicts or None in verdicts else 0


def publish(
    sections: Sequence[Section], title: str, output: Path | None, data: object, notes: Sequence[str] = ()
) -> None:
    """Show tables, and write them as a page when asked."""
    from sandbox.commands.tables_page import write_page

    if output is not None:
        write_page(output, title, sections)
        console.message(f"Written to {output}.")

    def human() -> None:
        for section in sections:
            console.table(section.columns, section.rows, title=section.heading)
            for note in section.notes:
                console.line(note)
            console.line("")
        for note in notes:
            console.line(note)

    console.result(data, human)


def _sections(found: SubmissionComparison) -> list[Section]:
    from sandbox.commands.tables_page import Section

    sections = [_pair_section("Differences, failed cases count as wrong", found.pairs, found.notes)]
    if found.answered_by_all:
        sections.append(_pair_section("Differences over cases that all answered", found.answered_by_all, ()))
    sections += [_ranking_section(ranking) for ranking in found.rankings]
    if found.sequence:
        sections.append(
            Section(
                heading="Fixed sequence",
                columns=("endpoint", "outcome"),
                rows=tuple((step.name, step.outcome.replace("_", " ")) for step in found.sequence),
            )
        )
    return sections


def _ranking_section(ranking: Ranking) -> Section:
    from sandbox.commands.tables_page import Section

    return Section(
        heading=f"Ranks by {ranking.metric}",
        columns=("submission", "value", "rank", "low", "high", "share of firsts", "group"),
        rows=tuple(
            (
                rank.name,
                number(rank.value),
                f"{rank.rank:g}",
                f"{rank.low:g}",
                f"{rank.high:g}",
                f"{rank.first:.2f}",
                rank.group,
            )
            for rank in ranking.ranks
        ),
        notes=(
            f"Submissions of one group cannot be told from its best; {ranking.replicates} resamples of "
            f"patients, {ranking.undefined} undefined.",
        ),
    )


def _pair_section(heading: str, pairs: Sequence[ComparedPair], notes: tuple[str, ...]) -> Section:
    from sandbox.commands.tables_page import Section

    return Section(
        heading=heading,
        columns=(
            "first",
            "second",
            "endpoint",
            "first is",
            "second is",
            "difference",
            "low",
            "high",
            "p",
            "n",
            "verdict",
        ),
        rows=tuple(_pair_row(pair) for pair in pairs),
        notes=notes,
    )  # fmt: skip


def _pair_row(pair: ComparedPair) -> tuple[object, ...]:
    head = (pair.first, pair.second, pair.endpoint)
    found: Difference | None = pair.difference
    if found is None:
        return (*head, "", "", pair.reason, "", "", "", "", (pair.verdict or "").replace("_", " "))
    p = pair.p_adjusted if pair.p_adjusted is not None else found.p
    return (
        *head,
        number(found.first),
        number(found.second),
        number(found.value),
        number(found.low),
        number(found.high),
        _p(p) + (" (Holm)" if pair.p_adjusted is not None else ""),
        found.n,
        (pair.verdict or "").replace("_", " "),
    )


def number(value: float | None) -> str:
    """Write a value with three decimals, or that there is none."""
    return "not estimable" if value is None else f"{value:.3f}"


def _p(value: float | None) -> str:
    if value is None:
        return "not estimable"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
