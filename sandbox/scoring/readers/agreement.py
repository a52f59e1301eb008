"""Agreement between readers: Cohen's, Fleiss' and Krippendorff's coefficients with intervals.

Cohen 1960 and 1968 (weighted) with the non-null standard error of Fleiss, Cohen and Everitt 1969 (Psychol Bull
72:323): the one under no agreement is for a test, never for an interval. Fleiss 1971 (Psychol Bull 76:378).
Krippendorff's alpha, which allows missing readings: Krippendorff 2011, Computing Krippendorff's alpha-reliability.
Intervals of the last two: bootstrap of patients, percentile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sandbox.errors import ScoringError
from sandbox.scoring.bootstrap import Seed, patient_weights, percentile_interval
from sandbox.scoring.cases import Floats, Integers, compact
from sandbox.scoring.estimates import quantile

Weights = Literal["none", "linear", "quadratic"]
Scale = Literal["nominal", "ordinal", "interval"]
_BLOCK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A coefficient of agreement.

    Attributes:
        value: None when it does not exist (one category only); ``reason`` says so.
        observed: share of agreement as seen (for alpha, 1 minus observed disagreement); the coefficient alone hides
            it where one category is rare.
    """

    coefficient: str
    value: float | None
    low: float | None
    high: float | None
    observed: float | None
    cases: int
    readers: int
    level: float
    method: str
    reason: str | None = None


