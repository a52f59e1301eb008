"""How a performance grows with the number of cases, and what more cases may bring.

Inverse power law y = (1 - a) - b n^c with c below 0, after Figueroa, Zeng-Treitler, Kandula and Ngo 2012 (BMC Med
Inform Decis Mak 12:8): weighted least squares, the i-th of m points with weight i/m, because later points say more
about what follows. Prediction limits by the delta method with Student's t. Five points at least; no value is
given beyond four times the largest n.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Floats

FEWEST_POINTS = 5
FARTHEST = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Predicted value at ``n`` cases with prediction limits; None beyond what may be extrapolated."""

    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """A fitted curve: ``limit`` is 1 - a, what it tends to."""

    a: float
    b: float
    c: float
    limit: float
    residual: float
    predictions: tuple[Prediction, ...]
    level: float


def fit_learning_curve(
    n: Sequence[float], value: Sequence[float], at: Sequence[int], level: float = 0.95
) -> LearningCurve:
    """Fit and predict.

    Args:
        n: cases of each point.
        value: performance of each, 0 to 1.
        at: numbers of cases to predict at.
        level: two-sided level of the prediction limits.

    Raises:
        ScoringError: fewer than five different n, a value out of range, or points that no such curve fits.
    """
    x, y = np.asarray(n, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if x.shape != y.shape or np.unique(x).size < FEWEST_POINTS or (x <= 0).any() or ((y < 0) | (y > 1)).any():
        raise ScoringError(
            "a learning curve needs at least five points of different n, with values from 0 to 1"
        )
    order = np.argsort(x)
    x, y = x[order], y[order]
    weight = np.arange(1, x.size + 1) / x.size
    start = (max(1e-3, 1 - float(y.max())), max(1e-2, float(y.max() - y.min())), -0.5)
    try:
        with warnings.catch_warnings():
            # A covariance that cannot be estimated is told below, not warned of.
            warnings.simplefilter("ignore", optimize.OptimizeWarning)
            found, spread = optimize.curve_fit(
                _curve, x, y, p0=start, sigma=1 / np.sqrt(weight), absolute_sigma=False,
                bounds=([0.0, 0.0, -10.0], [1.0, np.inf, 0.0]), maxfev=20_000,
            )  # fmt: skip
    except RuntimeError as error:
        raise ScoringError("no inverse power law fits these points; give more of them") from error
    degrees = x.size - 3
    residual = math.sqrt(float(weight @ (y - _curve(x, *found)) ** 2) / degrees)
    reach = float(stats.t.ppf((1 + level) / 2, degrees))
    predictions = [_predict(int(size), found, spread, residual, reach, float(x.max())) for size in at]
    a, b, c = (float(each) for each in found)
    return LearningCurve(
        a=a, b=b, c=c, limit=1 - a, residual=residual, predictions=tuple(predictions), level=level
    )


def _predict(
    n: int, found: Floats, spread: Floats, residual: float, reach: float, largest: float
) -> Prediction:
    if n > FARTHEST * largest:
        return Prediction(n=n, value=None, low=None, high=None)
    value = float(_curve(np.array([float(n)]), *found)[0])
    _, b, c = found
    slope = np.array([-1.0, -(n**c), -b * n**c * math.log(n)])
    variance = float(slope @ spread @ slope)
    if not math.isfinite(variance):
        return Prediction(n=n, value=value, low=None, high=None)
    half = reach * math.sqrt(variance + residual**2)
    return Prediction(n=n, value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def _curve(n: Floats, a: float, b: float, c: float) -> Floats:
    return np.asarray((1 - a) - b * n**c)
