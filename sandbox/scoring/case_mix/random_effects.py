"""Values of several groups pooled as a sample of groups: how much they truly differ, and what another may have.

DerSimonian and Laird 1986 (Control Clin Trials 7:177) by moments, and restricted maximum likelihood (Viechtbauer
2005, J Educ Behav Stat 30:261). Interval of the mean: Hartung and Knapp 2001 (Stat Med 20:3875) with Student's t,
never narrower than the normal one; prediction interval: Higgins, Thompson and Spiegelhalter 2009.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Floats
from sandbox.scoring.differences import Limits
from sandbox.scoring.estimates import expit, quantile

Estimator = Literal["dersimonian-laird", "reml"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEffects:
    """Pooled value over groups.

    Attributes:
        between: variance between groups.
        limits: of the mean, normal; ``hartung_knapp`` by Hartung and Knapp.
        prediction: limits for another group of the same kind; None with fewer than three groups.
        q, q_p: Cochran's heterogeneity statistic and its p.
        i_squared: share of the variation that is not chance, 0 to 1, by the chosen estimator.
    """

    value: float
    error: float
    limits: Limits
    hartung_knapp: Limits
    prediction: Limits | None
    between: float
    q: float
    q_p: float
    i_squared: float
    groups: int
    level: float
    method: Estimator


def pool(
    values: npt.ArrayLike, errors: npt.ArrayLike, *, method: Estimator = "reml", level: float = 0.95
) -> RandomEffects:
    """Pool values with known standard errors.

    Raises:
        ScoringError: fewer than two groups, or an error that is not above 0.
    """
    y, s = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if y.size < 2 or y.shape != s.shape or not (s > 0).all():
        raise ScoringError("random effects need at least two groups, each with a standard error above 0")
    v = s**2
    fixed = 1 / v
    q = float((fixed * (y - (fixed @ y) / fixed.sum()) ** 2).sum())
    degrees = y.size - 1
    between = moments(y, v) if method == "dersimonian-laird" else restricted_likelihood(y, v)
    w = 1 / (v + between)
    value, error = float(w @ y / w.sum()), math.sqrt(float(1 / w.sum()))
    half = quantile(level) * error
    adjusted = math.sqrt(max(1.0, float((w * (y - value) ** 2).sum()) / degrees)) * error
    wide = float(stats.t.ppf((1 + level) / 2, degrees)) * adjusted
    prediction = None
    if y.size > 2:
        reach = float(stats.t.ppf((1 + level) / 2, y.size - 2)) * math.sqrt(between + error**2)
        prediction = (value - reach, value + reach)
    typical = degrees * fixed.sum() / (fixed.sum() ** 2 - (fixed**2).sum())
    return RandomEffects(
        value=value,
        error=error,
        limits=(value - half, value + half),
        hartung_knapp=(value - wide, value + wide),
        prediction=prediction,
        between=between,
        q=q,
        q_p=float(stats.chi2.sf(q, degrees)),
        i_squared=float(between / (between + typical)),
        groups=int(y.size),
        level=level,
        method=method,
    )


def pool_aurocs(
    values: npt.ArrayLike, errors: npt.ArrayLike, *, method: Estimator = "reml", level: float = 0.95
) -> RandomEffects:
    """Pool AUROCs of groups on the logit scale; the result is back on the scale of AUROC, but ``between``.

    Raises:
        ScoringError: an AUROC of 0 or 1, which has no logit, or what :func:`pool` refuses.
    """
    a, s = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if ((a <= 0) | (a >= 1)).any():
        raise ScoringError("an AUROC of 0 or 1 has no logit; leave that group out and say so")
    slope = a * (1 - a)
    found = pool(np.log(a / (1 - a)), s / slope, method=method, level=level)

    def back(limits: Limits) -> Limits:
        return expit(limits[0]), expit(limits[1])

    value = expit(found.value)
    return RandomEffects(
        value=value,
        error=found.error * value * (1 - value),
        limits=back(found.limits),
        hartung_knapp=back(found.hartung_knapp),
        prediction=None if found.prediction is None else back(found.prediction),
        between=found.between,
        q=found.q,
        q_p=found.q_p,
        i_squared=found.i_squared,
        groups=found.groups,
        level=level,
        method=found.method,
    )


def moments(y: Floats, v: Floats) -> float:
    """Variance between groups by moments, DerSimonian and Laird."""
    w = 1 / v
    q = float((w * (y - (w @ y) / w.sum()) ** 2).sum())
    room = float(w.sum() - (w**2).sum() / w.sum())
    return max(0.0, (q - (y.size - 1)) / room)


def restricted_likelihood(y: Floats, v: Floats) -> float:
    """Variance between groups by restricted maximum likelihood."""

    def slope(between: float) -> float:
        w = 1 / (v + between)
        mean = (w @ y) / w.sum()
        return float((w**2 * ((y - mean) ** 2)).sum() - w.sum() + (w**2).sum() / w.sum())

    if slope(0.0) <= 0:
        return 0.0
    high = max(float(y.var(ddof=1)), 1e-12)
    while slope(high) > 0:
        high *= 2
    return float(optimize.brentq(slope, 0.0, high, xtol=1e-14, rtol=1e-12))
