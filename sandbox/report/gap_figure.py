"""The gap plot: every compared level, its gap with both intervals, and the band that chance alone fills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.outcome.bias_results import Bias, Gap, StratumGaps
from sandbox.report import drawing
from sandbox.report.drawing import ALERT, BAND, FAINT, GRID, INK, MUTED, PAPER, SERIES
from sandbox.report.gap_findings import against, words_of_level
from sandbox.report.glossary import metric_label
from sandbox.report.rows import cut
from sandbox.report.text import count, words

WIDTH: Final = 960
ROW: Final = 23
TOP: Final = 50
FOOT: Final = 52
LEFT: Final = 244
GAP: Final = 26
# A stratum with more levels than this shows those that stand out most.
MOST_LEVELS: Final = 12
WIDEST: Final = 0.5


def gap_plot(bias: Bias, metrics: Sequence[tuple[str, str | None]], name: str) -> str:
    """Draw the gaps of up to four metrics side by side, a row for each compared level.

    Args:
        bias: what was compared.
        metrics: metric and operating point of each panel.
        name: prefix of the figure's ids.
    """
    panels = [
        {stratum.attribute: stratum for stratum in bias.strata if _is(stratum, metric)} for metric in metrics
    ]
    rows = _rows(panels)
    shares = [panel for panel in panels if _is_share(panel)]
    together = _reach([stratum for panel in shares for stratum in panel.values()])
    height = TOP + ROW * len(rows) + FOOT
    width = (WIDTH - LEFT - 10 - GAP * (len(metrics) - 1)) / len(metrics)
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, height)
        for number, (metric, panel) in enumerate(zip(metrics, panels, strict=True)):
            left = LEFT + number * (width + GAP)
            reach = together if _is_share(panel) else _own_reach(list(panel.values()))
            axes = _panel(figure, left, width, height, reach)
            family = next((f for f in bias.families if (f.metric, f.operating_point) == metric), None)
            drawing.write(figure, left, 20, metric_label(metric[0]), bold=True)
            margin = family.margin if family is not None else None
            if margin is not None:
                under = f"margin ±{margin:g}"
                drawing.write(figure, left, 37, under, colour=MUTED, size=drawing.SMALL)
                for side in (-margin, margin):
                    axes.axvline(side, color=MUTED, linewidth=1, dashes=(2, 3))
            _draw_panel(axes, rows, panel, reach)
        for line, row in enumerate(rows):
            _label(figure, TOP + ROW * (line + 0.5) + 4, row)
        _legend(figure, height - 10)
        return drawing.to_svg(
            figure, name, "Gaps between groups: " + ", ".join(metric_label(m) for m, _ in metrics)
        )


Row = tuple[str, str | None, str]
"""Attribute, level (None: heading or a count) and the text of the label."""


def _is(stratum: StratumGaps, metric: tuple[str, str | None]) -> bool:
    return (stratum.metric, stratum.operating_point) == metric


def _rows(panels: Sequence[dict[str, StratumGaps]]) -> list[Row]:
    """Give a heading for each attribute, and its levels that were compared in any panel."""
    rows: list[Row] = []
    for attribute in dict.fromkeys(name for panel in panels for name in panel):
        strata = [panel[attribute] for panel in panels if attribute in panel]
        weight: dict[str, float] = {}
        label: dict[str, str] = {}
        for stratum in strata:
            for gap in stratum.gaps:
                weight[gap.group.name] = max(weight.get(gap.group.name, 0.0), abs(gap.statistic))
                label[gap.group.name] = f"{gap.group.name} {against(gap)}".strip()
        rows.append(
            (attribute, None, words(attribute) if weight else f"{words(attribute)}: nothing to compare")
        )
        kept = sorted(weight, key=lambda level: -weight[level])[:MOST_LEVELS]
        rows += [(attribute, level, label[level]) for level in weight if level in kept]
        if len(kept) < len(weight):
            rows.append((attribute, None, f"and {count(len(weight) - len(kept))} more in the table"))
    return rows


def _reach(strata: Sequence[StratumGaps]) -> float:
    """Give how far the axes go to both sides: to the widest interval, in tenths, within bounds."""
    ends = [gap.largest_not_excluded for stratum in strata for gap in stratum.gaps]
    return min(WIDEST, max(0.1, math.ceil(10 * max(ends, default=0.1)) / 10))


def _is_share(panel: dict[str, StratumGaps]) -> bool:
    """Whether the values are shares or correlations, whose gaps can stand on one axis."""
    gaps = [gap for stratum in panel.values() for gap in stratum.gaps]
    return all(abs(side.value) <= 1 for gap in gaps for side in (gap.group, gap.against))


def _own_reach(strata: Sequence[StratumGaps]) -> float:
    """Give how far the axis of a metric with a unit of its own goes: to the widest interval, at one digit."""
    farthest = max((gap.largest_not_excluded for stratum in strata for gap in stratum.gaps), default=1.0)
    step: float = 10.0 ** math.floor(math.log10(max(farthest, 1e-9)))
    return step * math.ceil(farthest / step)


def _panel(figure: Figure, left: float, width: float, height: float, reach: float) -> Axes:
    axes = drawing.panel(figure, left, TOP, width, height - TOP - FOOT)
    axes.set_ylim(height - FOOT, TOP)
    axes.set_yticks([])
    axes.set_xlim(-reach, reach)
    # Labels at the ends would run into those of the next panel.
    ticks = [-reach / 2, 0.0, reach / 2]
    labels = ["0" if tick == 0 else f"{tick:+.2g}".replace("-", "\u2212") for tick in ticks]
    axes.set_xticks(ticks, labels)
    axes.tick_params(length=0, pad=6)
    axes.grid(axis="x", color=GRID, linewidth=1)
    axes.spines["left"].set_visible(False)
    return axes


def _draw_panel(axes: Axes, rows: Sequence[Row], panel: dict[str, StratumGaps], reach: float) -> None:
    for attribute, stratum in panel.items():
        lines = [line for line, row in enumerate(rows) if row[0] == attribute and row[1] is not None]
        if stratum.chance is not None and lines:
            edge = min(stratum.chance.percentile_95, reach)
            top, foot = TOP + ROW * lines[0], TOP + ROW * (lines[-1] + 1)
            axes.fill_between((-edge, edge), top, foot, color=BAND, linewidth=0, zorder=1)
    axes.axvline(0, color=FAINT, linewidth=1, zorder=2)
    for line, (attribute, level, _) in enumerate(rows):
        if level is None:
            continue
        place = TOP + ROW * (line + 0.5)
        known = panel[attribute].gaps if attribute in panel else ()
        gap = next((each for each in known if each.group.name == level), None)
        if gap is None:
            axes.text(-reach * 0.97, place, "–", color=FAINT, va="center", size=drawing.SMALL)
        else:
            _gap(axes, place, gap, reach)


def _gap(axes: Axes, place: float, gap: Gap, reach: float) -> None:
    """Draw one gap: the thick line holds for it alone, the thin one for all comparisons at once."""
    colour = ALERT if gap.verdict == "gap_shown" else SERIES
    for low, high, width in (
        (gap.simultaneous_low, gap.simultaneous_high, 1.2),
        (gap.low, gap.high, 3.2),
    ):
        if low < reach and high > -reach:
            ends = (max(low, -reach), min(high, reach))
            axes.plot(ends, (place, place), color=colour, linewidth=width, zorder=3)
    for beyond, at, mark in (
        (gap.simultaneous_low < -reach, -reach, "<"),
        (gap.simultaneous_high > reach, reach, ">"),
    ):
        if beyond:
            axes.plot([at], [place], mark, color=colour, markersize=5, clip_on=False, zorder=4)
    if -reach <= gap.value <= reach:
        filled = gap.verdict != "within_margin"
        axes.plot(
            [gap.value],
            [place],
            "D" if gap.verdict == "gap_shown" else "o",
            markersize=7,
            markerfacecolor=colour if filled else PAPER,
            markeredgecolor=PAPER if filled else colour,
            markeredgewidth=1.3,
            clip_on=False,
            zorder=5,
        )


def _label(figure: Figure, place: float, row: Row) -> None:
    _, level, text = row
    if level is None:
        drawing.write(figure, 0, place, cut(text, 40), colour=MUTED, size=drawing.SMALL)
    else:
        drawing.write(figure, 12, place, cut(words_of_level(text), 34), colour=INK)


def _legend(figure: Figure, place: float) -> None:
    for left, text, colour in (
        (0, "◆ gap shown", ALERT),
        (92, "● cannot tell", SERIES),
        (182, "○ within margin", SERIES),
        (304, "thick: interval of this gap", MUTED),
        (474, "thin: of all gaps at once", MUTED),
        (636, "shaded: largest gap by chance, 95 of 100", MUTED),
    ):
        drawing.write(figure, left, place, text, colour=colour, size=drawing.SMALL)
