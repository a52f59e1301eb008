"""The analysis of Dorfman, Berbaum and Metz: variance components of jackknife pseudovalues.

Dorfman, Berbaum and Metz 1992 (Invest Radiol 27:723) as revised by Hillis, Berbaum and Metz 2008 (Acad Radiol
15:647): a treatment-by-case component below 0 counts as 0, and the degrees of freedom are those of Hillis 2007.
So revised it gives the test of Obuchowski and Rockette with jackknife covariances (Hillis et al. 2005, Stat Med
24:1579).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Floats
from sandbox.scoring.mrmc.covariances import leave_one_out
from sandbox.scoring.mrmc.design import FactorialStudy, reader_aurocs
from sandbox.scoring.mrmc.obuchowski_rockette import TreatmentDifference, difference


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudovalueAnalysis:
    """Mean squares of the pseudovalues and the test of equal treatments, random readers and cases.

    ``differences`` are those of every two treatments, by t with the test's denominator.
    """

    treatment: float
    treatment_reader: float
    treatment_case: float
    treatment_reader_case: float
    statistic: float | None
    numerator: int
    degrees: float | None
    p: float | None
    differences: tuple[TreatmentDifference, ...]
    level: float
    notes: tuple[str, ...]
    method: str = "dorfman-berbaum-metz"


def pseudovalues(study: FactorialStudy) -> Floats:
    """Jackknife pseudovalues of AUROC, shape (treatments, readers, cases); positives first.

    Raises:
        ScoringError: patients have several cases, which a jackknife of cases cannot allow for.
    """
    if study.clustered:
        raise ScoringError(
            "pseudovalues take cases as independent, but patients have several; use delong covariances"
        )
    aurocs = reader_aurocs(study)
    without = leave_one_out(aurocs)
    cases = without.shape[1]
    values = cases * aurocs.values.reshape(-1, 1) - (cases - 1) * without
    return np.asarray(values.reshape(study.treatments, study.readers, cases))


def analyse_pseudovalues(study: FactorialStudy, level: float = 0.95) -> PseudovalueAnalysis:
    """Test equal treatments with random readers and random cases.

    Args:
        study: the readings.
        level: two-sided level of the differences' limits.

    Raises:
        ScoringError: fewer than two treatments or readers, or clustered cases.
    """
    if study.treatments < 2 or study.readers < 2:
        raise ScoringError("this analysis compares at least two treatments over at least two readers")
    y = pseudovalues(study)
    i, j, k = y.shape
    t = y.mean(axis=(1, 2), keepdims=True)
    r = y.mean(axis=(0, 2), keepdims=True)
    c = y.mean(axis=(0, 1), keepdims=True)
    tr, tc, rc = y.mean(axis=2, keepdims=True), y.mean(axis=1, keepdims=True), y.mean(axis=0, keepdims=True)
    mean = y.mean()
    treatment = j * k * float(((t - mean) ** 2).sum()) / (i - 1)
    treatment_reader = k * float(((tr - t - r + mean) ** 2).sum()) / ((i - 1) * (j - 1))
    treatment_case = j * float(((tc - t - c + mean) ** 2).sum()) / ((i - 1) * (k - 1))
    residual = y - tr - tc - rc + t + r + c - mean
    whole = float((residual**2).sum()) / ((i - 1) * (j - 1) * (k - 1))
    excess = max(treatment_case - whole, 0.0)
    denominator = treatment_reader + excess
    statistic = degrees = p = None
    if treatment_reader > 0:
        statistic = treatment / denominator
        degrees = denominator**2 / (treatment_reader**2 / ((i - 1) * (j - 1)))
        p = float(stats.f.sf(statistic, i - 1, degrees))
    negative = treatment_case < whole and not math.isclose(treatment_case, whole)
    return PseudovalueAnalysis(
        treatment=treatment,
        treatment_reader=treatment_reader,
        treatment_case=treatment_case,
        treatment_reader_case=whole,
        statistic=statistic,
        numerator=i - 1,
        degrees=degrees,
        p=p,
        differences=tuple(
            difference(y.mean(axis=2), a, b, denominator / k, degrees, level)
            for a in range(i)
            for b in range(a + 1, i)
        ),
        level=level,
        notes=("The treatment-by-case component is estimated below 0 and counts as 0.",) if negative else (),
    )


def interaction_with_cases(study: FactorialStudy) -> float:
    """Variance component of treatment by case, as estimated (possibly negative)."""
    found = analyse_pseudovalues(study)
    return float(np.subtract(found.treatment_case, found.treatment_reader_case)) / study.readers
