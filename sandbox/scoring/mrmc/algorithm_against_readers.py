"""One algorithm against a sample of readers on the same cases.

The algorithm is fixed: it is this algorithm and no sample of algorithms. Readers and cases are random. Each
reader's AUROC minus the algorithm's is a value of one treatment, whose mean over readers has the variance of
Obuchowski and Rockette with the degrees of freedom of Hillis (Hillis, Obuchowski, Schartz and Berbaum 2005, Stat
Med 24:1579; Obuchowski and Hillis 2022 for an algorithm). Taking cases as fixed instead gives p values that are
far too small; taking the algorithm as one more reader would give it a variance that it does not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.differences import Limits
from sandbox.scoring.mrmc.covariances import CovarianceMethod, covariance_matrix
from sandbox.scoring.mrmc.design import make_study, reader_aurocs
from sandbox.scoring.mrmc.obuchowski_rockette import single_treatment, t_limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderValue:
    """AUROC of one reader, and the algorithm's minus it with a paired interval over cases."""

    value: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmAgainstReaders:
    """The algorithm's AUROC minus the readers' mean.

    Attributes:
        between_readers: variance between the readers' differences.
        covariance: of two readers' differences over samples of cases; below 0 it counts as 0.
        degrees: of freedom; None when readers do not vary.
        fraction_below: share of readers whose AUROC is below the algorithm's.
    """

    algorithm: float
    readers_mean: float
    value: float
    low: float
    high: float
    error: float
    degrees: float | None
    p: float | None
    between_readers: float
    covariance: float
    readers: tuple[ReaderValue, ...]
    fraction_below: float
    cases: int
    patients: int
    level: float
    method: str
    notes: tuple[str, ...]


def compare_with_readers(
    reference: npt.ArrayLike,
    algorithm: npt.ArrayLike,
    readers: npt.ArrayLike,
    patient: npt.ArrayLike | None = None,
    *,
    covariances: CovarianceMethod = "delong",
    level: float = 0.95,
) -> AlgorithmAgainstReaders:
    """Compare an algorithm with at least two readers.

    Args:
        reference: 0/1 or booleans, one for each case.
        algorithm: its scores.
        readers: ratings of shape (readers, cases), all cases read by all.
        patient: patient of each case; None makes every case a patient of its own.
        covariances: how covariances over cases are estimated.
        level: two-sided level.

    Raises:
        ScoringError: fewer than two readers, a missing reading, columns of unequal length.
    """
    ratings = np.atleast_2d(np.asarray(readers, dtype=np.float64))
    if ratings.shape[0] < 2:
        raise ScoringError("a claim about readers needs at least two readers")
    machine = np.asarray(algorithm, dtype=np.float64)
    if machine.shape != ratings.shape[1:]:
        raise ScoringError("the algorithm and the readers must score the same cases")
    study = make_study(reference, np.concatenate((machine[None, :], ratings))[None], patient)
    aurocs = reader_aurocs(study)
    matrix = covariance_matrix(study, aurocs, covariances)
    values = aurocs.values[0]
    differences = values[0] - values[1:]
    number = differences.size
    contrast = np.concatenate((np.ones((number, 1)), -np.eye(number)), axis=1)
    spread = contrast @ matrix @ contrast.T
    off = spread[~np.eye(number, dtype=bool)]
    covariance, between = float(off.mean()), float(differences.var(ddof=1))
    variance, degrees = single_treatment(between, covariance, number)
    value, error = float(differences.mean()), math.sqrt(max(0.0, variance))
    low, high = t_limits(value, error, degrees, level)
    return AlgorithmAgainstReaders(
        algorithm=float(values[0]),
        readers_mean=float(values[1:].mean()),
        value=value,
        low=max(-1.0, low),
        high=min(1.0, high),
        error=error,
        degrees=degrees if math.isfinite(degrees) else None,
        p=float(2 * stats.t.sf(abs(value / error), degrees)) if error > 0 else None,
        between_readers=between,
        covariance=covariance,
        readers=tuple(
            _reader(float(values[1 + index]), float(differences[index]), float(spread[index, index]), level)
            for index in range(number)
        ),
        fraction_below=float((differences > 0).mean()),
        cases=study.reference.size,
        patients=study.patients,
        level=level,
        method=f"one-against-random-readers-{covariances}" + ("-clustered" if study.clustered else ""),
        notes=(
            ("The covariance of two readers' differences is estimated below 0 and counts as 0.",)
            if covariance < 0
            else ()
        ),
    )


def _reader(value: float, difference: float, variance: float, level: float) -> ReaderValue:
    limits: Limits = t_limits(difference, math.sqrt(max(0.0, variance)), math.inf, level)
    return ReaderValue(value=value, difference=difference, low=max(-1.0, limits[0]), high=min(1.0, limits[1]))
