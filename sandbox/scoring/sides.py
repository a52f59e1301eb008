"""One side of a comparison: its value, its limits at any level, and what each patient adds to it.

Limits are those that the value has on its own (Wilson with effective sizes; logit DeLong; t), so that a gap's
interval by MOVER agrees with the intervals printed for its two sides. Other statistics have t limits on the scale of
their range (logit between two ends, logarithm above one), from the influences of their cases or from resamples of
patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sandbox.outcome.bias_results import Side
from sandbox.scoring.cases import Floats, Integers, ScoredCases, count_patients
from sandbox.scoring.differences import Limits
from sandbox.scoring.estimates import logit_interval, quantile, student_quantile
from sandbox.scoring.outcomes import Outcome
from sandbox.scoring.proportions import wilson
from sandbox.scoring.roc import newcombe_5, pair_variance, win_shares
from sandbox.scoring.scale import Scale

_FALLBACK_LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A side with what a comparison needs.

    Attributes:
        side: the record.
        limits: limits of the value at a two-sided level.
        influence: what each patient adds to the value's deviation, shape (patients,); zero without variation. For a
            statistic that is known by its resamples, what each resample deviates over the root of their number.
        working: the value on the scale of the test: the logit of an AUROC, else the value.
        error: standard error of ``working``.
        slope: change of ``working`` with the value.
        degrees: degrees of freedom of ``error``; infinite when it is not a mean's.
        size: effective number of cases behind a rate, else the number of cases.
        resampled: ``influence`` goes by resample, not by patient.
    """

    side: Side
    limits: Callable[[float], Limits]
    influence: Floats
    working: float
    error: float
    slope: float
    degrees: float
    size: float
    resampled: bool = False


def measure(
    name: str, outcome: Outcome, chosen: Integers, patient: Integers, patients: int
) -> Measured | None:
    """Measure the outcome over chosen cases, None where it has no value.

    Args:
        name: level, or words for the other cases.
        outcome: what is measured.
        chosen: rising indices of counted cases.
        patient: compact patient codes of all cases.
        patients: number of patients among all cases.
    """
    if outcome.kind == "auroc":
        return _auroc(name, outcome.ranked(outcome.rising(chosen), patient), patients)
    if chosen.size == 0:
        return None
    if outcome.kind == "statistic":
        return _statistic(name, outcome, chosen, patient, patients)
    value, who = outcome.value[chosen], patient[chosen]
    n, mean = chosen.size, float(value.sum()) / chosen.size
    sizes = np.bincount(who, minlength=patients)
    influence = np.bincount(who, weights=value - mean, minlength=patients) / n
    present = int(np.count_nonzero(sizes))
    rate = outcome.kind == "rate"
    side = Side(
        name=name,
        n=n,
        positives=_positives(outcome, chosen),
        patients=present,
        successes=round(float(value.sum())) if rate else None,
        value=mean,
    )
    variance = float(influence @ influence) * present / max(1, present - 1)
    if rate:
        size = partial(effective_size, mean, n, present, variance)
        limits: Callable[[float], Limits] = partial(_wilson, mean, size)
    else:
        limits = partial(_t_limits, mean, math.sqrt(variance), max(1, present - 1))
    return Measured(
        side=side,
        limits=limits,
        influence=influence,
        working=mean,
        error=math.sqrt(variance),
        slope=1.0,
        degrees=math.inf if rate else max(1, present - 1),
        size=size(_FALLBACK_LEVEL) if rate else n,
    )


def effective_size(p: float, n: int, patients: int, variance: float, level: float) -> float:
    """Effective number of cases behind a rate, as :func:`proportions.effective_size` has it.

    Args:
        p: the rate.
        n: its cases.
        patients: their patients.
        variance: of the rate, by patient.
        level: two-sided level, for the degrees of freedom.
    """
    if patients == n or patients < 2 or not 0 < p < 1:
        return float(patients)
    if variance <= 1e-15:
        return float(n)
    correction = (student_quantile(level, n - 1) / student_quantile(level, patients - 1)) ** 2
    return min(float(n), p * (1 - p) / variance * correction)


def _wilson(p: float, size: Callable[[float], float], level: float) -> Limits:
    low, high = wilson(p * size(level), size(level), level)
    return float(low), float(high)


def _t_limits(mean: float, error: float, degrees: int, level: float) -> Limits:
    half = student_quantile(level, degrees) * error
    return mean - half, mean + half


