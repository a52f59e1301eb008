"""The mean of several rates, as balanced accuracy is of the sensitivities of all classes.

Interval: the limits of the parts combined (Zou and Donner 2008, Stat Med 27:1693, MOVER), with the correlation that
patients bring who have cases in several of the denominators.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sandbox.outcome.results import Estimate
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.estimates import Basis, estimate, method_name, undefined


def mean_of_rates(
    metric: str,
    rates: Sequence[Estimate],
    outcomes: Sequence[Bools],
    patients: Sequence[Integers],
    basis: Basis,
    method: str,
) -> Estimate:
    """Estimate the unweighted mean of rates.

    Args:
        metric: name of the mean.
        rates: the rates, with their intervals.
        outcomes: for each rate, the outcome of every case of its denominator.
        patients: the patient of each of those cases.
        basis: what the mean rests on.
        method: the intervals' method of the rates.
    """
    clustered = basis.patients < basis.n
    name = method_name(f"mover-{method}", clustered)
    values = np.array([rate.value if rate.value is not None else np.nan for rate in rates])
    if np.isnan(values).any():
        reasons = " ".join(rate.reason or "" for rate in rates if rate.value is None)
        return undefined(metric, basis, name, f"The mean needs every rate. {reasons}")
    below = values - np.array([rate.low for rate in rates], dtype=np.float64)
    above = np.array([rate.high for rate in rates], dtype=np.float64) - values
    correlation = _correlation(values, outcomes, patients) if clustered else np.eye(values.size)
    value = float(values.mean())
    low, high = (
        math.sqrt(max(0.0, float(side @ correlation @ side))) / values.size for side in (below, above)
    )
    return estimate(metric, value, (max(0.0, value - low), min(1.0, value + high)), basis, name)


def _correlation(values: Floats, outcomes: Sequence[Bools], patients: Sequence[Integers]) -> Floats:
    """Correlation of rates through patients who have cases in both denominators."""
    size = 1 + max(int(each.max()) for each in patients)
    sums = np.array(
        [
            np.bincount(patient, weights=outcome - value, minlength=size)
            for value, outcome, patient in zip(values, outcomes, patients, strict=True)
        ]
    )
    products = sums @ sums.T
    scale = np.sqrt(np.outer(np.diagonal(products), np.diagonal(products)))
    found: Floats = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    np.fill_diagonal(found, 1.0)
    return found
