"""Figures of a task with several classes or labels: ROC curve and calibration of each against the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sandbox.outcome.result_figures import Line, Plot
from sandbox.plan.protocol import Protocol
from sandbox.scoring import calibration, roc
from sandbox.scoring.cases import ScoredCases


def class_plots(
    one_against_rest: Iterable[ScoredCases], names: Sequence[str], protocol: Protocol
) -> tuple[Plot, ...]:
    """ROC curves of all classes, then their calibration where answers are probabilities."""
    level, classes = protocol.intervals.level, protocol.output.classes
    assert classes is not None
    curves: list[Plot] = []
    reliabilities: list[Plot] = []
    for cases, name in zip(one_against_rest, names, strict=True):
        if cases.positives == 0 or cases.negatives == 0:
            continue
        curves += _roc(cases, name, level)
        if (classes.minimum, classes.maximum) == (0, 1) and not cases.failed.all():
            reliabilities += _calibration(cases, name, level)
    return (*curves, *reliabilities)


def _roc(cases: ScoredCases, name: str, level: float) -> Iterator[Plot]:
    curve = roc.roc_curve(cases, level)
    found = roc.auroc(cases, level)
    value = "" if found.value is None else f", AUROC {found.value:.3f}"
    yield replace(
        _with_diagonal(
            "chance",
            Line(
                name=name,
                x=curve.false_positive_rate,
                y=curve.sensitivity,
                low=tuple(each or 0.0 for each in curve.band_low),
                high=tuple(1.0 if each is None else each for each in curve.band_high),
            ),
            level,
        ),
        name=f"roc:{name}",
        title=f"{name}{value}",
        x_label="1 − specificity",
        y_label="Sensitivity",
        method=curve.method,
        note="ROC curves of each class against all others, with pointwise bands.",
    )


def _calibration(cases: ScoredCases, name: str, level: float) -> Iterator[Plot]:
    curve = calibration.calibration_curve(cases, level)
    yield replace(
        _with_diagonal(
            "identity",
            Line(
                name=name,
                x=tuple(each.mean_score for each in curve.bins),
                y=tuple(each.observed for each in curve.bins),
                low=tuple(each.low for each in curve.bins),
                high=tuple(each.high for each in curve.bins),
            ),
            level,
        ),
        name=f"calibration:{name}",
        title=f"{name}, calibration",
        x_label="Mean answer in the bin",
        y_label="Observed share",
        method=curve.method,
        note=f"Calibration of each class against all others: {curve.binning}",
    )


def _with_diagonal(diagonal: str, line: Line, level: float) -> Plot:
    """A line with its band over the unit square; names and notes are the caller's."""
    return Plot(
        name="",
        title="",
        x_label="",
        y_label="",
        lines=(Line(name=diagonal, x=(0.0, 1.0), y=(0.0, 1.0), style="reference"), line),
        x_low=0.0,
        x_high=1.0,
        y_low=0.0,
        y_high=1.0,
        level=level,
    )
