"""Two submissions on the same cases: paired differences, and whether one is not inferior to the other.

AUROC: DeLong, DeLong and Clarke-Pearson 1988, structural components summed by patient (Obuchowski 1997).
Rates: McNemar's test exact and mid-p (Fagerland, Lydersen and Laake 2013, BMC Med Res Methodol 13:91) with the
score interval of Tango 1998, Stat Med 17:891; with several cases to a patient the variance of Obuchowski 1998,
Stat Med 17:1495. Non-inferiority is read off the interval: its lower limit above minus the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, Integers, compact
from sandbox.scoring.differences import Limits, as_normal, two_sided
from sandbox.scoring.estimates import quantile
from sandbox.scoring.ranking_components import components
from sandbox.scoring.roc import pair_variance

Inferiority = Literal["superior", "non_inferior", "inferior", "cannot_tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First minus second on the same cases.

    Attributes:
        value: the difference; ``first`` and ``second`` are the two values.
        low, high: two-sided interval; None where the data show no variation to make one from.
        statistic: normal without a difference; None where McNemar's exact test takes its place.
        p: two-sided; for independent rates the mid-p of McNemar's test.
        p_exact: McNemar's exact p of independent rates, else None.
        n, patients: cases and patients of the comparison.
        method: identifier.
    """

    value: float
    first: float
    second: float
    low: float | None
    high: float | None
    statistic: float | None
    p: float | None
    p_exact: float | None
    n: int
    patients: int
    method: str


