"""Rows of a figure: a level, its counts, and dots with intervals in panels that share the rows.

A vertical line is the value over all cases. Levels with too few cases stay in their place, grey and hollow:
left out they would look like a pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.outcome.results import Analysis, Estimate, StratumResult
from sandbox.report import drawing
from sandbox.report.drawing import ALERT, BAND, FAINT, GRID, INK, MUTED, PAPER, SERIES
from sandbox.report.text import count, decimal, visible

WIDTH: Final = 960
ROW: Final = 23
TOP: Final = 50
COUNT_COLUMNS: Final = (("n+", 222), ("n−", 268), ("patients", 330))
PANELS_LEFT: Final = 360
GAP: Final = 30
LONGEST_LABEL: Final = 27


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One panel of intervals: its title, the value over all cases, and the lowest value its axis shows."""

    title: str
    overall: Estimate | None
    low: float


def lowest(estimates: Iterable[Estimate | None]) -> float:
    """Give where an axis begins: a tenth below the lowest limit of what may be claimed."""
    known = [e.low if e.low is not None else e.value for e in estimates if e is not None]
    return max(0.0, math.floor(min([0.5, *(v for v in known if v is not None)]) * 5) / 5)


def counts(row: StratumResult | Analysis) -> tuple[int | None, int | None, int]:
    """Give positives, negatives and patients, in the order of the count columns."""
    return row.positives, row.negatives, row.patients


def cut(text: str, longest: int) -> str:
    """Make a text visible and cut it to a number of characters."""
    shown = visible(text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def panels(
    figure: Figure, columns: Sequence[Column], height: int, *, top: int = TOP, foot: int = 40
) -> list[Axes]:
    """Add one panel for each column, side by side, with the value over all cases as line and band."""
    width = (WIDTH - PANELS_LEFT - 12 - GAP * (len(columns) - 1)) / len(columns)
    panels = []
    for i, column in enumerate(columns):
        left = PANELS_LEFT + i * (width + GAP)
        panel = drawing.panel(figure, left, top, width, height - top - foot)
        rows_axis(panel, top, height - top - foot, column.low)
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


def rows_axis(axes: Axes, top: float, height: float, low: float) -> None:
    """Let the vertical axis be the figure's own pixels, so that rows and texts share one coordinate."""
    axes.set_ylim(top + height, top)
    axes.set_yticks([])
    axes.set_xlim(low, 1)
    drawing.unit_ticks(axes, low=low)
    axes.tick_params(length=0, pad=6)
    axes.grid(axis="x", color=GRID, linewidth=1)
    axes.spines["left"].set_visible(False)


def count_heads(figure: Figure) -> None:
    """Write the heads of the count columns."""
    for title, right in COUNT_COLUMNS:
        drawing.write(figure, right, 20, title, colour=MUTED, anchor="right", size=drawing.SMALL)


def row_text(
    figure: Figure,
    place: float,
    level: str,
    counts: tuple[int | None, int | None, int],
    *,
    bold: bool = False,
    grey: bool = False,
    alert: bool = False,
) -> None:
    """Write a level and its counts at the height `place`."""
    colour = FAINT if grey else ALERT if alert else INK
    drawing.write(
        figure, 0 if bold else 12, place + 4, cut(level, LONGEST_LABEL), colour=colour, bold=bold or alert
    )
    for (_, right), number in zip(COUNT_COLUMNS, counts, strict=True):
        drawing.write(
            figure, right, place + 4, count(number), colour=colour, anchor="right", size=drawing.SMALL
        )


def interval(
    axes: Axes,
    place: float,
    estimate: Estimate | None,
    low: float,
    *,
    grey: bool = False,
    alert: bool = False,
    whole: bool = False,
) -> None:
    """Draw one value with its interval; a limit beyond the axis ends in an arrow, no value in a dash."""
    grey = grey or (estimate is not None and estimate.status != "ok")
    colour = FAINT if grey else ALERT if alert else SERIES
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
