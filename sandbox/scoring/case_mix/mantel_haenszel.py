"""Two groups compared within strata of a confounder and pooled.

Mantel and Haenszel 1959 (JNCI 22:719) common odds ratio with the variance of Robins, Breslow and Greenland 1986
(Biometrics 42:311); the pooled difference of rates with the variance of Sato 1989 (Biometrics 45:1323), which
holds for few large strata and for many small ones; the test of Cochran, Mantel and Haenszel; the test of Breslow
and Day 1980 that the odds ratios are equal, with the correction of Tarone 1985 (Biometrika 72:91).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Floats
from sandbox.scoring.differences import Limits
from sandbox.scoring.estimates import quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledTables:
    """Pooled comparison of two groups over strata.

    Attributes:
        odds_ratio: first group against second; None when it does not exist.
        difference: pooled difference of the two rates, weighted by n1 n2 / (n1 + n2).
        cochran_mantel_haenszel: chi-square with one degree of freedom, without continuity correction.
        breslow_day, breslow_day_tarone: chi-square with ``strata - 1`` degrees; None when not defined.
        strata: strata that inform; those with one group or one outcome only do not.
    """

    odds_ratio: float | None
    odds_ratio_limits: Limits | None
    difference: float
    difference_limits: Limits
    cochran_mantel_haenszel: float | None
    p: float | None
    breslow_day: float | None
    breslow_day_p: float | None
    breslow_day_tarone: float | None
    breslow_day_tarone_p: float | None
    strata: int
    level: float


def pool_tables(
    first: npt.ArrayLike,
    first_total: npt.ArrayLike,
    second: npt.ArrayLike,
    second_total: npt.ArrayLike,
    level: float = 0.95,
) -> PooledTables:
    """Pool 2 x 2 tables.

    Args:
        first, first_total: successes and cases of the first group in each stratum.
        second, second_total: the same of the second group.
        level: two-sided level of the limits.

    Raises:
        ScoringError: columns of unequal length, or no stratum has both groups.
    """
    a, n1, c, n2 = (np.asarray(x, dtype=np.float64) for x in (first, first_total, second, second_total))
    if not a.shape == n1.shape == c.shape == n2.shape:
        raise ScoringError("the counts of the strata differ in length")
    both = (n1 > 0) & (n2 > 0)
    if not both.any():
        raise ScoringError("no stratum has cases of both groups; the groups cannot be compared within strata")
    a, n1, c, n2 = a[both], n1[both], c[both], n2[both]
    b, d, n = n1 - a, n2 - c, n1 + n2
    odds, limits = _odds_ratio(a, b, c, d, n, level)
    difference, error = _difference(a, c, n1, n2, n)
    half = quantile(level) * error
    statistic = _cmh(a, c, n1, n2, n)
    plain, corrected, informative = _breslow_day(a, c, n1, n2, odds)
    degrees = informative - 1
    return PooledTables(
        odds_ratio=odds,
        odds_ratio_limits=limits,
        difference=difference,
        difference_limits=(max(-1.0, difference - half), min(1.0, difference + half)),
        cochran_mantel_haenszel=statistic,
        p=None if statistic is None else float(stats.chi2.sf(statistic, 1)),
        breslow_day=plain,
        breslow_day_p=None if plain is None else float(stats.chi2.sf(plain, degrees)),
        breslow_day_tarone=corrected,
        breslow_day_tarone_p=None if corrected is None else float(stats.chi2.sf(corrected, degrees)),
        strata=int(both.sum()),
        level=level,
    )


def _odds_ratio(
    a: Floats, b: Floats, c: Floats, d: Floats, n: Floats, level: float
) -> tuple[float | None, Limits | None]:
    r, s = a * d / n, b * c / n
    if r.sum() <= 0 or s.sum() <= 0:
        return None, None
    odds = float(r.sum() / s.sum())
    p, q = (a + d) / n, (b + c) / n
    variance = (p * r).sum() / (2 * r.sum() ** 2) + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
    variance += (q * s).sum() / (2 * s.sum() ** 2)
    half = quantile(level) * math.sqrt(float(variance))
    return odds, (odds * math.exp(-half), odds * math.exp(half))


def _difference(a: Floats, c: Floats, n1: Floats, n2: Floats, n: Floats) -> tuple[float, float]:
    weight = n1 * n2 / n
    value = float((weight * (a / n1 - c / n2)).sum() / weight.sum())
    p = (n1**2 * c - n2**2 * a + n1 * n2 * (n2 - n1) / 2) / n**2
    q = (a * (n2 - c) + c * (n1 - a)) / (2 * n)
    variance = (value * p.sum() + q.sum()) / weight.sum() ** 2
    return value, math.sqrt(max(0.0, float(variance)))


def _cmh(a: Floats, c: Floats, n1: Floats, n2: Floats, n: Floats) -> float | None:
    total = a + c
    expected = n1 * total / n
    usable = n > 1
    variance = (n1 * n2 * total * (n - total))[usable] / (n[usable] ** 2 * (n[usable] - 1))
    return float((a - expected).sum() ** 2 / variance.sum()) if variance.sum() > 0 else None


def _breslow_day(
    a: Floats, c: Floats, n1: Floats, n2: Floats, odds: float | None
) -> tuple[float | None, float | None, int]:
    total = a + c
    varies = (total > 0) & (total < n1 + n2)
    if odds is None or varies.sum() < 2:
        return None, None, int(varies.sum())
    a, n1, n2, total = a[varies], n1[varies], n2[varies], total[varies]
    # The expected count solves x (n2 - t + x) = odds (t - x)(n1 - x) between its bounds.
    first = 1 - odds
    second = n2 - total + odds * (n1 + total)
    third = -odds * total * n1
    if abs(first) < 1e-12:
        expected = -third / second
    else:
        root = np.sqrt(second**2 - 4 * first * third)
        low, high = np.maximum(0, total - n2), np.minimum(total, n1)
        lesser, greater = (-second + root) / (2 * first), (-second - root) / (2 * first)
        inside = (lesser >= low - 1e-9) & (lesser <= high + 1e-9)
        expected = np.where(inside, lesser, greater)
    parts = np.stack((expected, total - expected, n1 - expected, n2 - total + expected))
    variance = 1 / (1 / np.maximum(parts, 1e-300)).sum(axis=0)
    plain = float(((a - expected) ** 2 / variance).sum())
    correction = float((a - expected).sum() ** 2 / variance.sum())
    return plain, plain - correction, int(varies.sum())
