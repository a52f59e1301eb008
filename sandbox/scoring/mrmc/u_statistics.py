"""Variance of reader-averaged AUROCs as a U-statistic over readers, positives and negatives.

Gallas 2006 (Acad Radiol 13:353) and Gallas, Bandos, Samuelson and Wagner 2009 (Commun Stat Theory Methods
38:2586): eight second moments of the kernel, for the same or different readers and shared or different cases.
The unbiased estimate can be negative; then the one with plug-in moments is given, which cannot, and said so.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Floats
from sandbox.scoring.differences import two_sided
from sandbox.scoring.estimates import quantile
from sandbox.scoring.mrmc.covariances import case_coefficients, kernel_sums, unbiased_moments
from sandbox.scoring.mrmc.design import FactorialStudy, reader_aurocs
from sandbox.scoring.mrmc.obuchowski_rockette import TreatmentDifference

PLUG_IN = "The unbiased variance is estimated at or below 0; the one with plug-in moments is given, which cannot be."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderAverage:
    """A reader-averaged AUROC, or a difference of two, with its variance over readers and cases.

    Attributes:
        unbiased: the U-statistic's estimate, which may be negative.
        variance: what the interval rests on; ``estimator`` says which estimate it is.
        p: two-sided, normal; None for one treatment.
    """

    value: float
    unbiased: float
    variance: float
    estimator: Literal["unbiased", "plug-in"]
    low: float
    high: float
    p: float | None


def reader_average(study: FactorialStudy, contrast: tuple[float, ...], level: float = 0.95) -> ReaderAverage:
    """Estimate a contrast of the treatments' reader-averaged AUROCs; readers and cases are random.

    Args:
        study: the readings; patients with one case each.
        contrast: a weight for each treatment: (1,) for one treatment, (1, -1) for a difference.
        level: two-sided level of the interval.

    Raises:
        ScoringError: one reader, clustered cases, or a contrast of another length.
    """
    if len(contrast) != study.treatments:
        raise ScoringError("the contrast needs one weight for each treatment")
    if study.readers < 2:
        raise ScoringError("a variance over readers needs at least two readers")
    if study.clustered:
        raise ScoringError(
            "U-statistics here take cases as independent, but patients have several; use delong"
        )
    m = int(np.count_nonzero(study.reference))
    n = study.reference.size - m
    weights = np.repeat(np.asarray(contrast, dtype=np.float64), study.readers)
    same, positive, negative, everything = kernel_sums(study)
    sums = (
        _by_reader(same, weights, study),
        _by_reader(positive, weights, study),
        _by_reader(negative, weights, study),
        _by_reader(everything, weights, study),
    )
    value = float(np.asarray(contrast) @ reader_aurocs(study).values.mean(axis=1))
    unbiased = _combine(unbiased_moments(sums, m, n), m, n, unbiased=True)
    plug_in = _combine(
        (sums[0] / (m * n), sums[1] / (m * n * n), sums[2] / (m * m * n), sums[3] / (m * n) ** 2),
        m,
        n,
        unbiased=False,
    )
    estimator: Literal["unbiased", "plug-in"] = "unbiased" if unbiased > 0 else "plug-in"
    variance = unbiased if unbiased > 0 else plug_in
    half = quantile(level) * math.sqrt(max(0.0, variance))
    testable = study.treatments > 1 and variance > 0
    return ReaderAverage(
        value=value,
        unbiased=unbiased,
        variance=variance,
        estimator=estimator,
        low=value - half,
        high=value + half,
        p=two_sided(value / math.sqrt(variance)) if testable else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragesCompared:
    """Every two treatments' reader-averaged AUROCs, first minus second; no degrees of freedom: the test is normal."""

    differences: tuple[TreatmentDifference, ...]
    level: float
    notes: tuple[str, ...]
    method: str = "u-statistics"


def compare_averages(study: FactorialStudy, level: float = 0.95) -> AveragesCompared:
    """Compare every two treatments.

    Raises:
        ScoringError: fewer than two treatments or readers, or clustered cases.
    """
    if study.treatments < 2:
        raise ScoringError("this analysis compares at least two treatments")
    found, notes = [], []
    for first, second in itertools.combinations(range(study.treatments), 2):
        contrast = [0.0] * study.treatments
        contrast[first], contrast[second] = 1.0, -1.0
        made = reader_average(study, tuple(contrast), level)
        error = math.sqrt(max(0.0, made.variance))
        found.append(
            TreatmentDifference(
                first=first,
                second=second,
                value=made.value,
                error=error,
                degrees=None,
                low=made.low,
                high=made.high,
                statistic=made.value / error if error > 0 else None,
                p=made.p,
            )
        )
        if made.estimator == "plug-in":
            notes = [PLUG_IN]
    return AveragesCompared(differences=tuple(found), level=level, notes=tuple(notes))


def _by_reader(part: Floats, weights: Floats, study: FactorialStudy) -> Floats:
    """Products of the contrast's kernels for every two readers."""
    weighted = part * weights[:, None] * weights[None, :]
    shape = (study.treatments, study.readers, study.treatments, study.readers)
    return np.asarray(weighted.reshape(shape).sum(axis=(0, 2)))


def _combine(moments: tuple[Floats, Floats, Floats, Floats], m: int, n: int, *, unbiased: bool) -> float:
    readers = moments[0].shape[0]
    same = [float(np.diag(part).mean()) for part in moments]
    others = ~np.eye(readers, dtype=bool)
    if unbiased:
        different = [float(part[others].mean()) for part in moments]
    else:
        different = [float(part.mean()) for part in moments]
    coefficients = case_coefficients(m, n)
    one, two = 1 / readers, (readers - 1) / readers
    total = sum(c * (one * s + two * d) for c, s, d in zip(coefficients, same, different, strict=True))
    return float(total - different[3])
