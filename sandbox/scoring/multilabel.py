"""A task whose answer is one number for each of several labels that may occur together.

Each label is a binary task of its own, over the cases whose truth for it is known: an unknown label is never taken for
a negative one. What needs all labels of a case (exact match, Hamming loss, ranking) rests on the cases with all of
them known. Under ``worst_case`` a failed case is wrong for every label, at every threshold.

Sources: Schapire and Singer 2000 (Mach Learn 39:135) for label ranking; Tsoumakas, Katakis and Vlahavas 2010 (Mining
multi-label data) for exact match, Hamming loss, macro and micro F1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from sandbox.outcome.results import Estimate, OperatingPointResult
from sandbox.plan.output_schema import ClassesOutput
from sandbox.plan.protocol import Protocol
from sandbox.plan.task_section import OperatingPoint
from sandbox.scoring import calibration, precision_recall, roc
from sandbox.scoring.cases import Bools, Floats, ScoredCases, make_cases
from sandbox.scoring.class_auroc import mean_auroc
from sandbox.scoring.class_outcomes import label_outcomes
from sandbox.scoring.class_plots import class_plots
from sandbox.scoring.estimates import undefined
from sandbox.scoring.influence import from_influence
from sandbox.scoring.operating_points import at_threshold
from sandbox.scoring.outcomes import Outcome
from sandbox.scoring.proportions import proportion
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.task_analysis import Place, TaskParts, score_task
from sandbox.scoring.task_columns import TaskColumns, task_columns

ALL_LABELS = "all labels"
NOTES = (
    "A label that is not known for a case takes no part: it is not a negative.",
    "A failed case is wrong for every label.",
)


def score_multilabel(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a task with labels that may occur together.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    cases, levels = task_columns(labelled, protocol)
    parts = TaskParts(
        estimates=_estimates,
        points=_points,
        plots=lambda entered, plan, _place: class_plots(
            (case for _, case in _by_label(entered, plan)), _classes(plan).names, plan
        ),
        compared=_compared,
        worst_by=(("macro_auroc", False), ("label_ranking_average_precision", False)),
        notes=NOTES,
    )
    return score_task(cases, levels, parts, protocol, evaluation)


def _compared(asked: TaskColumns, counted: Bools, protocol: Protocol, _place: Place) -> tuple[Outcome, ...]:
    points = [
        (each.name, _thresholds(each, protocol) - _tolerance(protocol)) for each in protocol.operating_points
    ]
    return label_outcomes(_classes(protocol).names, counted, asked.truth, ranked_answers(asked), points)


def _classes(protocol: Protocol) -> ClassesOutput:
    assert protocol.output.classes is not None
    return protocol.output.classes


def ranked_answers(cases: TaskColumns) -> Floats:
    """Answers with failed cases at their worst: below all where the label is there, above all where not."""
    worst = np.where(cases.truth == 1, -np.inf, np.inf)
    return np.where(cases.failed[:, None], worst, cases.answer)


def _by_label(cases: TaskColumns, protocol: Protocol) -> Iterator[tuple[str, ScoredCases]]:
    """Each label with the cases whose truth for it is known, as those of a binary task."""
    ranked = ranked_answers(cases)
    for index, name in enumerate(_classes(protocol).names):
        known = ~np.isnan(cases.truth[:, index])
        yield (
            name,
            make_cases(
                cases.truth[known, index] == 1,
                ranked[known, index],
                cases.patient[known],
                cases.failed[known],
            ),
        )


def _estimates(cases: TaskColumns, protocol: Protocol, _place: Place) -> tuple[Estimate, ...]:
    level, classes = protocol.intervals.level, _classes(protocol)
    basis, ranked = cases.basis(level), ranked_answers(cases)
    known = [~np.isnan(cases.truth[:, index]) for index in range(len(classes.names))]
    positive = [cases.truth[:, index] == 1 for index in range(len(classes.names))]
    whole = mean_auroc("macro_auroc", ranked, positive, cases.patient, classes.names, basis, known)
    by_label = []
    precisions = []
    for name, scored in _by_label(cases, protocol):
        precision = precision_recall.average_precision(scored, level)
        precisions.append(precision)
        found = [roc.auroc(scored, level), precision]
        if (classes.minimum, classes.maximum) == (0, 1):
            found.append(calibration.brier(scored, level))
            found.append(calibration.intercept(scored, level, 0.5 / (classes.levels - 1)))
        by_label += [replace(each, subject=name) for each in found]
    return (whole, _macro_precision(precisions, cases, protocol), _ranking(cases, protocol), *by_label)


def _macro_precision(precisions: list[Estimate], cases: TaskColumns, protocol: Protocol) -> Estimate:
    """Mean of the labels' average precisions; its interval by combining theirs as if they moved together."""
    metric, basis = "macro_average_precision", cases.basis(protocol.intervals.level)
    name = "together-jackknife-logit"
    if any(each.value is None for each in precisions):
        reasons = " ".join(each.reason or "" for each in precisions if each.value is None)
        return undefined(metric, basis, name, f"The mean needs every label. {reasons}")
    value, low, high = (
        float(np.mean([getattr(each, part) for each in precisions])) for part in ("value", "low", "high")
    )
    return Estimate(
        metric=metric, value=value, low=low, high=high, level=basis.level, n=basis.n, positives=None,
        patients=basis.patients, method=name, version=1,
    )  # fmt: skip


