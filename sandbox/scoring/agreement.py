"""Agreement of two ratings beyond chance: Cohen's kappa, unweighted and weighted.

Standard error: Fleiss, Cohen and Everitt 1969 (Psychol Bull 72:323), the one that does not assume kappa to be 0; the
null one is for a test of kappa = 0 only and is far too narrow for an interval. It is the variance of the influences
of the cases, so that with several cases to a patient these are summed by patient.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from sandbox.outcome.results import Estimate
from sandbox.scoring.cases import Floats, Integers
from sandbox.scoring.estimates import Basis, undefined
from sandbox.scoring.influence import from_influence

METHOD = "fleiss-cohen-everitt"
Weights = Literal["none", "linear", "quadratic"]


def agreement_weights(rows: int, columns: int, kind: Weights) -> Floats:
    """Weight of agreement for each pair of ratings: 1 on the diagonal.

    Args:
        rows: number of grades; their distance is counted over ``rows - 1``.
        columns: at least ``rows``; a column beyond them never agrees, whatever the row.
        kind: ``none`` counts equal ratings only, ``linear`` and ``quadratic`` fall with the distance.
    """
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    if kind == "none":
        found = (row == column).astype(np.float64)
    else:
        distance = np.abs(row - column) / max(1, rows - 1)
        found = 1 - distance ** (2 if kind == "quadratic" else 1)
    return np.where(column < rows, found, 0.0)


def kappa(
    metric: str, row: Integers, column: Integers, patient: Integers, weights: Floats, basis: Basis
) -> Estimate:
    """Weighted kappa with its interval.

    Args:
        metric: name of the estimate.
        row, column: the two ratings of each case, as indices of ``weights``.
        patient: patient of each case.
        weights: weight of agreement for each pair of ratings.
        basis: what the estimate rests on.
    """
    if basis.n == 0:
        return undefined(metric, basis, METHOD, "There is no case.")
    found = kappa_influence(row, column, weights)
    if found is None:
        return undefined(
            metric, basis, METHOD, "All ratings are alike: agreement beyond chance is undefined."
        )
    value, influence = found
    return from_influence(
        metric,
        value,
        influence,
        patient,
        basis,
        low=-1.0,
        high=1.0,
        method=METHOD,
        large_sample=basis.patients == basis.n,
    )


def kappa_influence(row: Integers, column: Integers, weights: Floats) -> tuple[float, Floats] | None:
    """Weighted kappa and the influence of each case on it; None where all ratings are alike or there is none."""
    rows, columns = weights.shape
    counts = np.bincount(row * columns + column, minlength=rows * columns).reshape(rows, columns)
    shares = counts / max(1, row.size)
    by_row, by_column = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float((weights * shares).sum()), float(by_row @ weights @ by_column)
    if row.size == 0 or expected >= 1 - 1e-12:
        return None
    value = (observed - expected) / (1 - expected)
    # Fleiss, Cohen and Everitt 1969, equation 8: mean weight of each row and of each column.
    mean_row, mean_column = weights @ by_column, by_row @ weights
    cell = weights * (1 - expected) - (mean_row[:, None] + mean_column[None, :]) * (1 - observed)
    centre = observed * expected - 2 * expected + observed
    influence: Floats = (cell[row, column] - centre) / (1 - expected) ** 2 / row.size
    return float(value), influence
