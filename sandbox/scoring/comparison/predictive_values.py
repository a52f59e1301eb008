"""Two submissions' predictive values on the same cases.

McNemar's test does not hold here: each submission calls other cases positive, so the denominators differ and
overlap. Test: weighted generalised score, Kosinski 2013 (Stat Med 32:964). Interval, and the test when patients
have several cases: the linearised difference, summed by patient.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, compact
from sandbox.scoring.comparison.paired import Difference
from sandbox.scoring.differences import as_normal, two_sided


def compare_predictive_values(
    reference: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    patient: npt.ArrayLike | None = None,
    *,
    negative: bool = False,
    level: float = 0.95,
) -> Difference:
    """Compare two positive predictive values, or two negative ones.

    Args:
        reference: 0/1 or booleans, one for each case.
        first, second: calls (0/1) of the two submissions for the same cases, in the same order.
        patient: patient of each case; None makes every case a patient of its own.
        negative: compare NPV.
        level: two-sided level of the interval.

    Raises:
        ScoringError: columns of unequal length, or a submission that calls no case so.
    """
    truth = np.asarray(reference).astype(bool) ^ negative
    calls = [np.asarray(column).astype(bool) ^ negative for column in (first, second)]
    who = np.arange(truth.size) if patient is None else np.unique(np.asarray(patient), return_inverse=True)[1]
    if not truth.shape == calls[0].shape == calls[1].shape == who.shape:
        raise ScoringError("the columns of the two submissions differ in length; join them by case")
    if not calls[0].any() or not calls[1].any():
        kind = "negative" if negative else "positive"
        raise ScoringError(f"a submission calls no case {kind}; its predictive value does not exist")
    codes, patients = compact(who.astype(np.int64))
    values = [float(truth[called].mean()) for called in calls]
    value = values[0] - values[1]
    influence = (calls[0] * (truth - values[0])) / np.count_nonzero(calls[0])
    influence -= (calls[1] * (truth - values[1])) / np.count_nonzero(calls[1])
    sums = np.bincount(codes, weights=influence, minlength=patients)
    error = math.sqrt(float(sums @ sums) * patients / max(1, patients - 1))
    clustered = patients < truth.size
    statistic: float | None
    if clustered:
        statistic = as_normal(value / error, patients - 1) if error > 0 else None
        p = two_sided(statistic) if statistic is not None else None
    else:
        score = weighted_generalised_score(truth, calls[0], calls[1])
        statistic = math.copysign(math.sqrt(score), value) if score is not None else None
        p = float(stats.chi2.sf(score, 1)) if score is not None else None
    half = float(stats.t.ppf((1 + level) / 2, patients - 1)) * error if patients > 1 else math.nan
    return Difference(
        value=value,
        first=values[0],
        second=values[1],
        low=max(-1.0, value - half) if error > 0 else None,
        high=min(1.0, value + half) if error > 0 else None,
        statistic=statistic,
        p=p,
        p_exact=None,
        n=int(np.count_nonzero(calls[0] | calls[1])),
        patients=int(np.unique(codes[calls[0] | calls[1]]).size),
        method="linearised-paired-clustered" if clustered else "weighted-generalised-score",
    )


def weighted_generalised_score(truth: Bools, first: Bools, second: Bools) -> float | None:
    """Kosinski's statistic, chi-square with one degree of freedom when the predictive values are equal.

    Args:
        truth: whether the call is right to be made: the disease for PPV, its absence for NPV.
        first, second: whether each submission makes the call.

    Returns:
        The statistic, or None when the data show no variation.
    """
    made = np.count_nonzero(first), np.count_nonzero(second)
    right = np.count_nonzero(first & truth), np.count_nonzero(second & truth)
    pooled = sum(right) / sum(made)
    both_right = np.count_nonzero(first & second & truth)
    both_wrong = np.count_nonzero(first & second & ~truth)
    shared = (both_right * (1 - pooled) ** 2 + both_wrong * pooled**2) / sum(made)
    variance = (pooled * (1 - pooled) - 2 * shared) * (1 / made[0] + 1 / made[1])
    difference = right[0] / made[0] - right[1] / made[1]
    return float(difference**2 / variance) if variance > 1e-15 else None
