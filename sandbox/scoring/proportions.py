"""Intervals of a proportion, with and without several cases to a patient.

Sources: Wilson 1927 (the score interval); Clopper and Pearson 1934 (exact); Newcombe 1998, Stat Med 17:857,
compares them. With clusters the sample size becomes effective: Kish's design effect from the
between-patient variance of the ratio (Rao and Scott 1992, Biometrics 48:577), with the degrees-of-freedom
correction of Korn and Graubard 1998 (Survey Methodology 24:193).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from scipy import stats

from sandbox.results import Estimate
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.estimates import Basis, estimate, method_name, quantile, undefined

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
    return float(effective_sizes([success], patient, level)[0])


def effective_sizes(successes: Iterable[Bools], patient: Integers, level: float) -> Floats:
    """Effective sizes of several proportions over the same cases; see :func:`effective_size`."""
    n = patient.size
    codes, patients = compact(patient)
    # Whole numbers first: their sums are exact, so the order of the cases cannot show in the last digit.
    sizes = np.bincount(codes, minlength=patients)
    correction = 1.0
    if 1 < patients < n:
        tail = (1 + level) / 2
        correction = float(stats.t.ppf(tail, n - 1) / stats.t.ppf(tail, patients - 1)) ** 2
    found = []
    for success in successes:
        p = float(np.count_nonzero(success)) / n
        if patients == n or p in (0.0, 1.0) or patients < 2:
            found.append(float(patients))
            continue
        residual = np.bincount(codes[success], minlength=patients) - p * sizes
        variance = patients / (patients - 1) * float(residual @ residual) / n**2
        found.append(min(n, p * (1 - p) / variance * correction) if variance > 0 else float(n))
    return np.asarray(found, dtype=np.float64)


def proportion(
    metric: str,
    success: Bools,
    patient: Integers,
    *,
    positives: int,
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
