"""Intraclass correlation of readers' measurements, its form always named.

Shrout and Fleiss 1979 (Psychol Bull 86:420), intervals by F; for the agreement forms (2,1) and (2,k) with the
degrees of freedom of McGraw and Wong 1996 (Psychol Methods 1:30). The forms differ a lot on the same data: (2,1)
asks whether readers agree in value, (3,1) only whether they rank alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from sandbox.errors import ScoringError

Form = Literal["1,1", "2,1", "3,1", "1,k", "2,k", "3,k"]
FORMS: tuple[Form, ...] = ("1,1", "2,1", "3,1", "1,k", "2,k", "3,k")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntraclassCorrelation:
    """One form of the coefficient with its interval."""

    form: Form
    value: float
    low: float
    high: float
    cases: int
    readers: int
    level: float


def intraclass_correlation(
    measurements: npt.ArrayLike, form: Form, level: float = 0.95
) -> IntraclassCorrelation:
    """Estimate one form.

    Args:
        measurements: shape (readers, cases), complete.
        form: of Shrout and Fleiss: 1 readers nested, 2 readers random, 3 these readers; 1 a single reading, k
            their mean.
        level: two-sided level of the interval.

    Raises:
        ScoringError: a missing measurement, fewer than two readers or cases, or no variation at all.
    """
    x = np.asarray(measurements, dtype=np.float64)
    if x.ndim != 2 or min(x.shape) < 2 or not np.isfinite(x).all():
        raise ScoringError(
            "an intraclass correlation needs two readers and cases, every case read by every reader"
        )
    k, n = x.shape
    mean = x.mean()
    cases = k * ((x.mean(axis=0) - mean) ** 2).sum() / (n - 1)
    readers = n * ((x.mean(axis=1) - mean) ** 2).sum() / (k - 1)
    within = ((x - x.mean(axis=0)) ** 2).sum() / (n * (k - 1))
    residual = (within * n * (k - 1) - readers * (k - 1)) / ((n - 1) * (k - 1))
    if cases + within == 0:
        raise ScoringError("all measurements are equal; there is no correlation to estimate")
    single = _single(form, float(cases), float(readers), float(within), float(residual), k, n, level)
    if form.endswith("1"):
        value, low, high = single
    else:
        # The mean of k readings by Spearman and Brown, which takes limits to limits.
        value, low, high = (k * each / (1 + (k - 1) * each) for each in single)
    return IntraclassCorrelation(
        form=form, value=float(value), low=float(low), high=float(high), cases=n, readers=k, level=level
    )


def _single(
    form: Form, cases: float, readers: float, within: float, residual: float, k: int, n: int, level: float
) -> tuple[float, float, float]:
    tail = (1 + level) / 2
    if form[0] in "13":
        error = within if form[0] == "1" else max(residual, 1e-300)
        degrees = float(n * (k - 1) if form[0] == "1" else (n - 1) * (k - 1))
        ratio = cases / error
        lower = ratio / stats.f.ppf(tail, n - 1, degrees)
        upper = ratio * stats.f.ppf(tail, degrees, n - 1)
        return (ratio - 1) / (ratio + k - 1), (lower - 1) / (lower + k - 1), (upper - 1) / (upper + k - 1)
    value = (cases - residual) / (cases + (k - 1) * residual + k * (readers - residual) / n)
    a = k * value / (n * (1 - value)) if value < 1 else 1e300
    b = 1 + k * value * (n - 1) / (n * (1 - value)) if value < 1 else 1e300
    parts = (a * readers) ** 2 / (k - 1) + (b * residual) ** 2 / ((n - 1) * (k - 1))
    degrees = (a * readers + b * residual) ** 2 / parts if parts > 0 else float(n - 1)
    lower, upper = stats.f.ppf(tail, n - 1, degrees), stats.f.ppf(tail, degrees, n - 1)
    noise = k * readers + (k * n - k - n) * residual
    return (
        value,
        n * (cases - lower * residual) / (lower * noise + n * cases),
        n * (upper * cases - residual) / (noise + n * upper * cases),
    )
