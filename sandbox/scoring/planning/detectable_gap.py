"""The smallest gap between a stratum and the rest that a hold-out can show, and with how much power.

Two independent rates: the normal power formula with the pooled variance under no gap and the separate ones under
the gap (Fleiss, Levin and Paik 2003, section 4.3, without continuity correction). Two AUROCs: the same with
variances from counts. The level may be divided by the number of comparisons (Bonferroni, a little more than what
Holm asks of the first).
"""

from __future__ import annotations

import math

from scipy import optimize, stats

from sandbox.scoring.planning.precision import AurocModel, auroc_variance


def rate_gap(
    value: float, n: float, others: float, *, power: float = 0.8, level: float = 0.95, comparisons: int = 1
) -> float | None:
    """Smallest gap below ``value`` of a rate over ``n`` cases against ``others`` cases; None when none can be shown.

    Args:
        value: the rate of the others.
        n, others: cases of each side, effective if clustered.
        power: to be reached.
        level: two-sided level of one comparison.
        comparisons: over which the level is shared.
    """
    if min(n, others) < 1:
        return None

    def lacking(gap: float) -> float:
        return rate_power(value, gap, n, others, level=level, comparisons=comparisons) - power

    if lacking(value) < 0:
        return None
    return float(optimize.brentq(lacking, 1e-9, value, xtol=1e-6))


def rate_power(
    value: float, gap: float, n: float, others: float, *, level: float = 0.95, comparisons: int = 1
) -> float:
    """Power to show that a rate is ``gap`` below that of the others."""
    lower = max(0.0, value - gap)
    pooled = (lower * n + value * others) / (n + others)
    under_none = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / others))
    under_gap = math.sqrt(lower * (1 - lower) / n + value * (1 - value) / others)
    return _power(gap, under_none, under_gap, level, comparisons)


def auroc_gap(
    value: float,
    positives: float,
    negatives: float,
    other_positives: float,
    other_negatives: float,
    *,
    power: float = 0.8,
    level: float = 0.95,
    comparisons: int = 1,
    model: AurocModel = "hanley-mcneil",
) -> float | None:
    """Smallest gap below ``value`` of an AUROC that can be shown, down to 0.5; None when none can."""
    if min(positives, negatives, other_positives, other_negatives) < 1:
        return None
    of_others = auroc_variance(value, other_positives, other_negatives, model)
    equal = math.sqrt(auroc_variance(value, positives, negatives, model) + of_others)

    def lacking(gap: float) -> float:
        apart = math.sqrt(auroc_variance(value - gap, positives, negatives, model) + of_others)
        return _power(gap, equal, apart, level, comparisons) - power

    most = value - 0.5
    if most <= 1e-9 or lacking(most) < 0:
        return None
    return float(optimize.brentq(lacking, 1e-9, most, xtol=1e-6))


def _power(gap: float, under_none: float, under_gap: float, level: float, comparisons: int) -> float:
    z = float(stats.norm.isf((1 - level) / comparisons / 2))
    if under_gap <= 0:
        return float(gap > z * under_none)
    return float(stats.norm.cdf((gap - z * under_none) / under_gap))
