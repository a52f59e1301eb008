"""The forest plot: every level of every stratum against all cases, with its counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sandbox.outcome.results import Analysis, Estimate, OperatingPointResult, StratumResult
from sandbox.report import drawing
from sandbox.report.drawing import FAINT, MUTED
from sandbox.report.figures import estimate_of
from sandbox.report.rows import (
    ROW,
    TOP,
    WIDTH,
    Column,
    count_heads,
    counts,
    cut,
    interval,
    lowest,
    panels,
    row_text,
)
from sandbox.report.text import count, visible, words

# An attribute with more levels than this shows those fit for a claim, and how many others there are.
MOST_LEVELS: Final = 8
MOST_CLAIMED_LEVELS: Final = 25


def forest(analysis: Analysis, point: OperatingPointResult | None, name: str) -> str:
    """Draw AUROC, sensitivity and specificity at `point` for the levels of every stratum.

    `name` is the prefix of the figure's ids, its own for each figure of a page.
    """
    metrics = ("auroc",) if point is None else ("auroc", "sensitivity", "specificity")
    rows = list(_rows(analysis.strata))
    cells = {id(row): [_cell(row, metric, point) for metric in metrics] for row in analysis.strata}
    columns = []
    for i, metric in enumerate(metrics):
        overall = estimate_of((*analysis.estimates, *(point.estimates if point else ())), metric)
        claimed = (cells[id(row)][i] for row in rows if isinstance(row, StratumResult))
        low = lowest([overall, *(e for e in claimed if e is not None and e.status == "ok")])
        columns.append(Column(title=_title(metric, point), overall=overall, low=low))
    weakest = {
        metric: {
            (worst.attribute, worst.level)
            for worst in analysis.worst
            if worst.metric == metric and worst.operating_point in (None, point and point.name)
        }
        for metric in metrics
    }
    height = TOP + ROW * (len(rows) + 1) + 40
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, height)
        axes = panels(figure, columns, height)
        count_heads(figure)
        row_text(figure, TOP + ROW * 0.5, "All cases", counts(analysis), bold=True)
        for column, panel in zip(columns, axes, strict=True):
            interval(panel, TOP + ROW * 0.5, column.overall, column.low, whole=True)
        for line, row in enumerate(rows, start=1):
            place = TOP + ROW * (line + 0.5)
            if isinstance(row, str):
                drawing.write(figure, 0, place + 4, cut(row, 44), colour=MUTED, size=drawing.SMALL)
                continue
            if isinstance(row, int):
                few = f"and {count(row)} with too few cases, in the table"
                drawing.write(figure, 12, place + 4, few, colour=FAINT, size=drawing.SMALL)
                continue
            key = (row.attribute, row.level)
            worst_in = [key in weakest[metric] for metric in metrics]
            row_text(figure, place, row.level, counts(row), grey=row.status != "ok", alert=any(worst_in))
            for column, panel, estimate, worst in zip(columns, axes, cells[id(row)], worst_in, strict=True):
                interval(panel, place, estimate, column.low, grey=row.status != "ok", alert=worst)
        return drawing.to_svg(figure, name, "Forest plot by stratum: " + ", ".join(c.title for c in columns))


def _rows(strata: Sequence[StratumResult]) -> Iterator[str | StratumResult | int]:
    """Give a heading for each attribute, its levels, and the number of levels left to the table."""
    groups: dict[str, list[StratumResult]] = {}
    for row in strata:
        groups.setdefault(row.attribute, []).append(row)
    for attribute, levels in groups.items():
        yield words(attribute)
        if len(levels) <= MOST_LEVELS:
            yield from levels
            continue
        claimed = [row for row in levels if row.status == "ok"][:MOST_CLAIMED_LEVELS]
        yield from claimed
        if len(claimed) < len(levels):
            yield len(levels) - len(claimed)


def _cell(row: StratumResult, metric: str, point: OperatingPointResult | None) -> Estimate | None:
    own = next((p for p in row.operating_points if point is not None and p.name == point.name), None)
    return estimate_of((*row.estimates, *(own.estimates if own else ())), metric)


def _title(metric: str, point: OperatingPointResult | None) -> str:
    if metric == "auroc" or point is None:
        return "AUROC"
    return visible(f"{metric.capitalize()}, {point.name}", longest=30)
