"""Differences of two values by their own limits, and the tests that go with them.

MOVER: Zou and Donner 2008, Stat Med 27:1693, recover the variance of a difference from the limits of its
parts; with Wilson limits and independent sides it is method 10 of Newcombe 1998, Stat Med 17:873.
"""

from __future__ import annotations

import math

from scipy import stats

from sandbox.scoring.proportions import wilson

Limits = tuple[float, float]
LARGEST_CRITICAL = 8.0
"""Beyond this the normal tail is smaller than rounding."""


def mover(first: float, limits: Limits, second: float, others: Limits, correlation: float = 0.0) -> Limits:
    """Limits of ``first - second`` from the limits of each, at the same level.

    Args:
        first, second: the two values.
        limits, others: their limits.
        correlation: of the two estimates, 0 when they share no patient.
    """
    difference = first - second
    below = _combine(first - limits[0], others[1] - second, correlation)
    above = _combine(limits[1] - first, second - others[0], correlation)
    return difference - below, difference + above


def _combine(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(0.0, a * a + b * b - 2 * correlation * a * b))


def newcombe(x1: int, n1: int, x2: int, n2: int, level: float) -> Limits:
    """Limits of x1/n1 - x2/n2 for independent cases, Newcombe 1998 method 10 (no continuity correction)."""
    low1, high1 = wilson(x1, n1, level)
    low2, high2 = wilson(x2, n2, level)
    return mover(x1 / n1, (float(low1), float(high1)), x2 / n2, (float(low2), float(high2)))


def two_sided(statistic: float) -> float:
    """Two-sided p of a statistic that is standard normal without a difference."""
    return float(2 * stats.norm.sf(abs(statistic)))


def level_of(critical: float) -> float:
    """Two-sided level whose normal quantile is ``critical``."""
    return float(1 - 2 * stats.norm.sf(min(critical, LARGEST_CRITICAL)))


def as_normal(statistic: float, degrees: float) -> float:
    """The normal statistic with the same tail as a t statistic."""
    tail = float(stats.t.logsf(abs(statistic), degrees))
    z = float(-stats.norm.ppf(math.exp(tail))) if tail > -700 else LARGEST_CRITICAL
    return math.copysign(min(z, 37.0), statistic)
