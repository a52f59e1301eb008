"""The figures by stratum: the forest plot, and the one that shows a label that goes with an attribute.

In both a row is a level, a column of dots and intervals a metric, and a vertical line the value over all
cases. Levels with too few cases stay in their place, grey and hollow: left out they would look like a pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.report import drawing
from sandbox.report.drawing import ALERT, BAND, FAINT, GRID, INK, MUTED, PAPER, SERIES
from sandbox.report.figures import estimate_of
from sandbox.report.text import count, decimal, visible, words
from sandbox.results import Analysis, Association, Estimate, OperatingPointResult, StratumResult

WIDTH: Final = 960
ROW: Final = 23
TOP: Final = 50
SHORT_TOP: Final = 34
COUNT_COLUMNS: Final = (("n+", 222), ("n−", 268), ("patients", 330))
PANELS_LEFT: Final = 360
GAP: Final = 30
LONGEST_LABEL: Final = 27
# Above this the figure is longer than a screen; levels too small for a claim are then left to the table.
MOST_ROWS: Final = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One panel of intervals: its title, the value over all cases, and the lowest value its axis shows."""

    title: str
    overall: Estimate | None
    low: float


def forest(analysis: Analysis, point: OperatingPointResult | None, name: str) -> str:
    """Draw AUROC, sensitivity and specificity at `point` for every level of every stratum.

    `name` is the prefix of the figure's ids, its own for each figure of a page.
    """
    rows = drawn_levels(analysis.strata)
    at = [(row, _same_point(row, point)) for row in rows]
    metrics = ["auroc"] if point is None else ["auroc", "sensitivity", "specificity"]
    overall = [estimate_of(analysis.estimates, "auroc")]
    if point is not None:
        overall += [estimate_of(point.estimates, m) for m in metrics[1:]]
    cells = [
        [estimate_of(row.estimates, "auroc")]
        + ([estimate_of(own.estimates, m) if own else None for m in metrics[1:]] if point else [])
        for row, own in at
    ]
    columns = [
        Column(
            title=visible(
                "AUROC" if m == "auroc" or point is None else f"{m.capitalize()}, {point.name}", longest=30
            ),
            overall=whole,
            low=_lowest([whole, *(e for c in cells if (e := c[i]) is not None and e.status == "ok")]),
        )
        for i, (m, whole) in enumerate(zip(metrics, overall, strict=True))
    ]
    weakest = {(worst.attribute, worst.level) for worst in analysis.worst}
    headings = sum(1 for i, row in enumerate(rows) if i == 0 or rows[i - 1].attribute != row.attribute)
    height = TOP + ROW * (len(rows) + headings + 1) + 40
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, height)
        axes = _panels(figure, columns, height)
        _count_heads(figure)
        _row_text(figure, TOP + ROW * 0.5, "All cases", _counts(analysis), bold=True)
        for column, panel in zip(columns, axes, strict=True):
            _interval(panel, TOP + ROW * 0.5, column.overall, column.low, grey=False, whole=True)
        line = 1
        for i, row in enumerate(rows):
            if i == 0 or rows[i - 1].attribute != row.attribute:
                place = TOP + ROW * (line + 0.5)
                drawing.write(
                    figure, 0, place + 4, _cut(words(row.attribute), 44), colour=MUTED, size=drawing.SMALL
                )
                line += 1
            place = TOP + ROW * (line + 0.5)
            few = row.status != "ok"
            worst = (row.attribute, row.level) in weakest
            _row_text(figure, place, row.level, _counts(row), grey=few, alert=worst)
            for column, panel, estimate in zip(columns, axes, cells[i], strict=True):
                _interval(panel, place, estimate, column.low, grey=few)
            line += 1
        return drawing.to_svg(figure, name, "Forest plot by stratum: " + ", ".join(c.title for c in columns))


def drawn_levels(strata: Sequence[StratumResult]) -> list[StratumResult]:
    """Give the levels that the forest plot shows: all, or when too many only those fit for a claim."""
    if len(strata) <= MOST_ROWS:
        return list(strata)
    return [row for row in strata if row.status == "ok"][:MOST_ROWS]


