"""Confusion counts and rates at a threshold that was fixed before the run (positive: score >= threshold).

Intervals: proportions as in :mod:`proportions`; likelihood ratios on the log scale (Simel, Samsa and
Matchar 1991, J Clin Epidemiol 44:763); F1 through tp/(tp+fp+fn), of which it is a rising function (the
indirect method of Lam 2023, arXiv 2309.14621); balanced accuracy by combining the limits of its parts (Zou
and Donner 2008, Stat Med 27:1693, MOVER); Matthews' correlation by the delta method on Fisher's z (Itaya et
al. 2024, arXiv 2405.12622). With several cases to a patient, delta variances sum influences by patient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sandbox.outcome.results import Estimate, OperatingPointResult
from sandbox.scoring.cases import Bools, Floats, ScoredCases, compact
from sandbox.scoring.estimates import Basis, basis_of, estimate, method_name, quantile, undefined
from sandbox.scoring.proportions import ProportionMethod, proportion

_TP, _FP, _FN, _TN = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Confusion:
    """Cases cross-tabulated by answer and reference; ``by_patient`` holds the four counts of each patient."""

    cases: ScoredCases
    called: Bools
    counts: Floats
    by_patient: Floats
    basis: Basis
    method: ProportionMethod

    @property
    def clustered(self) -> bool:
        return self.basis.patients < self.basis.n


def at_threshold(
    cases: ScoredCases,
    name: str,
    threshold: float,
    *,
    level: float,
    method: ProportionMethod,
    tolerance: float = 0.0,
) -> OperatingPointResult:
    """Count and estimate at one operating point.

    Args:
        cases: scored cases; a failed positive is missed and a failed negative a false alarm.
        name: name of the operating point.
        threshold: lowest score that is called positive.
        level: two-sided confidence level.
        method: interval of proportions.
        tolerance: how far below the threshold still counts as equal; far less than one level of the score.
    """
    called = cases.score >= threshold - tolerance
    cell = np.where(cases.reference, np.where(called, _TP, _FN), np.where(called, _FP, _TN))
    codes, patients = compact(cases.patient)
    by_patient = np.bincount(codes * 4 + cell, minlength=4 * patients).reshape(patients, 4).astype(np.float64)
    table = _Confusion(
        cases=cases,
        called=called,
        counts=by_patient.sum(axis=0),
        by_patient=by_patient,
        basis=basis_of(cases, level),
        method=method,
    )
    tp, fp, fn, tn = (int(count) for count in table.counts)
    sensitivity, specificity = _sensitivity(table), _specificity(table)
    estimates = (
        sensitivity,
        specificity,
        _rate(table, "ppv", called, cases.reference, "No case is called positive."),
        _rate(table, "npv", ~called, ~cases.reference, "No case is called negative."),
        _likelihood_ratio(table, "lr_positive", _TP, _FP),
        _likelihood_ratio(table, "lr_negative", _FN, _TN),
        _f1(table),
        _balanced_accuracy(table, sensitivity, specificity),
        _mcc(table),
    )
    return OperatingPointResult(
        name=name, threshold=threshold, tp=tp, fp=fp, fn=fn, tn=tn, estimates=estimates
    )


def _sensitivity(table: _Confusion) -> Estimate:
    return _rate(table, "sensitivity", table.cases.reference, table.called, "There is no positive case.")


def _specificity(table: _Confusion) -> Estimate:
    return _rate(table, "specificity", ~table.cases.reference, ~table.called, "There is no negative case.")


def _rate(table: _Confusion, metric: str, denominator: Bools, success: Bools, empty: str) -> Estimate:
    return proportion(
        metric,
        success[denominator],
        table.cases.patient[denominator],
        positives=int(np.count_nonzero(table.cases.reference[denominator])),
        level=table.basis.level,
        method=table.method,
        empty=empty,
    )


def _f1(table: _Confusion) -> Estimate:
    concerned = table.cases.reference | table.called
    hit = table.cases.reference & table.called
    jaccard = _rate(table, "f1", concerned, hit, "No case is positive or called positive.")
    if jaccard.value is None or jaccard.low is None or jaccard.high is None:
        return jaccard
    value, low, high = (2 * p / (1 + p) for p in (jaccard.value, jaccard.low, jaccard.high))
    basis = Basis(
        n=jaccard.n, positives=jaccard.positives, patients=jaccard.patients, level=table.basis.level
    )
    return estimate("f1", value, (low, high), basis, f"indirect-{jaccard.method}")


def _balanced_accuracy(table: _Confusion, sensitivity: Estimate, specificity: Estimate) -> Estimate:
    metric, name = "balanced_accuracy", method_name(f"mover-{table.method}", table.clustered)
    parts = (sensitivity, specificity)
    if any(part.value is None for part in parts):
        return undefined(metric, table.basis, name, "Balanced accuracy needs a positive and a negative case.")
    value = sum(_number(part.value) for part in parts) / 2
    below = [(_number(part.value) - _number(part.low)) / 2 for part in parts]
    above = [(_number(part.high) - _number(part.value)) / 2 for part in parts]
    correlation = _correlation(table)
    interval = (
        max(0.0, value - _combine(below, correlation)),
        min(1.0, value + _combine(above, correlation)),
    )
    return estimate(metric, value, interval, table.basis, name)


def _combine(sides: list[float], correlation: float) -> float:
    return math.sqrt(max(0.0, sides[0] ** 2 + sides[1] ** 2 + 2 * correlation * sides[0] * sides[1]))


def _correlation(table: _Confusion) -> float:
    """Correlation of sensitivity and specificity through patients who have cases of both kinds."""
    if not table.clustered:
        return 0.0
    tp, fp, fn, tn = table.counts
    positive = table.by_patient @ _unit({_TP: fn, _FN: -tp})
    negative = table.by_patient @ _unit({_TN: fp, _FP: -tn})
    scale = math.sqrt(float(positive @ positive) * float(negative @ negative))
    return float(positive @ negative) / scale if scale > 0 else 0.0


def _likelihood_ratio(table: _Confusion, metric: str, upper: int, lower: int) -> Estimate:
    """Ratio of the rate of cell ``upper`` among positives to that of cell ``lower`` among negatives."""
    name = method_name("simel-log", table.clustered)
    if table.cases.positives == 0 or table.cases.negatives == 0:
        return undefined(
            metric, table.basis, name, "A likelihood ratio needs a positive and a negative case."
        )
    counts = table.counts
    halved = bool(counts[upper] == 0 or counts[lower] == 0)
    # Half a case in every cell keeps the logarithm finite; the value itself is never corrected.
    used = counts + 0.5 if halved else counts
    above, below = used[_TP] + used[_FN], used[_FP] + used[_TN]
    gradient = np.zeros(4)
    gradient[[_TP, _FN]] = -1 / above
    gradient[[_FP, _TN]] = 1 / below
    gradient[upper] += 1 / used[upper]
    gradient[lower] -= 1 / used[lower]
    centre = math.log(used[upper] / above) - math.log(used[lower] / below)
    variance = float(used @ gradient**2) if halved or not table.clustered else _clustered(table, gradient)
    half = quantile(table.basis.level) * math.sqrt(variance)
    low, high = math.exp(centre - half), math.exp(centre + half)
    if halved:
        name = f"{name}-half-added"
    if counts[lower] == 0:
        if counts[upper] == 0:
            return undefined(metric, table.basis, name, "Both rates are 0: their ratio is undefined.")
        reason = "The rate in the denominator is 0: the ratio is unbounded above."
        return undefined(metric, table.basis, name, reason, interval=(low, math.inf))
    value = (counts[upper] / table.cases.positives) / (counts[lower] / table.cases.negatives)
    return estimate(metric, value, (0.0 if counts[upper] == 0 else low, high), table.basis, name)


def _mcc(table: _Confusion) -> Estimate:
    name = method_name("delta-fisher-z", table.clustered)
    tp, fp, fn, tn = (float(count) for count in table.counts)
    margins = (tp + fp, tp + fn, tn + fp, tn + fn)
    if min(margins) == 0:
        reason = "All cases are positive, or negative, or called alike: the correlation is undefined."
        return undefined("mcc", table.basis, name, reason)
    value, gradient = _mcc_gradient(table.counts)
    if abs(value) < 1 - 1e-12:
        variance = _clustered(table, gradient) if table.clustered else float(table.counts @ gradient**2)
        centre = value
    else:
        # Without an error the sample shows no spread; half a case in every cell bounds it by its size.
        name = f"{name}-half-added"
        centre, gradient = _mcc_gradient(table.counts + 0.5)
        variance = float((table.counts + 0.5) @ gradient**2) * table.basis.n / table.basis.patients
    half = quantile(table.basis.level) * math.sqrt(variance) / (1 - centre**2)
    low, high = math.tanh(math.atanh(centre) - half), math.tanh(math.atanh(centre) + half)
    return estimate("mcc", value, (min(low, value), max(high, value)), table.basis, name)


def _mcc_gradient(counts: Floats) -> tuple[float, Floats]:
    tp, fp, fn, tn = (float(count) for count in counts)
    a, b, c, d = tp + fp, tp + fn, tn + fp, tn + fn
    scale = math.sqrt(a) * math.sqrt(b) * math.sqrt(c) * math.sqrt(d)
    value = min(1.0, max(-1.0, (tp * tn - fp * fn) / scale))
    slope = np.array([tn, -fn, -fp, tp]) / scale
    shrink = np.array([1 / a + 1 / b, 1 / a + 1 / c, 1 / b + 1 / d, 1 / c + 1 / d]) / 2
    return value, slope - value * shrink


def _clustered(table: _Confusion, gradient: Floats) -> float:
    """Delta variance with influences summed by patient."""
    sums = table.by_patient @ gradient
    patients = table.basis.patients
    return patients / max(1, patients - 1) * float(sums @ sums)


def _unit(entries: dict[int, float]) -> Floats:
    vector = np.zeros(4)
    for index, entry in entries.items():
        vector[index] = entry
    return vector


def _number(value: float | None) -> float:
    assert value is not None
    return value
