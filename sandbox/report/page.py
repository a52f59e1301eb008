"""One report input in, the bytes of one self-contained page out: no script, no address outside, no clock.

Everything in the page that somebody else wrote passes two gates: Jinja's autoescape, and :func:`visible` as
the environment's `finalize`, so that no template can forget either. The content policy in the page forbids
whatever a mistake here could still let through.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sandbox.errors import ReportError
from sandbox.outcome.results import Analysis, Association, LevelCount, OperatingPointResult, StratumResult
from sandbox.outcome.stress_results import StressResults
from sandbox.plan.metric_catalogue import SCORED_KINDS
from sandbox.report import (
    confounding,
    figures,
    findings,
    forest,
    gap_figure,
    gap_findings,
    glossary,
    marks,
    plots,
    stress_figure,
    stress_findings,
    task_forest,
    task_tables,
    text,
)
from sandbox.report.model import ReportInput

HERE: Final = Path(__file__).parent
CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
LONGEST_PROTOCOL_LINE: Final = 4000
# A figure for each association would bury the ones that matter; the table has them all.
MOST_PREVALENCE_FIGURES: Final = 4
# The exact corners of a small empirical curve would give single cases away (and be no use to read).
MOST_CURVE_ROWS: Final = 21
AUDIENCES: Final = ("institution", "regulator")


Row = TypeVar("Row", LevelCount, StratumResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The page's figures as inline SVG; None where there is nothing to draw."""

    roc: Markup | None
    precision_recall: Markup | None
    calibration: Markup | None
    forests: tuple[tuple[str, Markup], ...]
    associations: Markup | None
    prevalences: tuple[tuple[Association, Markup], ...]
    gaps: tuple[tuple[str, Markup], ...]
    plots: tuple[tuple[str, tuple[Markup, ...]], ...] = ()
    stress: Markup | None = None


def render(report: ReportInput) -> bytes:
    """Render the page as UTF-8 HTML; equal inputs give equal bytes.

    Raises:
        ReportError: the parts do not belong together, or the audience has no report of this kind.
    """
    _check(report)
    results = report.results
    analysis = results.analysis()
    page = _environment().get_template("page.html.jinja")
    html = page.render(
        report=report,
        results=results,
        analysis=analysis,
        drawn=replace(_draw(analysis, results.task), stress=_draw_stress(report.stress)),
        scored=results.task in SCORED_KINDS,
        declared=_declared(analysis),
        stratum_metrics=task_forest.SHOWN_BY_STRATUM.get(results.task, ()),
        policy=CONTENT_POLICY,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
        finding=findings.plain_finding(report),
        verdict_line=findings.verdict_line(results),
        warnings=findings.warnings(report),
        gap_line=gap_findings.gap_line(analysis),
        gap_families=gap_findings.family_rows(analysis.bias) if analysis.bias else [],
        gap_criteria=_gap_criteria(analysis),
        compositions=_by_attribute(results.composition),
        strata=_by_attribute(analysis.strata),
        metrics=glossary.metrics_used(results, report.stress),
        methods=glossary.methods_used(results, report.stress),
        roc_rows=_evenly(len(analysis.curves.roc.threshold)) if analysis.curves.roc else [],
        protocol_lines=_document_lines(report.protocol.document),
        **_stress_rows(report.stress),
    )
    return html.encode("utf-8")


def _check(report: ReportInput) -> None:
    if report.audience not in AUDIENCES:
        raise ReportError(
            f"There is no report for the audience {report.audience!r}; this version makes those for "
            f"{' and '.join(AUDIENCES)}. What a vendor may see needs a release."
        )
    if report.results.protocol_digest != report.protocol.digest:
        raise ReportError(
            "The results were made under another protocol than the one given for the report "
            "(their digests differ); score the evaluation again."
        )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    environment.filters.update(
        count=text.count,
        decimal=text.decimal,
        size=text.size,
        words=text.words,
        shortened=text.shortened,
        moment=_moment,
        metric=glossary.metric_label,
        named=findings.named,
        with_interval=findings.with_interval,
        worst_line=findings.worst_line,
        why=findings.why,
        family_label=gap_findings.family_label,
        signed=gap_findings.signed,
        p_words=gap_findings.p_words,
        against=gap_findings.against,
        level_words=gap_findings.words_of_level,
    )
    environment.globals.update(
        percent=text.percent,
        against_limit=marks.against_limit,
        interval_mark=marks.interval,
        share_mark=marks.share,
        band_mark=marks.band,
        estimate_of=figures.estimate_of,
        verdict_words=findings.VERDICT_WORDS,
        whole_task=task_tables.whole_task,
        by_subject=task_tables.by_subject,
        points_by_subject=task_tables.points_by_subject,
        shaded=task_tables.shaded,
        counterpart=task_tables.counterpart,
        gap_verdicts=gap_findings.GAP_VERDICTS,
        gap_icons=gap_findings.GAP_ICONS,
        stress_at=stress_findings.at,
        stress_name=stress_findings.words_of,
        stress_icons=stress_findings.STRESS_ICONS,
        stress_words=stress_findings.STRESS_WORDS,
        shortcut_words=stress_findings.SHORTCUT_WORDS,
    )
    return environment


def _shown(value: object) -> object:
    """Make every printed value safe to look at; markup is our own and stays as it is."""
    if value is None:
        return "–"
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.visible(value, longest=LONGEST_PROTOCOL_LINE)
    return value


def _moment(time: str) -> str:
    """Write the ledger's time as a person reads it; seconds and UTC stay."""
    return time.replace("T", " ").removesuffix("Z") + " UTC" if time.endswith("Z") else time


