"""Average precision by the step rule, and the precision-recall curve.

Average precision is the sum of (rise of recall) x precision over the distinct scores; the trapezoid between
them is another, larger number. Standard error: infinitesimal jackknife (the derivative by each case's
weight), summed by patient; interval on the logit scale (Boyd, Eng and Page 2013, ECML PKDD, LNCS 8190:451).
"""

from __future__ import annotations

import math

import numpy as np

from sandbox.outcome.results import Estimate, PrecisionRecallCurve
from sandbox.scoring.cases import Floats, ScoredCases, count_patients, patient_sums, tie_groups
from sandbox.scoring.estimates import basis_of, estimate, logit_interval, method_name, undefined
from sandbox.scoring.proportions import wilson
from sandbox.scoring.roc import corners, thin

METHOD = "jackknife-logit"
FALLBACK = "wilson-positives"


def average_precision(cases: ScoredCases, level: float) -> Estimate:
    """Average precision; it depends on the prevalence of the hold-out."""
    metric = "average_precision"
    basis = basis_of(cases, level)
    clustered = basis.patients < cases.n
    name = method_name(METHOD, clustered)
    if cases.positives == 0 or cases.negatives == 0:
        lacking = "positive" if cases.positives == 0 else "negative"
        return undefined(metric, basis, name, f"There is no {lacking} case; average precision needs both.")
    value, influence = _value_and_influence(cases)
    sums = patient_sums(influence, cases.patient)
    variance = sums.size / max(1, sums.size - 1) * float(sums @ sums)
    if variance <= 1e-18 or not 0 < value < 1:
        # All positives above all negatives: the spread is not seen in the sample, only bounded by its size.
        patients = count_patients(cases.patient[cases.reference])
        low, high = wilson(value * patients, patients, level)
        return estimate(metric, value, (float(low), float(high)), basis, method_name(FALLBACK, clustered))
    return estimate(metric, value, logit_interval(value, math.sqrt(variance), level), basis, name)


def _value_and_influence(cases: ScoredCases) -> tuple[float, Floats]:
    """Average precision and its derivative by the weight of each case."""
    groups, distinct = tie_groups(cases.score)
    positive = cases.reference
    positives_at = np.bincount(groups[positive], minlength=distinct).astype(np.float64)
    all_at = np.bincount(groups, minlength=distinct).astype(np.float64)
    true_positives = np.cumsum(positives_at[::-1])[::-1]
    called = np.cumsum(all_at[::-1])[::-1]
    precision = true_positives / called
    share = positives_at / cases.positives
    value = float(share @ precision)
    gain = np.cumsum(share * (called - true_positives) / called**2)
    loss = np.cumsum(share * true_positives / called**2)
    influence = np.where(
        positive, (precision[groups] - value) / cases.positives + gain[groups], -loss[groups]
    )
    return value, influence


def precision_recall_curve(cases: ScoredCases) -> PrecisionRecallCurve:
    """Points of the curve at the distinct answered scores, thinned where recall stands still.

    Args:
        cases: at least one positive.
    """
    groups, distinct = tie_groups(cases.score)
    positives_at = np.bincount(groups[cases.reference], minlength=distinct)
    negatives_at = np.bincount(groups[~cases.reference], minlength=distinct)
    true_positives, false_positives = np.cumsum(positives_at[::-1]), np.cumsum(negatives_at[::-1])
    thresholds = np.unique(cases.score)[::-1]
    keep = np.isfinite(thresholds) & corners(false_positives, true_positives)
    chosen = thin(keep, false_positives, true_positives)
    called = true_positives[chosen] + false_positives[chosen]
    return PrecisionRecallCurve(
        recall=tuple((true_positives[chosen] / cases.positives).tolist()),
        precision=tuple((true_positives[chosen] / called).tolist()),
        threshold=tuple(thresholds[chosen].tolist()),
        prevalence=cases.positives / cases.n,
    )
