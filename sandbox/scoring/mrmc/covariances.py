"""Covariances between the AUROCs of readers who saw the same cases.

Three estimators: DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44:837; sums by patient as in Obuchowski
1997, Biometrics 53:567, when patients have several cases); the delete-one jackknife; and the unbiased
one of the U-statistic (Gallas 2006, Acad Radiol 13:353). They are averaged into the four components of
Obuchowski and Rockette 1995 (Commun Stat Simul Comput 24:285).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Floats
from sandbox.scoring.mrmc.design import FactorialStudy, ReaderAurocs

CovarianceMethod = Literal["delong", "jackknife", "unbiased"]
_BLOCK = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Error variance and covariances of Obuchowski and Rockette.

    Attributes:
        error: variance of one reader's AUROC over samples of cases.
        cov1: same reader, different treatments.
        cov2: different readers, same treatment.
        cov3: different readers, different treatments.
        error_by_treatment, cov2_by_treatment: the same within each treatment.
    """

    error: float
    cov1: float
    cov2: float
    cov3: float
    error_by_treatment: tuple[float, ...] = ()
    cov2_by_treatment: tuple[float, ...] = ()


def covariance_matrix(study: FactorialStudy, aurocs: ReaderAurocs, method: CovarianceMethod) -> Floats:
    """Covariance matrix of the AUROCs, treatments outer and readers inner.

    Raises:
        ScoringError: jackknife or unbiased asked for although patients have several cases.
    """
    if method == "delong":
        return _delong(study, aurocs)
    if study.clustered:
        raise ScoringError(
            f"the {method} covariances take cases as independent, but patients have several; use delong"
        )
    return jackknife(aurocs) if method == "jackknife" else _unbiased(study)


def average_components(matrix: Floats, treatments: int, readers: int) -> Components:
    """Average a covariance matrix into the components; those without any pair are 0."""
    blocks = matrix.reshape(treatments, readers, treatments, readers)
    same_treatment = np.eye(treatments, dtype=bool)[:, None, :, None]
    same_reader = np.eye(readers, dtype=bool)[None, :, None, :]

    def mean(chosen: object) -> float:
        picked = blocks[np.broadcast_to(np.asarray(chosen), blocks.shape)]
        return float(picked.mean()) if picked.size else 0.0

    within = [
        matrix[i * readers : (i + 1) * readers, i * readers : (i + 1) * readers] for i in range(treatments)
    ]
    off = ~np.eye(readers, dtype=bool)
    return Components(
        error=mean(same_treatment & same_reader),
        cov1=mean(~same_treatment & same_reader),
        cov2=mean(same_treatment & ~same_reader),
        cov3=mean(~same_treatment & ~same_reader),
        error_by_treatment=tuple(float(np.diag(part).mean()) for part in within),
        cov2_by_treatment=tuple(float(part[off].mean()) if readers > 1 else 0.0 for part in within),
    )


def leave_one_out(aurocs: ReaderAurocs) -> Floats:
    """AUROC without each case in turn, shape (treatments * readers, cases); positives first.

    Leaving out one positive removes its share of wins and nothing else, so no AUROC is computed again.
    """
    value = aurocs.values.reshape(-1, 1)
    m, n = aurocs.positive.shape[1], aurocs.negative.shape[1]
    without_positive = (m * value - aurocs.positive) / (m - 1)
    without_negative = (n * value - aurocs.negative) / (n - 1)
    return np.concatenate((without_positive, without_negative), axis=1)


def jackknife(aurocs: ReaderAurocs) -> Floats:
    """Delete-one jackknife covariance matrix."""
    values = leave_one_out(aurocs)
    cases = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray((cases - 1) / cases * (centred @ centred.T))


def _delong(study: FactorialStudy, aurocs: ReaderAurocs) -> Floats:
    truth, codes, patients = study.reference, study.patient, study.patients
    value = aurocs.values.reshape(-1, 1)
    sums = []
    for part, who in ((aurocs.positive, codes[truth]), (aurocs.negative, codes[~truth])):
        centred = (part - value) / part.shape[1]
        total = np.stack([np.bincount(who, weights=row, minlength=patients) for row in centred])
        sums.append((total, int(np.unique(who).size)))
    (positive, with_positive), (negative, with_negative) = sums
    if min(with_positive, with_negative) < 2:
        raise ScoringError("covariances of AUROCs need positives and negatives of at least two patients each")
    matrix = with_positive / (with_positive - 1) * (positive @ positive.T)
    matrix += with_negative / (with_negative - 1) * (negative @ negative.T)
    cross = positive @ negative.T
    return np.asarray(matrix + patients / (patients - 1) * (cross + cross.T))


def kernel_sums(study: FactorialStudy) -> tuple[Floats, Floats, Floats, Floats]:
    """Sums of products of the kernels of every two rows (treatment and reader).

    Returns:
        Four matrices: over the same pair of cases, over the same positive, over the same negative, over all;
        each includes the ones before it.
    """
    rows = study.scores.reshape(-1, study.reference.size)
    positive, negative = rows[:, study.reference], rows[:, ~study.reference]
    number, m, n = rows.shape[0], positive.shape[1], negative.shape[1]
    same = np.zeros((number, number))
    by_positive = np.empty((number, m))
    by_negative = np.zeros((number, n))
    step = max(1, _BLOCK // (number * n))
    for start in range(0, m, step):
        part = positive[:, start : start + step, None]
        kernel = (part > negative[:, None, :]) + 0.5 * (part == negative[:, None, :])
        flat = kernel.reshape(number, -1)
        same += flat @ flat.T
        by_positive[:, start : start + step] = kernel.sum(axis=2)
        by_negative += kernel.sum(axis=1)
    total = by_positive.sum(axis=1)
    return same, by_positive @ by_positive.T, by_negative @ by_negative.T, np.outer(total, total)


def unbiased_moments(
    sums: tuple[Floats, Floats, Floats, Floats], m: int, n: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Unbiased second moments of the kernel: same pair, same positive only, same negative only, neither."""
    same, positive, negative, everything = sums
    return (
        same / (m * n),
        (positive - same) / (m * n * (n - 1)),
        (negative - same) / (m * n * (m - 1)),
        (everything - positive - negative + same) / (m * (m - 1) * n * (n - 1)),
    )


def case_coefficients(m: int, n: int) -> tuple[float, float, float, float]:
    """How often two draws of a positive and a negative share both, the positive, the negative, neither."""
    return 1 / (m * n), (n - 1) / (m * n), (m - 1) / (m * n), (m - 1) * (n - 1) / (m * n)


def _unbiased(study: FactorialStudy) -> Floats:
    m = int(np.count_nonzero(study.reference))
    n = study.reference.size - m
    first, second, third, fourth = unbiased_moments(kernel_sums(study), m, n)
    c1, c2, c3, c4 = case_coefficients(m, n)
    return np.asarray(c1 * first + c2 * second + c3 * third + (c4 - 1) * fourth)
