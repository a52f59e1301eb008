"""The figures of confounding: which attribute tells the label, and what that leaves of the AUROC.

If the label goes with an attribute, an algorithm can score well by recognising the attribute. Prevalence by
level shows that the label goes with it; AUROC within the levels shows what remains when it cannot help.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from sandbox.outcome.results import Analysis, Association
from sandbox.report import drawing
from sandbox.report.drawing import ALERT, FAINT, MUTED, PAPER, SERIES
from sandbox.report.figures import estimate_of
from sandbox.report.rows import (
    GAP,
    PANELS_LEFT,
    ROW,
    WIDTH,
    Column,
    count_heads,
    cut,
    interval,
    lowest,
    panels,
    row_text,
    rows_axis,
)
from sandbox.report.text import decimal, words

TOP: Final = 34
MOST_LEVELS: Final = 20


def prevalence(association: Association, analysis: Analysis, name: str) -> str:
    """Draw prevalence by level beside AUROC by level: the picture of a label that goes with an attribute."""
    largest = sorted(association.levels, key=lambda level: -level.n)[:MOST_LEVELS]
    levels = sorted(largest, key=lambda level: -(level.prevalence.value or 0))
    inside = {row.level: row for row in analysis.strata if row.attribute == association.attribute}
    overall_prevalence = (analysis.positives or 0) / analysis.n if analysis.n else 0.0
    height = TOP + ROW * len(levels) + 66
    share = Column(title="Prevalence of the target", overall=None, low=0.0)
    estimates = [
        estimate_of(inside[v.level].estimates, "auroc") if v.level in inside else None for v in levels
    ]
    low = lowest([association.conditional, *(e for e in estimates if e and e.status == "ok")])
    auroc = Column(title="AUROC within the level", overall=None, low=low)
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, height)
        left, right = panels(figure, [share, auroc], height, top=TOP, foot=66)
        count_heads(figure)
        left.axvline(overall_prevalence, color=MUTED, linewidth=1, dashes=(2, 3))
        for value, colour in ((association.pooled.value, MUTED), (association.conditional.value, ALERT)):
            if value is not None:
                right.axvline(
                    value, color=colour, linewidth=1.5, dashes=(2, 3) if colour == MUTED else (None, None)
                )
        for line, (level, estimate) in enumerate(zip(levels, estimates, strict=True)):
            place = TOP + ROW * (line + 0.5)
            row_text(figure, place, level.level, (level.positives, level.n - level.positives, level.patients))
            interval(left, place, level.prevalence, 0.0)
            interval(right, place, estimate, low)
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
    low = math.floor(10 * min([0.5, *(v for a in found for v in _values(a))])) / 10
    left, right = 230, WIDTH - 20
    height = 50 + ROW * len(found) + 36
    with drawing.house_style("associations"):
        figure = drawing.new_figure(WIDTH, height)
        axes = drawing.panel(figure, left, 50, right - left, ROW * len(found))
        rows_axis(axes, 50, ROW * len(found), low)
        drawing.write(figure, left, 18, "◇ the attribute alone", colour=ALERT)
        drawing.write(figure, left + 170, 18, "○ algorithm, all cases pooled", colour=MUTED)
        drawing.write(figure, left + 390, 18, "● algorithm, within levels", colour=SERIES)
        for line, association in enumerate(found):
            place = 50 + ROW * (line + 0.5)
            drawing.write(
                figure, 0, place + 4, cut(words(association.attribute), 34), bold=association.flagged
            )
            pooled, within = association.pooled.value, association.conditional.value
            if pooled is not None and within is not None:
                axes.plot((pooled, within), (place, place), color=FAINT, linewidth=1)
            interval(axes, place, association.conditional, low)
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