def prevalence(association: Association, analysis: Analysis, name: str) -> str:
    """Draw prevalence by level beside AUROC by level: the picture of a label that goes with an attribute."""
    levels = sorted(association.levels, key=lambda level: -(level.prevalence.value or 0))
    levels = sorted(levels, key=lambda level: -level.n)[:20] if len(levels) > 20 else levels
    inside = {row.level: row for row in analysis.strata if row.attribute == association.attribute}
    overall_prevalence = analysis.positives / analysis.n if analysis.n else 0.0
    height = SHORT_TOP + ROW * len(levels) + 66
    share = Column(title="Prevalence of the target", overall=None, low=0.0)
    estimates = [
        estimate_of(inside[v.level].estimates, "auroc") if v.level in inside else None for v in levels
    ]
    lowest = _lowest([association.conditional, *(e for e in estimates if e and e.status == "ok")])
    auroc = Column(title="AUROC within the level", overall=None, low=lowest)
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, height)
        left, right = _panels(figure, [share, auroc], height, top=SHORT_TOP, foot=66)
        _count_heads(figure)
        left.axvline(overall_prevalence, color=MUTED, linewidth=1, dashes=(2, 3))
        for value, colour in ((association.pooled.value, MUTED), (association.conditional.value, ALERT)):
            if value is not None:
                right.axvline(
                    value, color=colour, linewidth=1.5, dashes=(2, 3) if colour == MUTED else (None, None)
                )
        for line, (level, estimate) in enumerate(zip(levels, estimates, strict=True)):
            place = SHORT_TOP + ROW * (line + 0.5)
            _row_text(
                figure, place, level.level, (level.positives, level.n - level.positives, level.patients)
            )
            _interval(left, place, level.prevalence, 0.0, grey=False)
            _interval(right, place, estimate, lowest, grey=estimate is None or estimate.status != "ok")
        foot = height - 8
        drawing.write(figure, PANELS_LEFT, foot, f"┊ all cases: {decimal(overall_prevalence)}", colour=MUTED)
        middle = PANELS_LEFT + (WIDTH - PANELS_LEFT + GAP) / 2
        drawing.write(figure, middle, foot, f"┊ pooled: {decimal(association.pooled.value)}", colour=MUTED)
        within = f"│ within levels: {decimal(association.conditional.value)}"
        drawing.write(figure, middle + 118, foot, within, colour=ALERT, bold=True)
        title = f"Prevalence and AUROC by level of {words(association.attribute)}"
        return drawing.to_svg(figure, name, title)


def associations(found: Sequence[Association]) -> str:
    """Draw for every attribute what it tells alone, and the AUROC pooled and within its levels."""
    lowest = min([0.5, *(v for a in found for v in _values(a))])
    low = math.floor(lowest * 10) / 10
    left, right = 230, WIDTH - 20
    height = 50 + ROW * len(found) + 36
    with drawing.house_style("associations"):
        figure = drawing.new_figure(WIDTH, height)
        axes = drawing.panel(figure, left, 50, right - left, ROW * len(found))
        _rows_axis(axes, 50, ROW * len(found), low)
        drawing.write(figure, left, 18, "◇ the attribute alone", colour=ALERT)
        drawing.write(figure, left + 170, 18, "○ algorithm, all cases pooled", colour=MUTED)
        drawing.write(figure, left + 390, 18, "● algorithm, within levels", colour=SERIES)
        for line, association in enumerate(found):
            place = 50 + ROW * (line + 0.5)
            drawing.write(
                figure, 0, place + 4, _cut(words(association.attribute), 34), bold=association.flagged
            )
            pooled, within = association.pooled.value, association.conditional.value
            if pooled is not None and within is not None:
                axes.plot((pooled, within), (place, place), color=FAINT, linewidth=1)
            _interval(axes, place, association.conditional, low, grey=False)
            for value, mark, colour, size in (
                (association.pooled.value, "o", MUTED, 7),
                (association.attribute_auroc.value, "D", ALERT, 6),
            ):
                if value is not None:
                    axes.plot(
                        [value],
                        [place],
                        mark,
                        markersize=size,
                        markerfacecolor=PAPER,
                        markeredgecolor=colour,
                        markeredgewidth=1.5,
                        clip_on=False,
                    )
        return drawing.to_svg(
            figure, "associations", "AUROC of each attribute alone, pooled and within its levels"
        )


def _values(association: Association) -> Iterable[float]:
    for estimate in (association.attribute_auroc, association.pooled, association.conditional):
        if estimate.value is not None:
            yield estimate.value
        if estimate is association.conditional and estimate.low is not None:
            yield estimate.low


