"""Intervals from influences: how far each case moves a value, summed by patient.

The influence of a case is its term in the linear expansion of the value about the sample (Efron 1982, The
Jackknife, chapter 6; Hampel 1974, JASA 69:383). With influences that sum to zero the variance of the value is the
sum of their squares; with several cases to a patient, of their sums by patient, times K / (K - 1) for K patients.
For an AUROC these are the structural components of DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44:837), for
a mean the usual variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from sandbox.outcome.results import Estimate
from sandbox.scoring.cases import Bools, Floats, Integers, make_cases, patient_sums
from sandbox.scoring.estimates import Basis, estimate, logit_interval, method_name, quantile
from sandbox.scoring.roc import win_shares

_STEP = 1e-6


def standard_error(influence: Floats, patient: Integers, *, large_sample: bool = False) -> float | None:
    """Standard error of a value from the influences of its cases; None with fewer than two patients.

    ``large_sample`` leaves out the factor K / (K - 1), as published formulas for independent cases do.
    """
    sums = patient_sums(influence, patient)
    if sums.size < 2:
        return None
    factor = 1.0 if large_sample else sums.size / (sums.size - 1)
    return math.sqrt(factor * float(sums @ sums))


def from_influence(
    metric: str,
    value: float,
    influence: Floats,
    patient: Integers,
    basis: Basis,
    *,
    scale: Literal["normal", "logit"] = "normal",
    low: float = -math.inf,
    high: float = math.inf,
    method: str | None = None,
    large_sample: bool = False,
    fallback: tuple[float, float] | None = None,
    fallback_method: str = "",
) -> Estimate:
    """Make an estimate from a value and the influences of its cases.

    Args:
        metric: its name.
        value: the value over all cases.
        influence: one for each case, summing to zero.
        patient: patient of each case.
        basis: what the estimate rests on.
        scale: on which the interval is symmetric; ``logit`` needs a value in (0, 1).
        low, high: the ends of the value's range; limits are cut there.
        method: identifier of the method; by default ``influence-normal`` or ``influence-logit``.
        large_sample: as for :func:`standard_error`.
        fallback: the interval where no case moves the value, which says nothing about its uncertainty.
        fallback_method: identifier of what made ``fallback``.
    """
    clustered = basis.patients < basis.n
    name = method_name(method or f"influence-{scale}", clustered)
    error = standard_error(influence, patient, large_sample=large_sample)
    if error is None:
        return estimate(metric, value, None, basis, name, reason="One patient alone gives no interval.")
    if error <= 1e-12 or (scale == "logit" and not 0 < value < 1):
        if fallback is None:
            reason = "No case moves the value: its spread cannot be estimated."
            return estimate(metric, value, None, basis, name, reason=reason)
        return estimate(metric, value, fallback, basis, method_name(fallback_method, clustered))
    if scale == "logit":
        return estimate(metric, value, logit_interval(value, error, basis.level), basis, name)
    half = quantile(basis.level) * error
    return estimate(metric, value, (max(low, value - half), min(high, value + half)), basis, name)


def auroc_influence(reference: Bools, score: Floats) -> tuple[float, Floats]:
    """AUROC and the influence of each case, in the order given.

    Args:
        reference: True where the case is positive; both kinds must occur.
        score: +-inf are allowed, NaN is not.
    """
    cases = make_cases(reference, score)
    order = np.argsort(score, kind="stable")
    wins_positive, wins_negative = win_shares(cases)
    value = float(wins_positive.mean())
    ordered = np.empty(score.size)
    ordered[cases.reference] = (wins_positive - value) / cases.positives
    ordered[~cases.reference] = (wins_negative - value) / cases.negatives
    influence = np.empty(score.size)
    influence[order] = ordered
    return value, influence


def table_influence(statistic: Callable[[Floats], float], counts: Floats) -> Floats:
    """Influence of one case in each cell of a table on a statistic of its shares.

    Args:
        statistic: a smooth function of the table's shares, which it may take unnormalised.
        counts: the table.

    Returns:
        An array of the table's shape: the derivative of the statistic when a share moves to the cell from all
        others alike, by central differences, divided by the number of cases.
    """
    total = float(counts.sum())
    shares = counts / total
    found = np.zeros(counts.shape)
    for cell in zip(*np.nonzero(counts), strict=True):
        toward = -shares.copy()
        toward[cell] += 1.0
        # A step back must leave every share non-negative, also in the fullest cell.
        ahead, behind = shares + _STEP * toward, shares - _STEP * toward
        found[cell] = (statistic(ahead) - statistic(np.maximum(behind, 0.0))) / (2 * _STEP)
    return found / total
