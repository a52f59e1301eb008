"""Figures that a task brings itself: lines with bands, reference lines, and cases as counts on a grid."""

from __future__ import annotations

import math
from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from sandbox.outcome.result_figures import Density, Line, Plot
from sandbox.report import drawing
from sandbox.report.drawing import ALERT, BAND, FAINT, GRID, MUTED, PAPER, SERIES
from sandbox.report.text import visible

WIDTH: Final = 300
LEFT: Final = 52
TOP: Final = 40
SIDE: Final = 232
# Beyond so many points dots hide the curve they stand on.
MOST_DOTS: Final = 20
_COLOURS: Final = (SERIES, ALERT, MUTED)


def plot(figure_of: Plot, name: str) -> str:
    """Draw one figure; ``name`` is the prefix of its ids, its own on the page."""
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, TOP + SIDE + 46)
        axes = drawing.panel(figure, LEFT, TOP, SIDE, SIDE)
        axes.tick_params(length=0, pad=6)
        axes.grid(color=GRID, linewidth=1)
        for spine in axes.spines.values():
            spine.set_zorder(0.5)
        if figure_of.log_x:
            axes.set_xscale("log")
        if figure_of.density is not None:
            _draw_density(axes, figure_of.density)
        curves = 0
        for line in figure_of.lines:
            _draw_line(axes, line, _COLOURS[curves % len(_COLOURS)])
            curves += line.style == "curve"
        _draw_ends(axes, figure_of)
        drawing.write(figure, 0, 14, _cut(figure_of.title, 42), bold=True)
        drawing.write(figure, LEFT - 40, 32, _cut(figure_of.y_label, 44), colour=MUTED, size=drawing.SMALL)
        drawing.write(
            figure,
            LEFT + SIDE,
            TOP + SIDE + 40,
            _cut(figure_of.x_label, 44),
            colour=MUTED,
            anchor="right",
            size=drawing.SMALL,
        )
        if curves > 1:
            _draw_legend(axes, figure_of)
        return drawing.to_svg(figure, name, f"{figure_of.title}: {figure_of.y_label} by {figure_of.x_label}")


def _draw_line(axes: Axes, line: Line, colour: str) -> None:
    if line.style == "reference":
        axes.plot(line.x, line.y, color=FAINT, linewidth=1, dashes=(4, 4))
        return
    banded = len(line.low) == len(line.x) and len(line.high) == len(line.x)
    few = len(line.x) <= MOST_DOTS and line.style == "curve" and len(line.x) > 2
    if banded and few and not line.steps:
        for x, low, high in zip(line.x, line.low, line.high, strict=True):
            axes.plot((x, x), (low, high), color=colour, linewidth=1.5)
    elif banded:
        axes.fill_between(
            line.x,
            line.low,
            line.high,
            color=BAND,
            linewidth=0,
            step="post" if line.steps else None,
            zorder=0.8,
        )
    if line.style == "limit":
        axes.plot(line.x, line.y, color=ALERT, linewidth=1.5, dashes=(6, 3))
    elif few and not line.steps:
        axes.plot(
            line.x,
            line.y,
            "o",
            color=colour,
            markersize=6,
            markeredgecolor=PAPER,
            markeredgewidth=1,
            clip_on=False,
        )
    else:
        axes.plot(
            line.x,
            line.y,
            color=colour,
            linewidth=2,
            drawstyle="steps-post" if line.steps else "default",
            solid_joinstyle="round",
        )


def _draw_density(axes: Axes, density: Density) -> None:
    """Draw a square in each cell, its area the share of the fullest cell."""
    most = max((count for row in density.counts for count in row), default=0)
    if most == 0:
        return
    wide = density.x_edges[1] - density.x_edges[0]
    high = density.y_edges[1] - density.y_edges[0]
    for y, row in zip(density.y_edges, density.counts, strict=False):
        for x, count in zip(density.x_edges, row, strict=False):
            if count == 0:
                continue
            # A single case must still be seen beside a full cell.
            side = max(0.28, math.sqrt(count / most)) * 0.92
            axes.add_patch(
                Rectangle(
                    (x + wide * (1 - side) / 2, y + high * (1 - side) / 2),
                    wide * side,
                    high * side,
                    facecolor=SERIES,
                    alpha=0.55,
                    linewidth=0,
                )
            )
    axes.set_xlim(density.x_edges[0], density.x_edges[-1])
    axes.set_ylim(density.y_edges[0], density.y_edges[-1])


def _draw_ends(axes: Axes, figure_of: Plot) -> None:
    """Set the axes' ends; a unit square gets the same ticks everywhere."""
    for low, high, get, put in (
        (figure_of.x_low, figure_of.x_high, axes.get_xlim, axes.set_xlim),
        (figure_of.y_low, figure_of.y_high, axes.get_ylim, axes.set_ylim),
    ):
        ends = get()
        put(ends[0] if low is None else low, ends[1] if high is None else high)
    unit_x = (figure_of.x_low, figure_of.x_high) == (0, 1)
    unit_y = (figure_of.y_low, figure_of.y_high) == (0, 1)
    drawing.unit_ticks(axes, horizontal=unit_x, vertical=unit_y)
    if not unit_x and not figure_of.log_x:
        axes.locator_params(axis="x", nbins=5)
    if not unit_y:
        axes.locator_params(axis="y", nbins=6)


def _draw_legend(axes: Axes, figure_of: Plot) -> None:
    """Name the curves at their right ends, inside the panel."""
    for number, line in enumerate(each for each in figure_of.lines if each.style == "curve"):
        axes.text(
            0.97,
            0.96 - 0.075 * number,
            visible(line.name, longest=30),
            transform=axes.transAxes,
            ha="right",
            va="top",
            size=drawing.SMALL,
            color=_COLOURS[number % len(_COLOURS)],
            gid=drawing.HALO,
        )


def _cut(text: str, longest: int) -> str:
    shown = visible(text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
