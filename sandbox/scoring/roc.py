"""AUROC and the ROC curve.

AUROC is P(S+ > S-) + P(S+ = S-)/2 by midranks in float64. A value below 0.5 stays below 0.5: turning the
score around would hide a submission that ranks the wrong way.

Variance: structural components of DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44:837); with several
cases to a patient their sums by patient, Obuchowski 1997 (Biometrics 53:567), which is DeLong's when each
patient has one case. Interval on the logit scale. Where the variance is zero or cannot be estimated (AUROC
0 or 1, one positive or negative patient) the score-type interval of Newcombe 2006 (Stat Med 25:559, method
5) with patients as counts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import optimize

from sandbox.outcome.results import Estimate, RocCurve
from sandbox.scoring.cases import (
    Bools,
    Floats,
    Integers,
    ScoredCases,
    compact,
    count_patients,
    make_cases,
    tie_groups,
)
from sandbox.scoring.estimates import basis_of, estimate, logit_interval, method_name, quantile, undefined
from sandbox.scoring.proportions import effective_sizes, wilson

METHOD = "delong-logit"
FALLBACK = "newcombe-5"
MAXIMUM_CORNERS = 400


def auroc_value(reference: npt.ArrayLike, score: npt.ArrayLike) -> float | None:
    """AUROC without an interval; None without both a positive and a negative case.

    Args:
        reference: 0/1 or booleans.
        score: numbers; +-inf are allowed, NaN is not.

    Raises:
        ScoringError: lengths differ or a score is NaN.
    """
    wins, _ = win_shares(make_cases(reference, score))
    return float(wins.mean()) if wins.size and not np.isnan(wins).any() else None


def win_shares(cases: ScoredCases) -> tuple[Floats, Floats]:
    """Structural components.

    Returns:
        For each positive the share of negatives that it outscores, and for each negative the share of
        positives that outscore it; ties count one half. In the order of ``cases``.
    """
    wins_positive, wins_negative = win_counts(cases)
    positives, negatives = wins_positive.size, wins_negative.size
    nan = np.float64(np.nan)
    return (
        wins_positive / negatives if negatives else np.full(positives, nan),
        wins_negative / positives if positives else np.full(negatives, nan),
    )


def win_counts(cases: ScoredCases) -> tuple[Floats, Floats]:
    """For each positive the number of negatives it outscores; for each negative, of positives above it."""
    groups, distinct = tie_groups(cases.score)
    positive = cases.reference
    negatives_at = np.bincount(groups[~positive], minlength=distinct).astype(np.float64)
    positives_at = np.bincount(groups[positive], minlength=distinct).astype(np.float64)
    below = np.cumsum(negatives_at) - negatives_at / 2
    above = positives_at.sum() - np.cumsum(positives_at) + positives_at / 2
    return below[groups[positive]], above[groups[~positive]]


def auroc(cases: ScoredCases, level: float, metric: str = "auroc") -> Estimate:
    """AUROC with its interval; see the module for the methods."""
    basis = basis_of(cases, level)
    clustered = basis.patients < cases.n
    name = method_name(METHOD, clustered)
    if cases.positives == 0 or cases.negatives == 0:
        lacking = "positive" if cases.positives == 0 else "negative"
        return undefined(metric, basis, name, f"There is no {lacking} case; AUROC needs both.")
    wins_positive, wins_negative = win_shares(cases)
    value = float(wins_positive.mean())
    variance = pair_variance(
        (wins_positive - value) / cases.positives,
        (wins_negative - value) / cases.negatives,
        cases.patient[cases.reference],
        cases.patient[~cases.reference],
    )
    if variance is None or variance <= 0 or not 0 < value < 1:
        patients_positive = count_patients(cases.patient[cases.reference])
        patients_negative = count_patients(cases.patient[~cases.reference])
        interval = newcombe_5(value, patients_positive, patients_negative, level)
        return estimate(metric, value, interval, basis, method_name(FALLBACK, clustered))
    return estimate(metric, value, logit_interval(value, math.sqrt(variance), level), basis, name)


def pair_variance(
    positive: Floats, negative: Floats, patient_positive: Integers, patient_negative: Integers
) -> float | None:
    """Variance of a statistic of positive-negative pairs from its centred contributions by case.

    Obuchowski 1997, equation for S10/M + S01/N + 2 S11/(MN), with contributions already divided by M and N.

    Args:
        positive: contribution of each positive case; sums to zero.
        negative: contribution of each negative case; sums to zero.
        patient_positive: patient of each positive case.
        patient_negative: patient of each negative case.

    Returns:
        The variance, or None when positives or negatives come from fewer than two patients.
    """
    codes, patients = compact(np.concatenate((patient_positive, patient_negative)))
    codes_positive, codes_negative = codes[: positive.size], codes[positive.size :]
    sums_positive = np.bincount(codes_positive, weights=positive, minlength=patients)
    sums_negative = np.bincount(codes_negative, weights=negative, minlength=patients)
    with_positive = int(np.count_nonzero(np.bincount(codes_positive, minlength=patients)))
    with_negative = int(np.count_nonzero(np.bincount(codes_negative, minlength=patients)))
    if with_positive < 2 or with_negative < 2:
        return None
    variance = with_positive / (with_positive - 1) * float(sums_positive @ sums_positive)
    variance += with_negative / (with_negative - 1) * float(sums_negative @ sums_negative)
    variance += 2 * patients / (patients - 1) * float(sums_positive @ sums_negative)
    return variance


def newcombe_5(value: float, positives: int, negatives: int, level: float) -> tuple[float, float]:
    """Score-type interval of an AUROC, Newcombe 2006 method 5; has width even at 0 and 1.

    Solves (value - t)^2 = z^2 V(t) with V(t) = t(1-t) [1 + N* ((1-t)/(2-t) + t/(1+t))] / (m n) and
    N* = (m + n)/2 - 1.
    """
    z2 = quantile(level) ** 2
    star = (positives + negatives) / 2 - 1

    def excess(t: float) -> float:
        spread = t * (1 - t) * (1 + star * ((1 - t) / (2 - t) + t / (1 + t))) / (positives * negatives)
        return (value - t) ** 2 - z2 * spread

    tiny = 1e-12
    low = optimize.brentq(excess, tiny, value - tiny) if value > 2 * tiny else 0.0
    high = optimize.brentq(excess, value + tiny, 1 - tiny) if value < 1 - 2 * tiny else 1.0
    return float(low), float(high)


def roc_curve(cases: ScoredCases, level: float) -> RocCurve:
    """Corners of the empirical curve with a pointwise band.

    The band joins the corners of Wilson rectangles (sensitivity by false-positive rate at each threshold), as
    Hilgers 1991 (Methods Inf Med 30:96) does with order statistics: conservative, and of width at both ends.

    Args:
        cases: at least one positive and one negative.
        level: two-sided confidence level of each rate.
    """
    groups, distinct = tie_groups(cases.score)
    positive = cases.reference
    true_positives = _called(np.bincount(groups[positive], minlength=distinct))
    false_positives = _called(np.bincount(groups[~positive], minlength=distinct))
    thresholds = np.concatenate(([np.inf], np.unique(cases.score)[::-1]))
    keep = thin(corners(false_positives, true_positives), false_positives, true_positives)
    true_positives, false_positives = true_positives[keep], false_positives[keep]
    thresholds = thresholds[keep]
    sensitivity, rate = true_positives / cases.positives, false_positives / cases.negatives
    clustered = count_patients(cases.patient) < cases.n
    sensitivity_low, sensitivity_high = _rate_band(cases.where(positive), thresholds, sensitivity, level)
    rate_low, rate_high = _rate_band(cases.where(~positive), thresholds, rate, level)
    return RocCurve(
        false_positive_rate=tuple(rate.tolist()),
        sensitivity=tuple(sensitivity.tolist()),
        threshold=tuple(float(t) if np.isfinite(t) else None for t in thresholds),
        band_low=tuple(np.interp(rate, rate_high, sensitivity_low).tolist()),
        band_high=tuple(np.interp(rate, rate_low, sensitivity_high).tolist()),
        level=level,
        method=method_name("wilson-rectangles", clustered),
    )


def _called(at: Integers) -> Integers:
    """Cases called positive at each threshold, from above every score down to the lowest score."""
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(at[::-1]))).astype(np.int64)


def _rate_band(cases: ScoredCases, thresholds: Floats, rate: Floats, level: float) -> tuple[Floats, Floats]:
    called = cases.n - np.searchsorted(cases.score, thresholds, side="left")
    # No threshold reaches above every score, not even above a failed negative's.
    called[0] = 0
    sizes = effective_sizes(cases.patient[::-1], called, level)
    low, high = wilson(rate * sizes, sizes, level)
    # Effective sizes vary from threshold to threshold; a band of a rising curve rises.
    return np.maximum.accumulate(low), np.minimum.accumulate(high[::-1])[::-1]


def corners(x: Integers, y: Integers) -> Bools:
    """Mark the points of a staircase at which its direction changes, ends included."""
    keep = np.ones(x.size, dtype=bool)
    if x.size > 2:
        before_x, before_y = np.diff(x)[:-1], np.diff(y)[:-1]
        after_x, after_y = np.diff(x)[1:], np.diff(y)[1:]
        keep[1:-1] = before_x * after_y != before_y * after_x
    return keep


def thin(keep: Bools, x: Integers, y: Integers) -> Integers:
    """Return indices of kept points, at most ``MAXIMUM_CORNERS``, even along the curve's length."""
    kept = np.flatnonzero(keep)
    if kept.size <= MAXIMUM_CORNERS:
        return kept
    along = x[kept] / max(1, int(x[-1])) + y[kept] / max(1, int(y[-1]))
    wanted = np.linspace(along[0], along[-1], MAXIMUM_CORNERS)
    chosen = np.unique(np.concatenate((np.searchsorted(along, wanted), [0, kept.size - 1])))
    return np.asarray(kept[np.minimum(chosen, kept.size - 1)], dtype=np.int64)
