"""The tables of ``proctor holdout power``, for the terminal and for a page."""

from __future__ import annotations

from sandbox.commands.tables_page import Section
from sandbox.custody.holdout_power import HoldoutPower
from sandbox.scoring.planning.learning_curve import LearningCurve
from sandbox.scoring.planning.reader_study import PlannedStudy
from sandbox.scoring.planning.support import GroupSupport, HoldoutSupport


def support_tables(found: HoldoutPower) -> list[Section]:
    """Widths and gaps of each stratum; with margins, what it takes to clear them."""
    tables = [_widths_table(found)]
    if found.support.bounds:
        tables.append(_margins_table(found.support))
    return tables


def study_table(study: PlannedStudy, difference: float) -> Section:
    """The size of a reader study that shows ``difference``."""
    return Section(
        heading="Reader study",
        columns=("readers", "difference", "cases needed", "power"),
        rows=((study.readers, f"{difference:g}", study.cases, f"{study.power:.3f}"),),
        notes=("Hillis, Obuchowski and Berbaum 2011, readers and cases random.",),
    )


def curve_table(curve: LearningCurve) -> Section:
    """A fitted learning curve, at and beyond its last point."""
    return Section(
        heading="Learning curve",
        columns=("cases", "predicted", "low", "high"),
        rows=tuple((p.n, _number(p.value), _number(p.low), _number(p.high)) for p in curve.predictions),
        notes=(f"Inverse power law; tends to {curve.limit:.3f}.",),
    )


def _widths_table(found: HoldoutPower) -> Section:
    support = found.support
    asked = support.conjecture
    return Section(
        heading=f"{found.holdout} version {found.version}, {found.target}: expected width of {asked.level:.0%} "
        "intervals, and the smallest gap to the rest that can be shown",
        columns=("group", "positives", "negatives", "patients", "width AUROC", "sensitivity", "specificity",
                 "gap AUROC", "sensitivity", "specificity"),
        rows=tuple(_widths_row(each) for each in (support.overall, *support.groups)),
        notes=(
            "-: too few positives, negatives or patients to be shown at all.",
            f"Conjectured: AUROC {asked.auroc:g}, sensitivity {asked.sensitivity:g}, "
            f"specificity {asked.specificity:g}.",
            *support.notes,
            *((f"{found.unlabelled} cases have no label and count nowhere.",) if found.unlabelled else ()),
        ),
    )  # fmt: skip


def _widths_row(each: GroupSupport) -> tuple[object, ...]:
    counts = each.counts
    widths = (each.auroc_width, each.sensitivity_width, each.specificity_width)
    gaps = (each.auroc_gap, each.sensitivity_gap, each.specificity_gap)
    return (
        "all" if counts.stratum is None else f"{counts.stratum}: {counts.level}",
        counts.positives,
        counts.negatives,
        counts.patients,
        *(_number(value) for value in widths),
        *("" if counts.stratum is None else _number(value) for value in gaps),
    )


def _margins_table(support: HoldoutSupport) -> Section:
    needed = f"needed for {support.conjecture.power:.0%}"
    return Section(
        heading="Lower limits that have to clear a margin",
        columns=("metric", "expected", "margin", "cases here", "chance here", needed, "of"),
        rows=tuple(
            (
                each.metric,
                f"{each.value:g}",
                f"{each.margin:g}",
                each.cases,
                "" if each.chance is None else f"{each.chance:.0%}",
                each.needed,
                each.counted,
            )
            for each in support.bounds
        ),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