def _positives(outcome: Outcome, chosen: Integers) -> int | None:
    return None if outcome.positive is None else int(np.count_nonzero(outcome.positive[chosen]))


def _statistic(
    name: str, outcome: Outcome, chosen: Integers, patient: Integers, patients: int
) -> Measured | None:
    """Measure a statistic on the scale of its range, by the influences of its cases or by its resamples."""
    assert outcome.statistic is not None
    part = outcome.statistic(chosen)
    if part is None:
        return None
    present, n = count_patients(patient[chosen]), chosen.size
    scale = Scale(low=outcome.low, high=outcome.high, n=n)
    working = float(scale.forward(np.array(part.value)))
    few = math.sqrt(present / max(1, present - 1))
    if part.drawn is not None:
        # A replicate takes the place of a patient: inner products of these are variances and covariances.
        deviation = scale.forward(part.drawn)
        deviation = np.nan_to_num(deviation - np.nanmean(deviation))
        influence, slope = few * deviation / math.sqrt(deviation.size), 1.0
        error = math.sqrt(float(influence @ influence))
    else:
        assert part.influence is not None
        influence = np.bincount(patient[chosen], weights=part.influence, minlength=patients).astype(
            np.float64
        )
        slope = scale.slope(part.value)
        error = few * slope * math.sqrt(float(influence @ influence))
    degrees = max(1, present - 1)
    return Measured(
        side=Side(
            name=name,
            n=n,
            positives=_positives(outcome, chosen),
            patients=present,
            successes=None,
            value=part.value,
        ),
        limits=partial(_scaled_limits, part.value, scale, working, error, degrees),
        influence=influence,
        working=working,
        # What is left of equal influences is rounding, not spread.
        error=error if error > 1e-12 else 0.0,
        slope=slope,
        degrees=degrees,
        size=float(n),
        resampled=part.drawn is not None,
    )


def _scaled_limits(
    value: float, scale: Scale, working: float, error: float, degrees: int, level: float
) -> Limits:
    half = student_quantile(level, degrees) * error
    low, high = (float(each) for each in scale.backward(np.array((working - half, working + half))))
    return min(low, value), max(high, value)


def _auroc(name: str, cases: ScoredCases, patients: int) -> Measured | None:
    if cases.positives == 0 or cases.negatives == 0:
        return None
    patient = cases.patient
    wins_positive, wins_negative = win_shares(cases)
    value = float(wins_positive.mean())
    positive = cases.reference
    parts = (wins_positive - value) / cases.positives, (wins_negative - value) / cases.negatives
    variance = pair_variance(*parts, patient[positive], patient[~positive])
    side = Side(
        name=name,
        n=cases.n,
        positives=cases.positives,
        patients=count_patients(patient),
        successes=None,
        value=value,
    )
    if variance is not None and variance > 0 and 0 < value < 1:
        influence = np.bincount(patient[positive], weights=parts[0], minlength=patients).astype(np.float64)
        influence += np.bincount(patient[~positive], weights=parts[1], minlength=patients)
        slope = 1 / (value * (1 - value))
        return Measured(
            side=side,
            limits=partial(logit_interval, value, math.sqrt(variance)),
            influence=influence,
            working=math.log(value / (1 - value)),
            error=math.sqrt(variance) * slope,
            slope=slope,
            degrees=math.inf,
            size=float(cases.n),
        )
    counts = count_patients(patient[positive]), count_patients(patient[~positive])
    working, error = _without_spread(value, counts)
    return Measured(
        side=side,
        limits=partial(newcombe_5, value, *counts),
        influence=np.zeros(patients),
        working=working,
        error=error,
        slope=0.0,
        degrees=math.inf,
        size=float(cases.n),
    )


def _without_spread(value: float, counts: tuple[int, int]) -> tuple[float, float]:
    """Logit and its error where the components show no variation: half a pair, and Newcombe's limit."""
    pairs = counts[0] * counts[1]
    inside = (value * pairs + 0.5) / (pairs + 1)
    low, high = newcombe_5(value, *counts, _FALLBACK_LEVEL)
    limit = low if value > 0.5 else high
    logit = math.log(inside / (1 - inside))
    return logit, max(1e-6, abs(logit - math.log(limit / (1 - limit)))) / quantile(_FALLBACK_LEVEL)
