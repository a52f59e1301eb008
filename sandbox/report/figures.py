"""The figures of discrimination and calibration: the ROC curve with its band, calibration with its counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.outcome.results import (
    CalibrationCurve,
    Estimate,
    OperatingPointResult,
    PrecisionRecallCurve,
    RocCurve,
)
from sandbox.report import drawing
from sandbox.report.drawing import ALERT, BAND, FAINT, GRID, INK, MUTED, PAPER, SECOND, SERIES
from sandbox.report.text import count, decimal, visible

SIDE: Final = 356
LEFT: Final = 44
TOP: Final = 34
WIDTH: Final = LEFT + SIDE + 16


def estimate_of(estimates: Sequence[Estimate], metric: str) -> Estimate | None:
    """Give the estimate of `metric`, or None when there is none."""
    return next((e for e in estimates if e.metric == metric), None)


def roc(curve: RocCurve, points: Sequence[OperatingPointResult], auroc: Estimate | None) -> str:
    """Draw the ROC curve with its pointwise band, the chance line and the declared operating points."""
    title = "ROC curve: sensitivity against false-positive rate"
    if auroc is not None and auroc.value is not None:
        title += f", AUROC {decimal(auroc.value)}"
    with drawing.house_style("roc"):
        figure = drawing.new_figure(WIDTH, TOP + SIDE + 44)
        axes = _square(figure, TOP)
        axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, dashes=(4, 4))
        banded = [
            (x, low, high)
            for x, low, high in zip(curve.false_positive_rate, curve.band_low, curve.band_high, strict=True)
            if low is not None and high is not None
        ]
        if banded:
            x, low, high = zip(*banded, strict=True)
            axes.fill_between(x, low, high, color=BAND, linewidth=0)
        axes.plot(
            curve.false_positive_rate, curve.sensitivity, color=SERIES, linewidth=2, solid_joinstyle="round"
        )
        for point in points:
            _operating_point(axes, point)
        if auroc is not None and auroc.value is not None:
            axes.text(0.97, 0.10, f"AUROC {decimal(auroc.value)}", ha="right", weight="bold", color=INK)
            if auroc.low is not None and auroc.high is not None:
                interval = f"{100 * auroc.level:.0f} % CI {decimal(auroc.low)} – {decimal(auroc.high)}"
                axes.text(0.97, 0.045, interval, ha="right", color=MUTED, size=drawing.SMALL)
        drawing.write(figure, LEFT - 30, 16, "Sensitivity", colour=MUTED)
        drawing.write(
            figure,
            LEFT + SIDE,
            TOP + SIDE + 38,
            "1 − specificity (false-positive rate)",
            colour=MUTED,
            anchor="right",
        )
        return drawing.to_svg(figure, "roc", title)


def _operating_point(axes: Axes, point: OperatingPointResult) -> None:
    negatives, positives = point.fp + point.tn, point.tp + point.fn
    if not negatives or not positives:
        return
    x, y = point.fp / negatives, point.tp / positives
    axes.plot([x], [y], "o", markersize=8, markerfacecolor=ALERT, markeredgecolor=PAPER, markeredgewidth=1.5)
    # Above the curve there is room to the lower right of every point that beats chance.
    axes.annotate(
        visible(f"{point.name} (≥ {point.threshold:g})", longest=40),
        (x, y),
        xytext=(9, -15) if x < 0.66 else (-9, -17),
        textcoords="offset points",
        ha="left" if x < 0.66 else "right",
        size=drawing.SMALL,
        color=INK,
        gid=drawing.HALO,
    )


def _square(figure: Figure, top: float) -> Axes:
    axes = drawing.panel(figure, LEFT, top, SIDE, SIDE)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    drawing.unit_ticks(axes, vertical=True)
    axes.grid(color=GRID, linewidth=1)
    axes.tick_params(length=0, pad=6)
    # A curve along the edge (a perfect algorithm) must not be cut in half.
    for line in axes.spines.values():
        line.set_zorder(0.5)
    return axes


def precision_recall(curve: PrecisionRecallCurve) -> str:
    """Draw precision against recall in steps, with the prevalence as the line of chance."""
    with drawing.house_style("precision-recall"):
        figure = drawing.new_figure(WIDTH, TOP + SIDE + 44)
        axes = _square(figure, TOP)
        axes.axhline(curve.prevalence, color=FAINT, linewidth=1, dashes=(4, 4))
        axes.text(0.02, curve.prevalence + 0.015, "prevalence", color=MUTED, size=drawing.SMALL)
        axes.step(curve.recall, curve.precision, where="pre", color=SERIES, linewidth=2)
        drawing.write(figure, LEFT - 30, 16, "Precision (PPV)", colour=MUTED)
        drawing.write(
            figure, LEFT + SIDE, TOP + SIDE + 38, "Recall (sensitivity)", colour=MUTED, anchor="right"
        )
        return drawing.to_svg(figure, "precision-recall", "Precision against recall")


def calibration(curve: CalibrationCurve) -> str:
    """Draw observed frequency against mean score by bin with limits, and how many cases stand in each bin."""
    histogram_top, histogram_height = TOP + SIDE + 62, 70
    with drawing.house_style("calibration"):
        figure = drawing.new_figure(WIDTH, histogram_top + histogram_height + 44)
        axes = _square(figure, TOP)
        axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, dashes=(4, 4))
        for bin_ in curve.bins:
            axes.plot([bin_.mean_score] * 2, (bin_.low, bin_.high), color=SERIES, linewidth=1.5)
        axes.plot(
            [b.mean_score for b in curve.bins],
            [b.observed for b in curve.bins],
            "o",
            markersize=7,
            markerfacecolor=SERIES,
            markeredgecolor=PAPER,
            markeredgewidth=1.2,
            clip_on=False,
        )
        drawing.write(figure, LEFT - 30, 16, "Observed share of positives", colour=MUTED)
        drawing.write(
            figure, LEFT + SIDE, TOP + SIDE + 38, "Mean score in the bin", colour=MUTED, anchor="right"
        )
        counts = drawing.panel(figure, LEFT, histogram_top, SIDE, histogram_height)
        most = max((b.n for b in curve.bins), default=1)
        for bin_ in curve.bins:
            wide = bin_.upper_edge - bin_.lower_edge
            left, width, negatives = bin_.lower_edge + wide * 0.06, wide * 0.88, bin_.n - bin_.positives
            counts.bar(left, negatives, width, color=SECOND, align="edge")
            counts.bar(left, bin_.positives, width, bottom=negatives, color=ALERT, align="edge")
            if len(curve.bins) <= 10:
                counts.text(
                    (bin_.lower_edge + bin_.upper_edge) / 2,
                    bin_.n + most * 0.05,
                    count(bin_.n),
                    ha="center",
                    size=drawing.SMALL,
                    color=MUTED,
                )
        counts.set_xlim(0, 1)
        counts.set_ylim(0, most * 1.25)
        counts.set_yticks([])
        counts.spines["left"].set_visible(False)
        drawing.unit_ticks(counts)
        counts.tick_params(length=0, pad=6)
        baseline = histogram_top + histogram_height + 38
        drawing.write(figure, LEFT, baseline, "■ negative", colour=FAINT)
        drawing.write(figure, LEFT + 78, baseline, "■ positive", colour=ALERT)
        drawing.write(figure, LEFT + SIDE, baseline, "Score (cases per bin)", colour=MUTED, anchor="right")
        return drawing.to_svg(figure, "calibration", "Calibration: observed share of positives against score")