def compare_aurocs(
    reference: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    patient: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> Difference:
    """Paired comparison of two AUROCs.

    Args:
        reference: 0/1 or booleans, one for each case.
        first, second: scores of the two submissions for the same cases, in the same order.
        patient: patient of each case; None makes every case a patient of its own.
        level: two-sided level of the interval.

    Raises:
        ScoringError: columns of unequal length, a NaN, or no positive or no negative case.
    """
    truth, codes, patients = _columns(reference, patient)
    if truth.all() or not truth.any():
        raise ScoringError("comparing AUROCs needs a positive and a negative case")
    shares = [components(truth, score) for score in (first, second)]
    a, b = (float(share[truth].mean()) for share in shares)
    contribution = shares[0] - shares[1]
    parts = [(contribution[kind] - (a - b)) / np.count_nonzero(kind) for kind in (truth, ~truth)]
    variance = pair_variance(parts[0], parts[1], codes[truth], codes[~truth])
    error = math.sqrt(variance) if variance is not None and variance > 0 else None
    statistic = (a - b) / error if error else None
    half = quantile(level) * error if error else None
    return Difference(
        value=a - b,
        first=a,
        second=b,
        low=None if half is None else max(-1.0, a - b - half),
        high=None if half is None else min(1.0, a - b + half),
        statistic=statistic,
        p=None if statistic is None else two_sided(statistic),
        p_exact=None,
        n=truth.size,
        patients=patients,
        method="delong-paired" if patients == truth.size else "delong-paired-clustered",
    )


def compare_rates(
    first: npt.ArrayLike, second: npt.ArrayLike, patient: npt.ArrayLike | None = None, *, level: float = 0.95
) -> Difference:
    """Paired comparison of two rates over the same denominator, such as two sensitivities over the positives.

    Args:
        first, second: success (0/1) of the two submissions for the same cases, in the same order.
        patient: patient of each case; None makes every case a patient of its own.
        level: two-sided level of the interval.

    Raises:
        ScoringError: columns of unequal length, or no case.
    """
    hit, codes, patients = _columns(first, patient)
    other = np.asarray(second).astype(bool)
    if other.shape != hit.shape or hit.size == 0:
        raise ScoringError("the two submissions must answer the same cases, at least one")
    n = hit.size
    only_first, only_second = int(np.count_nonzero(hit & ~other)), int(np.count_nonzero(~hit & other))
    value = (only_first - only_second) / n
    shown = {"value": value, "first": float(hit.mean()), "second": float(other.mean())}
    if patients == n:
        exact, mid = mcnemar(only_first, only_second)
        low, high = tango(only_first, only_second, n, level)
        return Difference(
            **shown, low=low, high=high, statistic=None, p=mid, p_exact=exact, n=n, patients=n, method="tango"
        )
    change = hit.astype(np.float64) - other
    sums = np.bincount(codes, weights=change - value, minlength=patients) / n
    error = math.sqrt(float(sums @ sums) * patients / max(1, patients - 1))
    if error == 0:
        # No patient shows a change: as if each patient were one case without one.
        low, high = tango(0, 0, patients, level) if value == 0 else (-1.0, 1.0)
        return Difference(
            **shown,
            low=low,
            high=high,
            statistic=None,
            p=1.0 if value == 0 else None,
            p_exact=None,
            n=n,
            patients=patients,
            method="tango-clustered",
        )
    half = float(stats.t.ppf((1 + level) / 2, patients - 1)) * error
    statistic = as_normal(value / error, patients - 1)
    return Difference(
        **shown,
        low=max(-1.0, value - half),
        high=min(1.0, value + half),
        statistic=statistic,
        p=two_sided(statistic),
        p_exact=None,
        n=n,
        patients=patients,
        method="obuchowski-paired-clustered",
    )


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Exact and mid-p two-sided p of McNemar's test from the discordant pairs."""
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    if discordant == 0:
        return 1.0, 1.0
    tail = float(stats.binom.cdf(fewer, discordant, 0.5))
    point = float(stats.binom.pmf(fewer, discordant, 0.5))
    return min(1.0, 2 * tail), min(1.0, 2 * tail - point)


def tango(only_first: int, only_second: int, n: int, level: float) -> Limits:
    """Score interval of the difference of two paired rates; has width without any discordant pair."""
    z = quantile(level)
    value = (only_first - only_second) / n

    def excess(delta: float) -> float:
        return (value - delta) * math.sqrt(n) - z * math.copysign(
            math.sqrt(_tango_variance(only_first, only_second, n, delta)), value - delta
        )

    tiny = 1e-12
    low = -1.0 if value <= -1 + tiny else optimize.brentq(excess, -1 + tiny, value - tiny)
    high = 1.0 if value >= 1 - tiny else optimize.brentq(excess, value + tiny, 1 - tiny)
    return float(low), float(high)


def tango_statistic(only_first: int, only_second: int, n: int, delta: float) -> float:
    """Score statistic of the hypothesis that two paired rates differ by ``delta``; normal when they do."""
    variance = _tango_variance(only_first, only_second, n, delta)
    distance = ((only_first - only_second) / n - delta) * math.sqrt(n)
    return (
        distance / math.sqrt(variance)
        if variance > 0
        else math.copysign(math.inf, distance)
        if distance
        else 0.0
    )


def _tango_variance(only_first: int, only_second: int, n: int, delta: float) -> float:
    b = -only_first - only_second + (2 * n - only_first + only_second) * delta
    c = -only_second * delta * (1 - delta)
    q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    return max(0.0, 2 * q + delta * (1 - delta))


def inferiority(difference: Difference, margin: float) -> Inferiority:
    """Judge whether the first is worse than the second by more than ``margin``, from the two-sided interval.

    A 95 % interval makes this a one-sided test at 2.5 %; superiority may follow without a price (fixed
    sequence).

    Raises:
        ScoringError: the margin is not positive.
    """
    if not margin > 0:
        raise ScoringError("a margin of non-inferiority must be above 0")
    if difference.low is None or difference.high is None:
        return "cannot_tell"
    if difference.low > 0:
        return "superior"
    if difference.low > -margin:
        return "non_inferior"
    return "inferior" if difference.high < -margin else "cannot_tell"


def _columns(column: npt.ArrayLike, patient: npt.ArrayLike | None) -> tuple[Bools, Integers, int]:
    values = np.asarray(column).astype(bool)
    who = (
        np.arange(values.size) if patient is None else np.unique(np.asarray(patient), return_inverse=True)[1]
    )
    if who.shape != values.shape:
        raise ScoringError("the columns of the two submissions differ in length; join them by case")
    codes, patients = compact(who.astype(np.int64))
    return values, codes, patients
