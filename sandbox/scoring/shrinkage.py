"""Levels drawn toward their mean as far as chance explains how they differ; shown beside the raw values.

Rates: beta-binomial empirical Bayes, moments of Kleinman 1973 (J Am Stat Assoc 68:46). AUROC, means and other
statistics: random effects on the scale on which they are taken as normal, with the variance between levels of
DerSimonian and Laird 1986 (Control Clin Trials 7:177). The limits allow for the mean being estimated (Morris 1983,
J Am Stat Assoc 78:47), not for the spread: with few levels they are too narrow rather than too wide.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sandbox.outcome.bias_results import Shrinkage, Shrunk
from sandbox.scoring.cases import Floats
from sandbox.scoring.estimates import quantile
from sandbox.scoring.proportions import wilson
from sandbox.scoring.scale import Scale

RATES, VALUES = "beta-binomial-moments", "random-effects-dersimonian-laird"


def intraclass_correlation(k: Floats, n: Floats) -> float:
    """Correlation of two cases of one level beyond chance, by moments; 0 when levels differ no more than chance.

    Args:
        k: successes of each level; may be effective numbers.
        n: cases of each level.
    """
    p, total = k.sum() / n.sum(), n.sum()
    if not 0 < p < 1:
        return 0.0
    levels = n.size - 1
    statistic = float((n * (k / n - p) ** 2).sum() / (p * (1 - p)))
    room = float(total - (n**2).sum() / total - levels)
    return min(0.99, max(0.0, (statistic - levels) / room)) if room > 0 else 0.0


def shrink_rates(names: list[str], cases: list[int], p: Floats, size: Floats, level: float) -> Shrinkage:
    """Shrink the rates of levels.

    Args:
        names: the levels, at least two.
        cases: denominators as printed.
        p: raw rates.
        size: effective denominators; smaller than ``cases`` when patients have several.
        level: two-sided level of the limits.
    """
    mean = float((p * size).sum() / size.sum())
    rho = intraclass_correlation(p * size, size)
    variance = mean * (1 - mean)
    if rho > 0:
        prior = 1 / rho - 1
        weight = size / (size + prior)
        of_mean = 1 / float((1 / (variance * (1 + (size - 1) * rho) / size)).sum())
    else:
        weight = np.zeros_like(size)
        of_mean = variance / float(size.sum())
    shrunk = weight * p + (1 - weight) * mean
    own = shrunk * (1 - shrunk) / (size + prior + 1) if rho > 0 else np.zeros_like(size)
    spread = own + (1 - weight) ** 2 * of_mean
    if variance > 0:
        low, high = _beta_limits(shrunk, spread, level)
    else:
        low, high = (np.full_like(p, limit) for limit in wilson(p @ size, size.sum(), level))
    return _record(
        names,
        cases,
        raw=p,
        shrunk=shrunk,
        low=low,
        high=high,
        weight=weight,
        mean=mean,
        spread=float(np.sqrt(rho * variance)),
        method=RATES,
    )


def _beta_limits(mean: Floats, variance: Floats, level: float) -> tuple[Floats, Floats]:
    """Limits of the beta distribution with these moments; the mean itself where there is no variance."""
    usable = (variance > 1e-15) & (mean > 0) & (mean < 1)
    safe = np.where(usable, variance, 0.25 * 0.01)
    middle = np.where(usable, mean, 0.5)
    total = np.maximum(middle * (1 - middle) / safe - 1, 1e-6)
    low = stats.beta.ppf((1 - level) / 2, middle * total, (1 - middle) * total)
    high = stats.beta.ppf((1 + level) / 2, middle * total, (1 - middle) * total)
    return np.where(usable, np.minimum(low, mean), mean), np.where(usable, np.maximum(high, mean), mean)


def shrink_values(
    names: list[str],
    cases: list[int],
    value: Floats,
    working: Floats,
    error: Floats,
    level: float,
    scale: Scale,
) -> Shrinkage:
    """Shrink the AUROCs, means or other statistics of levels on the scale on which they are taken as normal.

    Args:
        names: the levels, at least two.
        cases: cases of each.
        value: raw values.
        working: the same on the scale, finite.
        error: standard errors there, positive.
        level: two-sided level of the limits.
        scale: gives the way back.
    """
    between = between_variance(working, error)
    precision = 1 / (error**2 + between)
    mean = float((precision * working).sum() / precision.sum())
    weight = between / (between + error**2)
    centre = weight * working + (1 - weight) * mean
    half = quantile(level) * np.sqrt(weight * error**2 + (1 - weight) ** 2 / precision.sum())
    middle = float(scale.backward(np.array(mean)))
    # A value at an end of its range stands half a case inside on the scale, perhaps beyond the mean of the others.
    shrunk = np.clip(scale.backward(centre), np.minimum(value, middle), np.maximum(value, middle))
    return _record(
        names,
        cases,
        raw=value,
        shrunk=shrunk,
        low=np.minimum(scale.backward(centre - half), shrunk),
        high=np.maximum(scale.backward(centre + half), shrunk),
        weight=weight,
        mean=middle,
        spread=float(np.sqrt(between)),
        method=VALUES,
    )


def between_variance(value: Floats, error: Floats) -> float:
    """Variance between levels of DerSimonian and Laird; 0 when they differ no more than their errors say."""
    weight = 1 / error**2
    mean = (weight * value).sum() / weight.sum()
    q = float((weight * (value - mean) ** 2).sum())
    room = float(weight.sum() - (weight**2).sum() / weight.sum())
    return max(0.0, (q - (value.size - 1)) / room) if room > 0 else 0.0


def _record(
    names: list[str],
    cases: list[int],
    *,
    raw: Floats,
    shrunk: Floats,
    low: Floats,
    high: Floats,
    weight: Floats,
    mean: float,
    spread: float,
    method: str,
) -> Shrinkage:
    columns = (raw, shrunk, low, high, weight)
    return Shrinkage(
        mean=mean,
        spread=spread,
        levels=tuple(
            Shrunk(level=name, n=n, raw=r, shrunk=s, low=lower, high=upper, weight=w)
            for name, n, r, s, lower, upper, w in zip(
                names, cases, *(column.tolist() for column in columns), strict=True
            )
        ),
        method=method,
        version=1,
    )