def _draw(analysis: Analysis, task: str) -> Drawn:
    curves = analysis.curves
    auroc = figures.estimate_of(analysis.estimates, "auroc")
    points = analysis.operating_points
    ordered = sorted(analysis.associations, key=lambda a: (-(a.attribute_auroc.value or 0), a.attribute))
    telling = findings.telling(tuple(ordered))[:MOST_PREVALENCE_FIGURES]
    own = Markup  # every string below is drawn by matplotlib, which escapes the texts in it
    return Drawn(
        roc=own(figures.roc(curves.roc, points, auroc)) if curves.roc else None,
        precision_recall=(
            own(figures.precision_recall(curves.precision_recall)) if curves.precision_recall else None
        ),
        calibration=own(figures.calibration(curves.calibration)) if curves.calibration else None,
        forests=_forests(analysis, task) if analysis.strata else (),
        associations=own(confounding.associations(ordered)) if ordered else None,
        prevalences=tuple(
            (a, own(confounding.prevalence(a, analysis, f"prevalence-{i}"))) for i, a in enumerate(telling)
        ),
        gaps=tuple(
            (name, own(gap_figure.gap_plot(analysis.bias, metrics, f"gaps-{i}")))
            for i, (name, metrics) in enumerate(_gap_panels(analysis, task))
        )
        if analysis.bias is not None and analysis.bias.families
        else (),
        plots=_plots(analysis),
    )


def _forests(analysis: Analysis, task: str) -> tuple[tuple[str, Markup], ...]:
    """Draw the levels of every stratum, once for each operating point of a task that answers a score."""
    own = Markup
    shown = task_forest.SHOWN_BY_STRATUM.get(task)
    if shown is not None:
        return (("", own(task_forest.task_forest(analysis, shown, "forest-0"))),)
    return tuple(
        (point.name if point else "", own(forest.forest(analysis, point, f"forest-{i}")))
        for i, point in enumerate(_declared(analysis) or (None,))
    )


def _declared(analysis: Analysis) -> tuple[OperatingPointResult, ...]:
    """Operating points whose threshold was declared: those that strata and gaps have too."""
    return tuple(point for point in analysis.operating_points if point.chosen_by is None)


def _plots(analysis: Analysis) -> tuple[tuple[str, tuple[Markup, ...]], ...]:
    """Draw the task's own figures, those with the same note together."""
    groups: dict[str, list[Markup]] = {}
    for i, each in enumerate(analysis.plots):
        groups.setdefault(each.note, []).append(Markup(plots.plot(each, f"plot-{i}")))  # noqa: S704
    return tuple((note, tuple(drawn)) for note, drawn in groups.items())


def _draw_stress(stress: StressResults | None) -> Markup | None:
    tests = [] if stress is None else stress_findings.curve_tests(stress)
    if stress is None or not tests:
        return None
    margin, shown = stress_findings.drawn_margin(stress), stress_findings.drawn_name(stress)
    return Markup(stress_figure.stress_curves(tests, margin, "stress", shown))  # noqa: S704  drawn here


def _stress_rows(stress: StressResults | None) -> dict[str, object]:
    """Give what the section about stress shows."""
    if stress is None:
        return {"stress": None}
    return {
        "stress": stress,
        "stress_line": stress_findings.stress_line(stress),
        "stress_ranked": stress_findings.ranked(stress),
        "stress_heat": stress_findings.heat_rows(stress),
        "stress_severities": stress_findings.severities(stress),
        "stress_shortcuts": stress_findings.shortcut_line(stress),
        "stress_groups": stress_findings.hurt_groups(stress),
        "stress_comparisons": stress_findings.comparisons(stress),
        "stress_classes": stress_findings.of_classes(stress),
        "stress_margins": stress_findings.margin_words(stress) if stress.tests else "",
        "stress_drawn": stress_findings.drawn_name(stress),
        "stress_harm": stress_findings.harm_words(stress),
    }


def _gap_panels(analysis: Analysis, task: str) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    """Give the panels of the gap plot at each operating point; other tasks than those of one score have one plot."""
    if task in gap_findings.PANELS:
        return [("", tuple((metric, None) for metric in (*gap_findings.PANELS[task], "failure_rate")))]
    always: tuple[tuple[str, str | None], ...] = (("auroc", None), ("failure_rate", None))
    return [
        (point.name, (("sensitivity", point.name), ("specificity", point.name), *always))
        for point in _declared(analysis)
    ] or [("", always)]


def _gap_criteria(analysis: Analysis) -> list[tuple[str, list[gap_findings.CriterionRow]]]:
    """Give each operating point with the compared levels under the fairness criteria."""
    if analysis.bias is None or analysis.positives is None:
        return []
    return [
        (point.name, gap_findings.criterion_rows(analysis.bias, point.name)) for point in _declared(analysis)
    ]


def _evenly(length: int, most: int = MOST_CURVE_ROWS) -> list[int]:
    """Give at most `most` indexes of a sequence, both ends among them, evenly spread."""
    if length <= most:
        return list(range(length))
    return sorted({round(i * (length - 1) / (most - 1)) for i in range(most)})


def _by_attribute(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Group rows by attribute, in the order in which the attributes first stand."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.attribute, []).append(row)
    return list(groups.items())


def _document_lines(document: Mapping[str, Any]) -> list[str]:
    """Write the protocol as YAML, as its author would, from the values that its digest covers."""
    plain = json.loads(json.dumps(document))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100).splitlines()