def _same_point(row: StratumResult, point: OperatingPointResult | None) -> OperatingPointResult | None:
    if point is None:
        return None
    return next((own for own in row.operating_points if own.name == point.name), None)


def _lowest(estimates: Iterable[Estimate | None]) -> float:
    """Give where an axis begins: a tenth below the lowest limit of what may be claimed."""
    known = [e.low if e.low is not None else e.value for e in estimates if e is not None]
    return max(0.0, math.floor(min([0.5, *(v for v in known if v is not None)]) * 5) / 5)


def _counts(row: StratumResult | Analysis) -> tuple[int, int, int]:
    return row.positives, row.negatives, row.patients


def _cut(text: str, longest: int) -> str:
    shown = visible(text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _panels(
    figure: Figure, columns: Sequence[Column], height: int, *, top: int = TOP, foot: int = 40
) -> list[Axes]:
    width = (WIDTH - PANELS_LEFT - 12 - GAP * (len(columns) - 1)) / len(columns)
    panels = []
    for i, column in enumerate(columns):
        left = PANELS_LEFT + i * (width + GAP)
        panel = drawing.panel(figure, left, top, width, height - top - foot)
        _rows_axis(panel, top, height - top - foot, column.low)
        drawing.write(figure, left, 20, column.title, bold=True)
        if column.overall is not None and column.overall.value is not None:
            drawing.write(
                figure,
                left,
                37,
                f"all cases {decimal(column.overall.value)}",
                colour=MUTED,
                size=drawing.SMALL,
            )
            if column.overall.low is not None and column.overall.high is not None:
                panel.axvspan(
                    max(column.overall.low, column.low), column.overall.high, color=BAND, linewidth=0
                )
            panel.axvline(column.overall.value, color=SERIES, linewidth=1, dashes=(2, 3))
        panels.append(panel)
    return panels


def _rows_axis(axes: Axes, top: float, height: float, low: float) -> None:
    """Let the vertical axis be the figure's own pixels, so that rows and texts share one coordinate."""
    axes.set_ylim(top + height, top)
    axes.set_yticks([])
    axes.set_xlim(low, 1)
    drawing.unit_ticks(axes, low=low)
    axes.tick_params(length=0, pad=6)
    axes.grid(axis="x", color=GRID, linewidth=1)
    axes.spines["left"].set_visible(False)


def _count_heads(figure: Figure) -> None:
    for title, right in COUNT_COLUMNS:
        drawing.write(figure, right, 20, title, colour=MUTED, anchor="right", size=drawing.SMALL)


def _row_text(
    figure: Figure,
    place: float,
    level: str,
    counts: tuple[int, int, int],
    *,
    bold: bool = False,
    grey: bool = False,
    alert: bool = False,
) -> None:
    colour = FAINT if grey else ALERT if alert else INK
    drawing.write(
        figure, 0 if bold else 12, place + 4, _cut(level, LONGEST_LABEL), colour=colour, bold=bold or alert
    )
    for (_, right), number in zip(COUNT_COLUMNS, counts, strict=True):
        drawing.write(
            figure, right, place + 4, count(number), colour=colour, anchor="right", size=drawing.SMALL
        )


def _interval(
    axes: Axes, place: float, estimate: Estimate | None, low: float, *, grey: bool, whole: bool = False
) -> None:
    """Draw one value with its interval; a limit beyond the axis ends in an arrow, no value in a dash."""
    colour = FAINT if grey else SERIES
    if estimate is None or estimate.value is None:
        axes.text(low + (1 - low) * 0.02, place, "–", color=FAINT, va="center", size=drawing.SMALL)
        return
    if estimate.low is not None and estimate.high is not None:
        beyond = estimate.low < low
        axes.plot((max(estimate.low, low), estimate.high), (place, place), color=colour, linewidth=1.5)
        if beyond:
            axes.plot([low], [place], "<", color=colour, markersize=5, clip_on=False)
    if estimate.value >= low:
        axes.plot(
            [estimate.value],
            [place],
            "D" if whole else "o",
            markersize=7 if whole else 6.5,
            markerfacecolor=PAPER if grey else colour,
            markeredgecolor=colour if grey else PAPER,
            markeredgewidth=1.2,
            clip_on=False,
            zorder=3,
        )
