"""Many comparisons at once: Holm's steps, and the largest of correlated statistics (max-T).

Holm 1979 (Scand J Stat 6:65) needs no assumption. Max-T (Westfall and Young 1993) knows which statistics go
together because they share patients: of overlapping strata it gives away less. Each resample is a multinomial
weight for every patient, put on the patients' contributions to each statistic (a weighted bootstrap of
influences, after Barbe and Bertail 1995), so no statistic is computed twice and no weight is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.scoring.bootstrap import BLOCK_BYTES, Seed, patient_weights
from sandbox.scoring.cases import Floats

MULTINOMIAL, NORMAL, RESAMPLED = "max-t-multinomial", "max-t-normal", "max-t-resampled"
_PART = 4096
MAXIMUM_PATIENTS = 20_000
"""Beyond this the sums are normal by their number, and drawn as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the statistics of one family vary together: contributions by patient, or only their covariance, or resamples.

    ``columns`` has shape (patients, statistics), each column centred and of unit length; ``covariance`` is
    kept in its place for very many patients. ``resampled`` are the statistics themselves, shape (replicates,
    statistics), centred and of unit variance. ``silent`` marks statistics without any variation, which are
    drawn on their own.
    """

    columns: Floats | None
    covariance: Floats | None
    silent: np.ndarray
    seed: Seed
    resampled: Floats | None = None

    @property
    def method(self) -> str:
        """How the family is drawn."""
        if self.resampled is not None:
            return RESAMPLED
        return MULTINOMIAL if self.columns is not None else NORMAL


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values of Holm, in the order given."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    adjusted, reached = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        reached = max(reached, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = reached
    return adjusted


def spread_of(contributions: Floats, seed: Seed, *, by_resample: bool = False) -> Spread:
    """Prepare the statistics of one family.

    Args:
        contributions: shape (patients, statistics): what each patient adds to each statistic, in any unit.
        seed: names the stream of the family's own draws.
        by_resample: rows are resamples of the patients in place of patients.
    """
    mean = contributions.mean(axis=0)
    largest = np.maximum(contributions.max(axis=0, initial=0.0), -contributions.min(axis=0, initial=0.0))
    if contributions.shape[0] > MAXIMUM_PATIENTS and not by_resample:
        # A part at a time stays in the processor's cache; whole centred copies made the time outgrow the size.
        product = np.zeros((mean.size, mean.size))
        for start in range(0, contributions.shape[0], _PART):
            part = contributions[start : start + _PART] - mean
            product += part.T @ part
        length = np.sqrt(np.diag(product))
        silent = length <= 1e-12 * np.maximum(1e-300, largest)
        scale = np.divide(1.0, length, out=np.zeros_like(length), where=~silent)
        return Spread(columns=None, covariance=product * np.outer(scale, scale), silent=silent, seed=seed)
    columns = contributions - mean
    length = np.sqrt((columns**2).sum(axis=0))
    # What is left of equal contributions after centring is rounding, not variation.
    silent = length <= 1e-12 * np.maximum(1e-300, largest)
    columns = np.divide(columns, length, out=np.zeros_like(columns), where=~silent)
    if by_resample:
        unit = columns * np.sqrt(columns.shape[0])
        return Spread(columns=None, covariance=None, silent=silent, seed=seed, resampled=unit)
    return Spread(columns=columns, covariance=None, silent=silent, seed=seed)


def largest_statistics(spreads: Sequence[Spread], weights: Seed, replicates: int) -> list[Floats]:
    """Draw the largest absolute statistic of each family when nothing differs.

    Args:
        spreads: the families; those kept by patient share their weights.
        weights: names the stream of the patients' weights.
        replicates: number of resamples.

    Returns:
        One array of length ``replicates`` for each family.
    """
    by_patient = [spread.columns for spread in spreads if spread.columns is not None]
    drawn = iter(_families(by_patient, weights, replicates))
    found = []
    for spread in spreads:
        generator = spread.seed.generator()
        if spread.columns is not None:
            values = next(drawn)
        elif spread.resampled is not None:
            values = spread.resampled.copy()
        else:
            assert spread.covariance is not None
            values = draw_normal(spread.covariance, generator, replicates)
        alone = generator.standard_normal((replicates, int(np.count_nonzero(spread.silent))))
        values[:, spread.silent] = alone
        # The last digits of a matrix product differ between machines; a count of resamples must not.
        found.append(np.round(np.abs(values).max(axis=1), 9))
    return found


def _families(columns: Sequence[Floats], weights: Seed, replicates: int) -> list[Floats]:
    if not columns:
        return []
    together = np.hstack(columns)
    patients = together.shape[0]
    step = max(1, BLOCK_BYTES // (24 * patients))
    # The columns add up to 0, so that weights need not be taken less 1.
    blocks = [drawn @ together for drawn in patient_weights(patients, weights, replicates, step)]
    ends = np.cumsum([part.shape[1] for part in columns])[:-1]
    return list(np.split(np.concatenate(blocks), ends, axis=1))


def draw_normal(covariance: Floats, generator: np.random.Generator, replicates: int) -> Floats:
    """Centred normal draws, shape (replicates, dimensions).

    Through the symmetric square root, which is unique: other factors depend on the library that made them.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    drawn: Floats = generator.standard_normal((replicates, covariance.shape[0])) @ root
    return drawn


def family_p(statistics: Sequence[float], largest: Floats) -> list[float]:
    """Adjusted p of each statistic, (1 + k) / (1 + B): never 0."""
    ordered = np.sort(largest)
    reached = ordered.size - np.searchsorted(ordered, np.round(np.abs(np.asarray(statistics)), 9), "left")
    return [float((1 + k) / (1 + ordered.size)) for k in reached]
