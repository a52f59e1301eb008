"""How far two measurements of the same things agree: every statistic as a function of sums over patients.

Bland and Altman 1986 (Lancet 1:307) and 1999 (Stat Methods Med Res 8:135) for bias and limits of agreement; with
several cases to a patient the variance of a difference is the sum of the variances between and within patients, by
one-way analysis of variance with unequal sizes (Bland and Altman 2007, J Biopharm Stat 17:571). Lin 1989 (Biometrics
45:255) for the concordance correlation, with n as denominator of the moments. McGraw and Wong 1996 (Psychol Methods
1:30) for ICC(A,1) and ICC(C,1). Deming 1943, Linnet 1993 (Clin Chem 39:424) for the line of two measurements that
both have error. Correlation is not agreement, and is not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from sandbox.scoring.cases import Floats, Integers, compact

_N, _X, _Y, _XX, _YY, _XY, _ABS, _ONE, _SIZE2, _BETWEEN = range(10)
STATISTICS: Final = (
    "bias",
    "standard_deviation_of_differences",
    "lower_limit_of_agreement",
    "upper_limit_of_agreement",
    "mean_absolute_error",
    "root_mean_square_error",
    "concordance_correlation",
    "icc_a1",
    "icc_c1",
    "deming_slope",
    "deming_intercept",
)


def sums_by_patient(reference: Floats, value: Floats, patient: Integers) -> Floats:
    """Sums from which every statistic follows, shape (patients, 10).

    Args:
        reference, value: the two measurements, moved so that their mean is near 0: the sums are of squares.
        patient: patient of each case.
    """
    codes, patients = compact(patient)
    difference = value - reference

    def summed(values: Floats) -> Floats:
        return np.bincount(codes, weights=values, minlength=patients).astype(np.float64)

    sizes = np.bincount(codes, minlength=patients).astype(np.float64)
    columns = (
        sizes,
        summed(reference),
        summed(value),
        summed(reference**2),
        summed(value**2),
        summed(reference * value),
        summed(np.abs(difference)),
        np.ones(patients),
        sizes**2,
        summed(difference) ** 2 / sizes,
    )
    return np.column_stack(columns)


def statistics_of(sums: Floats, *, coverage_z: float, error_variance_ratio: float) -> Mapping[str, Floats]:
    """Every statistic of one or more sets of sums; NaN where it does not exist.

    Args:
        sums: shape (..., 10), added over patients.
        coverage_z: standard deviations from the bias to a limit of agreement.
        error_variance_ratio: error variance of the reference over that of the value.
    """
    part = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        n = part[_N]
        x, y = part[_X] / n, part[_Y] / n
        xx, yy, xy = part[_XX] / n - x**2, part[_YY] / n - y**2, part[_XY] / n - x * y
        bias = y - x
        squares = (part[_YY] - 2 * part[_XY] + part[_XX]).clip(min=0)
        deviation = np.sqrt(_variance_of_difference(part, squares, bias))
        small = n / (n - 1)
        rows, error = small * (xx + yy + 2 * xy) / 2, small * (xx + yy - 2 * xy) / 2
        columns = n * bias**2 / 2
        weight = 1 / error_variance_ratio
        lean = yy - weight * xx
        slope = (lean + np.sqrt(lean**2 + 4 * weight * xy**2)) / (2 * xy)
        return {
            "bias": bias,
            "standard_deviation_of_differences": deviation,
            "lower_limit_of_agreement": bias - coverage_z * deviation,
            "upper_limit_of_agreement": bias + coverage_z * deviation,
            "mean_absolute_error": part[_ABS] / n,
            "root_mean_square_error": np.sqrt(squares / n),
            "concordance_correlation": 2 * xy / (xx + yy + bias**2),
            "icc_a1": (rows - error) / (rows + error + 2 / n * (columns - error)),
            "icc_c1": (rows - error) / (rows + error),
            "deming_slope": slope,
            "deming_intercept": y - slope * x,
        }


def _variance_of_difference(part: Floats, squares: Floats, bias: Floats) -> Floats:
    """Variance of one difference: between patients plus within."""
    n, patients, total = part[_N], part[_ONE], part[_N] * bias
    between = (part[_BETWEEN] - total * bias) / (patients - 1)
    spare = n - patients
    within = np.where(spare > 0, (squares - part[_BETWEEN]) / np.where(spare > 0, spare, 1), 0.0).clip(min=0)
    size = (n - part[_SIZE2] / n) / (patients - 1)
    return np.asarray(np.maximum(between - within, 0.0) / size + within, dtype=np.float64)


def root_mean_square_influence(reference: Floats, value: Floats) -> tuple[float, Floats] | None:
    """Root mean square error, and the influence of each case on it; None where there is no error."""
    squares = (value - reference) ** 2
    mean = float(squares.mean())
    return (np.sqrt(mean), (squares - mean) / (2 * np.sqrt(mean)) / squares.size) if mean > 0 else None


def concordance_influence(reference: Floats, value: Floats) -> tuple[float, Floats] | None:
    """Lin's concordance correlation, and the influence of each case on it; None where nothing varies."""
    n, shift = reference.size, float(reference.mean() - value.mean())
    u, v = reference - reference.mean(), value - value.mean()
    together = float(u @ v) / n
    spread = float(u @ u + v @ v) / n + shift**2
    if spread <= 0:
        return None
    c = 2 * together / spread
    # Derivatives of the two moments when one more case is put in.
    above = 2 * (u * v - together)
    below = u**2 + v**2 + 2 * shift * (u - v) - (spread - shift**2)
    return c, (above - c * below) / spread / n