def cohen_kappa(
    first: npt.ArrayLike, second: npt.ArrayLike, weights: Weights = "none", level: float = 0.95
) -> Agreement:
    """Kappa of two readers of independent cases.

    Args:
        first, second: categories as numbers; for weights their order is the scale's and steps count as equal.
        weights: of disagreement: none, linear or quadratic in steps.
        level: two-sided level of the interval.

    Raises:
        ScoringError: columns of unequal length or no case.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.size == 0:
        raise ScoringError("kappa needs two readings of the same cases, at least one case")
    names, codes = np.unique(np.concatenate((a, b)), return_inverse=True)
    k, n = names.size, a.size
    table = np.bincount(codes[:n] * k + codes[n:], minlength=k * k).reshape(k, k) / n
    return kappa_of_table(table * n, weights, level)


def kappa_of_table(table: npt.ArrayLike, weights: Weights = "none", level: float = 0.95) -> Agreement:
    """Kappa of a square table of counts, first reader in rows."""
    counts = np.asarray(table, dtype=np.float64)
    n, k = float(counts.sum()), counts.shape[0]
    p = counts / n
    step = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / max(1, k - 1)
    agree = {"none": np.eye(k), "linear": 1 - step, "quadratic": 1 - step**2}[weights]
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, expected = float((agree * p).sum()), float((agree * np.outer(rows, columns)).sum())
    name = f"cohen-kappa-{weights}" if weights != "none" else "cohen-kappa"
    if expected >= 1:
        return Agreement(
            coefficient=name, value=None, low=None, high=None, observed=observed, cases=int(n), readers=2,
            level=level, method="none", reason="Both readers use one category only.",
        )  # fmt: skip
    kappa = (observed - expected) / (1 - expected)
    mean = (agree @ columns)[:, None] + (agree.T @ rows)[None, :]
    inner = (p * (agree - mean * (1 - kappa)) ** 2).sum() - (kappa - expected * (1 - kappa)) ** 2
    error = math.sqrt(max(0.0, float(inner))) / ((1 - expected) * math.sqrt(n))
    half = quantile(level) * error
    return Agreement(
        coefficient=name,
        value=kappa,
        low=max(-1.0, kappa - half),
        high=min(1.0, kappa + half),
        observed=observed,
        cases=int(n),
        readers=2,
        level=level,
        method="fleiss-cohen-everitt-non-null",
    )


def fleiss_kappa(
    counts: npt.ArrayLike,
    patient: npt.ArrayLike | None = None,
    *,
    seed: Seed | None = None,
    replicates: int = 2000,
    level: float = 0.95,
) -> Agreement:
    """Fleiss' kappa.

    Args:
        counts: how many readers chose each category, shape (cases, categories); rows add up to the same number.
        patient: patient of each case; None makes every case a patient of its own.
        seed: names the random stream of the interval; None gives no interval.
        replicates: resamples of patients.
        level: two-sided level.

    Raises:
        ScoringError: rows that add up to different numbers, or fewer than two readers.
    """
    table = np.asarray(counts, dtype=np.float64)
    readers = table.sum(axis=1)
    if table.ndim != 2 or not table.size or (readers != readers[0]).any() or readers[0] < 2:
        raise ScoringError("Fleiss' kappa needs the same number of readers, at least two, for every case")
    m = float(readers[0])
    agreed = ((table**2).sum(axis=1) - m) / (m * (m - 1))

    def value(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        shares = weights @ table / (total * m)[:, None]
        expected = (shares**2).sum(axis=1)
        above = weights @ agreed / total - expected
        return np.asarray(np.divide(above, 1 - expected, out=np.full(total.size, np.nan), where=expected < 1))

    return _with_interval(
        "fleiss-kappa", value, float(agreed.mean()), table.shape[0], int(m), patient, seed, replicates, level
    )


def krippendorff_alpha(
    readings: npt.ArrayLike,
    scale: Scale,
    patient: npt.ArrayLike | None = None,
    *,
    seed: Seed | None = None,
    replicates: int = 2000,
    level: float = 0.95,
) -> Agreement:
    """Krippendorff's alpha.

    Args:
        readings: numbers, NaN where a reader did not read, shape (readers, cases).
        scale: how far apart two values are.
        patient: patient of each case; None makes every case a patient of its own.
        seed: names the random stream of the interval; None gives no interval.
        replicates: resamples of patients.
        level: two-sided level.

    Raises:
        ScoringError: no case with two readings.
    """
    values = np.asarray(readings, dtype=np.float64)
    if values.ndim != 2:
        raise ScoringError("readings must have the shape readers x cases")
    number = (~np.isnan(values)).sum(axis=0)
    paired = number > 1
    if not paired.any():
        raise ScoringError("alpha needs at least one case with two readings")
    who = (
        np.arange(values.shape[1])
        if patient is None
        else np.unique(np.asarray(patient), return_inverse=True)[1]
    )
    kept, m = values[:, paired], number[paired].astype(np.float64)
    names, codes = np.unique(kept[~np.isnan(kept)], return_inverse=True)
    case = np.broadcast_to(np.arange(kept.shape[1]), kept.shape)[~np.isnan(kept)]
    table = np.bincount(case * names.size + codes, minlength=kept.shape[1] * names.size)
    counts = table.reshape(kept.shape[1], names.size).astype(np.float64)

    def value(weights: Floats) -> Floats:
        marginals = weights @ counts
        pairs = marginals.sum(axis=1)
        expected = _disagreement(marginals, marginals, names, scale, marginals) / (pairs - 1)
        if scale == "ordinal":
            # The distance of two ranks depends on how often each value between them was given.
            observed = np.concatenate(
                [
                    w
                    @ (
                        _disagreement(counts, counts, names, scale, np.broadcast_to(row, counts.shape))
                        / (m - 1)
                    )
                    for w, row in zip(weights[:, None, :], marginals, strict=True)
                ]
            )
        else:
            observed = weights @ (_disagreement(counts, counts, names, scale, counts) / (m - 1))
        return np.asarray(
            1 - np.divide(observed, expected, out=np.full(pairs.size, np.nan), where=expected > 0)
        )

    first = counts / m[:, None]
    seen = float(((first**2).sum(axis=1) - 1 / m).sum() / (1 - 1 / m).sum()) if m.size else None
    return _with_interval(
        f"krippendorff-alpha-{scale}", value, seen, int(paired.sum()), values.shape[0], who[paired], seed,
        replicates, level,
    )  # fmt: skip


def _disagreement(a: Floats, b: Floats, names: Floats, scale: Scale, marginals: Floats) -> Floats:
    """Sum over pairs of values of count times count times squared distance, for each row."""
    if scale == "nominal":
        return np.asarray(a.sum(axis=1) * b.sum(axis=1) - (a * b).sum(axis=1))
    if scale == "interval":
        first, second = a @ names, b @ names
        return np.asarray(
            (a @ names**2) * b.sum(axis=1) + (b @ names**2) * a.sum(axis=1) - 2 * first * second
        )
    # Ordinal: the rank distance is the difference of midranks.
    place = np.cumsum(marginals, axis=1) - marginals / 2
    first, second = (a * place).sum(axis=1), (b * place).sum(axis=1)
    squares_a, squares_b = (a * place**2).sum(axis=1), (b * place**2).sum(axis=1)
    return np.asarray(squares_a * b.sum(axis=1) + squares_b * a.sum(axis=1) - 2 * first * second)


def _with_interval(
    coefficient: str,
    value: object,
    observed: float | None,
    cases: int,
    readers: int,
    patient: npt.ArrayLike | None,
    seed: Seed | None,
    replicates: int,
    level: float,
) -> Agreement:
    assert callable(value)
    centre = float(value(np.ones((1, cases)))[0])
    low = high = None
    method = "none"
    reason = None if math.isfinite(centre) else "All readings are of one category."
    if seed is not None and math.isfinite(centre):
        raw = np.arange(cases) if patient is None else np.unique(np.asarray(patient), return_inverse=True)[1]
        codes: Integers
        codes, patients = compact(raw.astype(np.int64))
        drawn = np.concatenate(
            [value(weights[:, codes]) for weights in patient_weights(patients, seed, replicates, _BLOCK)]
        )
        limits = percentile_interval(drawn, level)
        method = "bootstrap-percentile" + ("-clustered" if patients < cases else "")
        if math.isfinite(limits[0]):
            low, high = limits
        else:
            reason = "Too many resamples have one category only; there is no interval."
    return Agreement(
        coefficient=coefficient,
        value=centre if math.isfinite(centre) else None,
        low=low,
        high=high,
        observed=observed,
        cases=cases,
        readers=readers,
        level=level,
        method=method,
        reason=reason,
    )
