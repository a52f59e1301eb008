"""The forest plot of a task other than one binary score: its own metrics for every level, each on its own axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.outcome.results import Analysis, Estimate, StratumResult
from sandbox.report import drawing
from sandbox.report.drawing import ALERT, BAND, FAINT, GRID, INK, MUTED, PAPER, SERIES
from sandbox.report.figures import estimate_of
from sandbox.report.glossary import metric_label
from sandbox.report.rows import ROW, TOP, WIDTH, cut
from sandbox.report.text import count, decimal, words

# What is shown by stratum; the table of estimates has the rest.
SHOWN_BY_STRATUM: Final[dict[str, tuple[str, ...]]] = {
    "multiclass": ("accuracy", "balanced_accuracy", "macro_auroc"),
    "multilabel": ("macro_auroc", "label_ranking_average_precision"),
    "ordinal": ("quadratic_kappa", "exact_agreement", "within_one_agreement"),
    "measurement": ("bias", "mean_absolute_error", "concordance_correlation"),
    "detection": ("average_precision", "wafroc", "case_auroc"),
    "segmentation": ("mean_dice", "mean_nsd", "mean_hd95"),
}
_COUNTS: Final = (("cases", 260), ("patients", 330))
_PANELS_LEFT: Final = 360
_GAP: Final = 34


def task_forest(analysis: Analysis, metrics: Sequence[str], name: str) -> str:
    """Draw ``metrics`` for the levels of every stratum against all cases."""
    rows: list[str | StratumResult] = []
    for level in analysis.strata:
        if not any(isinstance(each, StratumResult) and each.attribute == level.attribute for each in rows):
            rows.append(words(level.attribute))
        rows.append(level)
    height = TOP + ROW * (len(rows) + 1) + 40
    width = (WIDTH - _PANELS_LEFT - 12 - _GAP * (len(metrics) - 1)) / len(metrics)
    with drawing.house_style(name):
        figure = drawing.new_figure(WIDTH, height)
        for title, right in _COUNTS:
            drawing.write(figure, right, 20, title, colour=MUTED, anchor="right", size=drawing.SMALL)
        panels = []
        for index, metric in enumerate(metrics):
            left = _PANELS_LEFT + index * (width + _GAP)
            axes = drawing.panel(figure, left, TOP, width, height - TOP - 40)
            _prepare(axes, analysis, metric, height - TOP - 40)
            drawing.write(figure, left, 20, metric_label(metric), bold=True)
            whole = estimate_of(analysis.estimates, metric)
            if whole is not None and whole.value is not None:
                text = f"all cases {decimal(whole.value)}"
                drawing.write(figure, left, 37, text, colour=MUTED, size=drawing.SMALL)
            panels.append(axes)
        for line, row in enumerate(("All cases", *rows)):
            place = TOP + ROW * (line + 0.5)
            if isinstance(row, str) and line:
                drawing.write(figure, 0, place + 4, cut(row, 44), colour=MUTED, size=drawing.SMALL)
                continue
            source: Analysis | StratumResult = analysis if isinstance(row, str) else row
            _text(figure, place, row, source)
            for metric, axes in zip(metrics, panels, strict=True):
                _interval(axes, place, estimate_of(source.estimates, metric), whole=source is analysis)
        return drawing.to_svg(
            figure, name, "By stratum: " + ", ".join(metric_label(each) for each in metrics)
        )


def _prepare(axes: Axes, analysis: Analysis, metric: str, height: float) -> None:
    everything: tuple[Analysis | StratumResult, ...] = (analysis, *analysis.strata)
    found = [estimate_of(row.estimates, metric) for row in everything]
    able = [each for each in found if each is not None and each.status == "ok"] or [
        each for each in found if each is not None
    ]
    ends = [n for each in able for n in (each.low, each.value, each.high) if n is not None] or [0.0, 1.0]
    room = 0.05 * (max(ends) - min(ends)) or 0.05
    axes.set_xlim(min(ends) - room, max(ends) + room)
    axes.set_ylim(TOP + height, TOP)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(length=0, pad=6)
    axes.grid(axis="x", color=GRID, linewidth=1)
    axes.spines["left"].set_visible(False)
    whole = found[0]
    if whole is not None and whole.value is not None:
        if whole.low is not None and whole.high is not None:
            axes.axvspan(whole.low, whole.high, color=BAND, linewidth=0)
        axes.axvline(whole.value, color=SERIES, linewidth=1, dashes=(2, 3))


def _text(figure: Figure, place: float, row: str | StratumResult, source: Analysis | StratumResult) -> None:
    whole = isinstance(row, str)
    grey = not isinstance(row, str) and row.status != "ok"
    label = row if isinstance(row, str) else row.level
    colour = FAINT if grey else INK
    drawing.write(figure, 0 if whole else 12, place + 4, cut(label, 27), colour=colour, bold=whole)
    for (_, right), number in zip(_COUNTS, (source.n, source.patients), strict=True):
        drawing.write(
            figure, right, place + 4, count(number), colour=colour, anchor="right", size=drawing.SMALL
        )


def _interval(axes: Axes, place: float, found: Estimate | None, *, whole: bool) -> None:
    left, right = axes.get_xlim()
    if found is None or found.value is None:
        axes.text(left + (right - left) * 0.02, place, "–", color=FAINT, va="center", size=drawing.SMALL)
        return
    colour = FAINT if found.status != "ok" else SERIES
    if found.low is not None and found.high is not None:
        axes.plot((max(found.low, left), min(found.high, right)), (place, place), color=colour, linewidth=1.5)
        for beyond, end, mark in ((found.low < left, left, "<"), (found.high > right, right, ">")):
            if beyond:
                axes.plot([end], [place], mark, color=ALERT if whole else colour, markersize=5, clip_on=False)
    if left <= found.value <= right:
        axes.plot(
            [found.value], [place], "D" if whole else "o", markersize=6.5, clip_on=False, zorder=3,
            markerfacecolor=PAPER if found.status != "ok" else colour,
            markeredgecolor=colour if found.status != "ok" else PAPER, markeredgewidth=1.2,
        )  # fmt: skip
