"""Curves of stress: the change of AUROC, or of mean Dice, by severity with its band, of what breaks first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes

from sandbox.outcome.results import Estimate
from sandbox.outcome.stress_results import StressTestResult
from sandbox.report import drawing
from sandbox.report.drawing import ALERT, BAND, FAINT, GRID, INK, MUTED, PAPER, SERIES
from sandbox.report.rows import cut
from sandbox.report.stress_findings import drawn_change, words_of

WIDTH: Final = 960
ACROSS: Final = 3
HIGH: Final = 150
TOP: Final = 44
FOOT: Final = 44
LEFT: Final = 46
GAP: Final = 34


def stress_curves(tests: Sequence[StressTestResult], margin: float | None, name: str, shown: str) -> str:
    """Draw a panel for each test; severity 0 is the clean case, where nothing changed by definition.

    Args:
        tests: graded tests whose cells all have such a change.
        margin: loss that the protocol allows, drawn as a line.
        name: prefix of the figure's ids.
        shown: what changes, in words.
    """
    lows = [
        found.low
        for test in tests
        for cell in test.cells
        if (found := drawn_change(cell)) and found.low is not None
    ]
    floor = -min(1.0, max(0.2, math.ceil(-10 * min(lows, default=0.0)) / 10))
    rows = math.ceil(len(tests) / ACROSS)
    width = (WIDTH - LEFT - GAP * (ACROSS - 1) - 8) / ACROSS
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, rows * (TOP + HIGH + FOOT))
        for number, test in enumerate(tests):
            left = LEFT + (number % ACROSS) * (width + GAP)
            top = (number // ACROSS) * (TOP + HIGH + FOOT)
            axes = drawing.panel(figure, left, top + TOP, width, HIGH)
            _draw(axes, test, margin, floor)
            drawing.write(figure, left, top + 16, cut(words_of(test.name), 34), bold=True)
            unit = test.cells[-1].label.partition(" ")[2]
            drawing.write(figure, left, top + 33, cut(unit, 44), colour=MUTED, size=drawing.SMALL)
        return drawing.to_svg(figure, name, f"Change of {shown} by severity of each perturbation")


def _draw(axes: Axes, test: StressTestResult, margin: float | None, floor: float) -> None:
    axes.set_ylim(floor, 0.1)
    cells = [(cell, found) for cell in test.cells if (found := drawn_change(cell)) is not None]
    places = [0, *(cell.severity for cell, _ in cells)]
    values = [0.0, *(float(found.value or 0.0) for _, found in cells)]
    lows = [0.0, *(_end(found, found.low) for _, found in cells)]
    highs = [0.0, *(_end(found, found.high) for _, found in cells)]
    axes.set_xlim(-0.2, 5.2)
    axes.set_xticks(places, ["clean", *(cell.label.partition(" ")[0] for cell, _ in cells)])
    axes.tick_params(length=0, pad=6)
    axes.grid(axis="y", color=GRID, linewidth=1)
    axes.axhline(0, color=FAINT, linewidth=1)
    if margin is not None:
        axes.axhline(-margin, color=MUTED, linewidth=1, dashes=(2, 3))
        axes.text(5.15, -margin, "margin", color=MUTED, ha="right", va="top", size=drawing.SMALL)
    axes.fill_between(places, lows, highs, color=BAND, linewidth=0, zorder=1)
    axes.plot(places, values, color=SERIES, linewidth=2, zorder=2)
    for cell, found in cells:
        broken = cell.verdict == "outside"
        axes.plot(
            [cell.severity],
            [found.value or 0.0],
            "D" if broken else "o",
            markersize=7,
            markerfacecolor=ALERT if broken else SERIES,
            markeredgecolor=PAPER,
            zorder=3,
            clip_on=False,
        )
    axes.yaxis.label.set_color(INK)


def _end(found: Estimate, limit: float | None) -> float:
    """A limit of the interval; where there is none, the value itself."""
    return float(limit if limit is not None else found.value or 0.0)
