"""Intervals of a proportion, with and without several cases to a patient.

Sources: Wilson 1927 (the score interval); Clopper and Pearson 1934 (exact); Newcombe 1998, Stat Med 17:857,
compares them. With clusters the sample size becomes effective: Kish's design effect from the
between-patient variance of the ratio (Rao and Scott 1992, Biometrics 48:577), with the degrees-of-freedom
correction of Korn and Graubard 1998 (Survey Methodology 24:193).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import stats

from sandbox.outcome.results import Estimate
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.estimates import (
    Basis,
    estimate,
    method_name,
    quantile,
    student_quantile,
    undefined,
)

ProportionMethod = Literal["wilson", "clopper-pearson"]


def wilson(successes: Floats | float, n: Floats | float, level: float) -> tuple[Floats, Floats]:
    """Score interval; ``successes`` and ``n`` may be effective (not whole) numbers, n > 0."""
    x, size = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    z2 = quantile(level) ** 2
    p = x / size
    centre = (p + z2 / (2 * size)) / (1 + z2 / size)
    half = np.sqrt(z2 * (p * (1 - p) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    # At 0 and n the limit is exactly 0 or 1; the subtraction would leave rounding residue.
    low = np.where(p <= 0, 0.0, np.maximum(centre - half, 0.0))
    high = np.where(p >= 1, 1.0, np.minimum(centre + half, 1.0))
    return low, high


def clopper_pearson(successes: Floats | float, n: Floats | float, level: float) -> tuple[Floats, Floats]:
    """Exact interval from the beta distribution; never covers less than ``level``."""
    x, size = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    tail = (1 - level) / 2
    # beta.ppf has no value at a zero shape, which are exactly the two ends handled by where().
    low = np.where(x <= 0, 0.0, stats.beta.ppf(tail, np.maximum(x, 1e-300), size - x + 1))
    high = np.where(x >= size, 1.0, stats.beta.ppf(1 - tail, x + 1, np.maximum(size - x, 1e-300)))
    return low, high


def proportion_interval(
    successes: Floats | float, n: Floats | float, level: float, method: ProportionMethod
) -> tuple[Floats, Floats]:
    """Interval by the named method."""
    return wilson(successes, n, level) if method == "wilson" else clopper_pearson(successes, n, level)


def effective_size(success: Bools, patient: Integers, level: float) -> float:
    """Effective number of cases behind a proportion of clustered cases.

    Args:
        success: outcome of each case of the denominator.
        patient: patient of each case.
        level: confidence level, for the degrees-of-freedom correction.

    Returns:
        n when every patient has one case; at most n always. When all outcomes are equal the data say nothing
        about correlation, and the number of patients is taken: as if the cases of a patient were copies.
    """
    order = np.argsort(~success, kind="stable")
    return float(effective_sizes(patient[order], np.array([np.count_nonzero(success)]), level)[0])


def effective_sizes(patient: Integers, successes: Integers, level: float) -> Floats:
    """Effective sizes of nested proportions over the same cases; see :func:`effective_size`.

    Args:
        patient: patient of each case, in such an order that successes come first.
        successes: for each proportion, how many of the first cases are its successes.
        level: confidence level.
    """
    n = patient.size
    codes, patients = compact(patient)
    if patients == n or patients < 2:
        return np.full(successes.size, float(patients))
    # With h_k successes among the s_k cases of patient k, the sum of (h_k - p s_k)^2 needs only the sums of h_k^2,
    # h_k s_k and s_k^2; the first two grow case by case, in whole numbers, whatever the order of the cases.
    sizes = np.bincount(codes, minlength=patients)
    order = np.argsort(codes, kind="stable")
    earlier = np.empty(n, dtype=np.int64)
    earlier[order] = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    squares = np.concatenate(([0], np.cumsum(2 * earlier + 1)))[successes]
    products = np.concatenate(([0], np.cumsum(sizes[codes])))[successes]
    p = successes / n
    variance = (squares - 2 * p * products + p**2 * (sizes @ sizes)) * patients / (patients - 1) / n**2
    correction = (student_quantile(level, n - 1) / student_quantile(level, patients - 1)) ** 2
    ratio = np.divide(p * (1 - p), variance, out=np.full(p.size, np.inf), where=variance > 1e-15)
    return np.where((p == 0) | (p == 1), float(patients), np.minimum(n, ratio * correction))


def proportion(
    metric: str,
    success: Bools,
    patient: Integers,
    *,
    positives: int | None,
    level: float,
    method: ProportionMethod,
    empty: str,
) -> Estimate:
    """Estimate a proportion over the cases of its denominator.

    Args:
        metric: name of the estimate.
        success: outcome of each case of the denominator.
        patient: patient of each case.
        positives: positives among them by the reference standard.
        level: two-sided confidence level.
        method: Wilson or Clopper-Pearson.
        empty: the reason given when there is no case.
    """
    n = int(success.size)
    patients = compact(patient)[1]
    basis = Basis(n=n, positives=positives, patients=patients, level=level)
    if n == 0:
        return undefined(metric, basis, method, empty, successes=0)
    hits = int(np.count_nonzero(success))
    size = effective_size(success, patient, level)
    low, high = proportion_interval(hits / n * size, size, level, method)
    name = method_name(method, patients < n)
    return estimate(metric, hits / n, (float(low), float(high)), basis, name, successes=hits)