def _ranking(cases: TaskColumns, protocol: Protocol) -> Estimate:
    """Label ranking average precision over cases with all labels known and one or more of them there."""
    full = np.asarray(~np.isnan(cases.truth).any(axis=1) & (cases.truth == 1).any(axis=1))
    chosen = cases.where(full)
    metric, basis = "label_ranking_average_precision", chosen.basis(protocol.intervals.level)
    if chosen.n == 0:
        reason = "No case with every label known has any of them."
        return undefined(metric, basis, "influence-normal", reason)
    ranked, there = ranked_answers(chosen), chosen.truth == 1
    # For each label of a case: how many labels, and how many true ones, are answered at least as high.
    at_least = ranked[:, None, :] >= ranked[:, :, None]
    share = (at_least & there[:, None, :]).sum(axis=2) / at_least.sum(axis=2)
    value = np.where(there, share, 0.0).sum(axis=1) / there.sum(axis=1)
    mean = float(value.mean())
    return from_influence(metric, mean, (value - mean) / chosen.n, chosen.patient, basis, low=0.0, high=1.0)


def _points(cases: TaskColumns, protocol: Protocol, _place: Place) -> tuple[OperatingPointResult, ...]:
    found: list[OperatingPointResult] = []
    level, method = protocol.intervals.level, protocol.intervals.proportion
    tolerance = _tolerance(protocol)
    for point in protocol.operating_points:
        for index, (name, scored) in enumerate(_by_label(cases, protocol)):
            threshold = float(_thresholds(point, protocol)[index])
            made = at_threshold(
                scored, point.name, threshold, level=level, method=method, tolerance=tolerance
            )
            estimates = tuple(replace(each, subject=name) for each in made.estimates)
            found.append(replace(made, subject=name, estimates=estimates))
        found.append(_together(cases, point, protocol))
    return tuple(found)


def _thresholds(point: OperatingPoint, protocol: Protocol) -> Floats:
    names = _classes(protocol).names
    if point.thresholds is not None:
        return np.array([point.thresholds[name] for name in names])
    return np.full(len(names), point.threshold, dtype=np.float64)


def _tolerance(protocol: Protocol) -> float:
    classes = _classes(protocol)
    return 1e-9 * (classes.maximum - classes.minimum)


def _together(cases: TaskColumns, point: OperatingPoint, protocol: Protocol) -> OperatingPointResult:
    """Rates over all labels at once; the counts are pairs of case and label."""
    level, method = protocol.intervals.level, protocol.intervals.proportion
    known, there = ~np.isnan(cases.truth), cases.truth == 1
    called = ranked_answers(cases) >= _thresholds(point, protocol) - _tolerance(protocol)
    hit, alarm, missed = there & called, ~there & known & called, there & ~called
    wrong = (alarm | missed).astype(np.float64)
    full: Bools = np.asarray(known.all(axis=1))
    tp, fp, fn = (int(np.count_nonzero(each)) for each in (hit, alarm, missed))
    return OperatingPointResult(
        name=point.name,
        threshold=point.threshold if point.threshold is not None else _middle(protocol),
        tp=tp,
        fp=fp,
        fn=fn,
        tn=int(np.count_nonzero(known)) - tp - fp - fn,
        estimates=(
            _f1("macro_f1", hit, alarm, missed, cases, protocol, macro=True),
            _f1("micro_f1", hit, alarm, missed, cases, protocol, macro=False),
            proportion(
                "exact_match",
                wrong[full].sum(axis=1) == 0,
                cases.patient[full],
                positives=None,
                level=level,
                method=method,
                empty="No case has every label known.",
            ),
            _hamming(wrong[full].mean(axis=1), cases.where(full), protocol),
        ),
        subject=ALL_LABELS,
    )


def _middle(protocol: Protocol) -> float:
    """Middle of the answers' range: stands for the threshold where each label has its own."""
    classes = _classes(protocol)
    return (classes.minimum + classes.maximum) / 2


def _hamming(loss: Floats, cases: TaskColumns, protocol: Protocol) -> Estimate:
    basis = cases.basis(protocol.intervals.level)
    if cases.n == 0:
        return undefined("hamming_loss", basis, "influence-normal", "No case has every label known.")
    value = float(loss.mean())
    return from_influence(
        "hamming_loss", value, (loss - value) / cases.n, cases.patient, basis, low=0.0, high=1.0
    )


def _f1(
    metric: str,
    hit: Bools,
    alarm: Bools,
    missed: Bools,
    cases: TaskColumns,
    protocol: Protocol,
    *,
    macro: bool,
) -> Estimate:
    """F1 of all pairs together, or the mean over labels, by the influence of each case."""
    basis = cases.basis(protocol.intervals.level)
    above, below = 2.0 * hit, 2.0 * hit + alarm + missed
    if not macro:
        above, below = above.sum(axis=1, keepdims=True), below.sum(axis=1, keepdims=True)
    total = below.sum(axis=0)
    if (total == 0).any():
        reason = "A label is never there and never called: its F1 is undefined."
        return undefined(metric, basis, "influence-normal", reason)
    ratio = above.sum(axis=0) / total
    influence = ((above - ratio * below) / total).mean(axis=1)
    return from_influence(metric, float(ratio.mean()), influence, cases.patient, basis, low=0.0, high=1.0)
