"""The analysis of Obuchowski and Rockette, with the degrees of freedom of Hillis.

Obuchowski and Rockette 1995 (Commun Stat Simul Comput 24:285); denominator and degrees of freedom of Hillis 2007
(Stat Med 26:596); intervals for one treatment as in Hillis, Obuchowski, Schartz and Berbaum 2005 (Stat Med
24:1579). Negative estimates: Cov2 - Cov3, and Cov2 of one treatment, count as 0 in a denominator (Hillis 2007);
the variance components are given as estimated, with a mark where they are negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Floats
from sandbox.scoring.differences import Limits
from sandbox.scoring.mrmc.covariances import (
    Components,
    CovarianceMethod,
    average_components,
    covariance_matrix,
)
from sandbox.scoring.mrmc.design import FactorialStudy, reader_aurocs

Generalises = Literal["readers_and_cases", "cases", "readers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSquares:
    """Mean squares of the readers' figures of merit: treatment, reader, treatment by reader."""

    treatment: float
    reader: float
    interaction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentValue:
    """Reader-averaged figure of merit of one treatment, from that treatment's data alone."""

    value: float
    error: float
    degrees: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentDifference:
    """First minus second treatment, averaged over readers."""

    first: int
    second: int
    value: float
    error: float
    degrees: float | None
    low: float
    high: float
    statistic: float | None
    p: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderStudyResult:
    """Outcome of the analysis.

    Attributes:
        generalises: to what: readers and cases, these readers' cases only, or these cases' readers only.
        statistic: F, or chi-square where readers are fixed; ``numerator`` and ``degrees`` its degrees.
        reader_variance, interaction_variance: variance components as estimated, possibly negative.
        notes: sentences on estimates that were negative and how they counted.
    """

    method: str
    generalises: Generalises
    values: tuple[tuple[float, ...], ...]
    components: Components
    mean_squares: MeanSquares
    reader_variance: float
    interaction_variance: float
    statistic: float | None
    numerator: int
    degrees: float | None
    p: float | None
    treatments: tuple[TreatmentValue, ...]
    differences: tuple[TreatmentDifference, ...]
    level: float
    notes: tuple[str, ...]


def analyse(
    study: FactorialStudy,
    *,
    covariances: CovarianceMethod = "delong",
    generalises: Generalises = "readers_and_cases",
    level: float = 0.95,
) -> ReaderStudyResult:
    """Analyse a factorial study of AUROCs.

    Raises:
        ScoringError: one reader for a claim about readers, or covariances that do not fit the design.
    """
    aurocs = reader_aurocs(study)
    matrix = covariance_matrix(study, aurocs, covariances)
    parts = average_components(matrix, study.treatments, study.readers)
    return from_components(aurocs.values, parts, generalises=generalises, level=level, method=covariances)


def mean_squares(values: Floats) -> MeanSquares:
    """Mean squares of figures of merit of shape (treatments, readers)."""
    treatments, readers = values.shape
    rows, columns, all_ = values.mean(axis=1), values.mean(axis=0), values.mean()
    residual = values - rows[:, None] - columns[None, :] + all_
    return MeanSquares(
        treatment=float(readers * ((rows - all_) ** 2).sum() / max(1, treatments - 1)),
        reader=float(treatments * ((columns - all_) ** 2).sum() / max(1, readers - 1)),
        interaction=float((residual**2).sum() / max(1, (treatments - 1) * (readers - 1))),
    )


def from_components(
    values: Floats,
    parts: Components,
    *,
    generalises: Generalises = "readers_and_cases",
    level: float = 0.95,
    method: str = "given",
) -> ReaderStudyResult:
    """Analyse figures of merit of shape (treatments, readers) with given covariance components.

    Raises:
        ScoringError: fewer than two readers, unless only cases are generalised to.
    """
    treatments, readers = values.shape
    if readers < 2 and generalises != "cases":
        raise ScoringError(
            "a claim about readers needs at least two readers; with one it is about cases alone"
        )
    squares = mean_squares(values)
    excess = max(parts.cov2 - parts.cov3, 0.0)
    interaction_degrees = (treatments - 1) * (readers - 1)
    degrees: float | None
    if generalises == "readers_and_cases":
        denominator = squares.interaction + readers * excess
        degrees = (
            denominator**2 / (squares.interaction**2 / interaction_degrees) if interaction_degrees else None
        )
        if squares.interaction == 0:
            degrees = math.inf
    elif generalises == "cases":
        denominator, degrees = parts.error - parts.cov1 + (readers - 1) * excess, math.inf
    else:
        denominator, degrees = squares.interaction, float(interaction_degrees)
    statistic, p = _global_test(squares.treatment, denominator, treatments - 1, degrees)
    return ReaderStudyResult(
        method=f"obuchowski-rockette-{method}",
        generalises=generalises,
        values=tuple(tuple(row) for row in values.tolist()),
        components=parts,
        mean_squares=squares,
        reader_variance=(squares.reader - squares.interaction) / treatments - parts.cov1 + parts.cov3,
        interaction_variance=squares.interaction - parts.error + parts.cov1 + excess,
        statistic=statistic,
        numerator=treatments - 1,
        degrees=_finite(degrees),
        p=p,
        treatments=tuple(_treatment(values[i], parts, i, generalises, level) for i in range(treatments)),
        differences=tuple(
            difference(values, i, j, denominator, degrees, level)
            for i in range(treatments)
            for j in range(i + 1, treatments)
        ),
        level=level,
        notes=_notes(parts, squares),
    )


def _global_test(
    treatment: float, denominator: float, numerator: int, degrees: float | None
) -> tuple[float | None, float | None]:
    if denominator <= 0 or numerator < 1 or degrees is None:
        return None, None
    if math.isinf(degrees):
        statistic = treatment / denominator * numerator
        return statistic, float(stats.chi2.sf(statistic, numerator))
    statistic = treatment / denominator
    return statistic, float(stats.f.sf(statistic, numerator, degrees))


def difference(
    values: Floats, first: int, second: int, denominator: float, degrees: float | None, level: float
) -> TreatmentDifference:
    """Difference of two treatments averaged over readers, by t.

    Args:
        values: shape (treatments, readers).
        first, second: the treatments.
        denominator: of the test of equal treatments.
        degrees: its degrees of freedom; None: infinite.
        level: two-sided level.
    """
    value = float(values[first].mean() - values[second].mean())
    error = math.sqrt(max(0.0, 2 / values.shape[1] * denominator))
    df = math.inf if degrees is None else degrees
    low, high = t_limits(value, error, df, level)
    statistic = value / error if error > 0 else None
    return TreatmentDifference(
        first=first,
        second=second,
        value=value,
        error=error,
        degrees=_finite(df),
        low=low,
        high=high,
        statistic=statistic,
        p=None if statistic is None else float(2 * stats.t.sf(abs(statistic), df)),
    )


def _treatment(
    values: Floats, parts: Components, index: int, generalises: Generalises, level: float
) -> TreatmentValue:
    readers = values.size
    square = float(values.var(ddof=1)) if readers > 1 else 0.0
    error_variance = parts.error_by_treatment[index] if parts.error_by_treatment else parts.error
    cov2 = parts.cov2_by_treatment[index] if parts.cov2_by_treatment else parts.cov2
    degrees = math.inf
    if generalises == "readers_and_cases":
        variance, degrees = single_treatment(square, cov2, readers)
    elif generalises == "cases":
        variance = (error_variance + (readers - 1) * max(cov2, 0.0)) / readers
    else:
        variance, degrees = square / readers, readers - 1.0
    value = float(values.mean())
    low, high = t_limits(value, math.sqrt(max(0.0, variance)), degrees, level)
    return TreatmentValue(
        value=value,
        error=math.sqrt(max(0.0, variance)),
        degrees=_finite(degrees),
        low=max(0.0, low),
        high=min(1.0, high),
    )


def single_treatment(square: float, cov2: float, readers: int) -> tuple[float, float]:
    """Variance of a mean over random readers and cases, and its degrees of freedom (Hillis 2007).

    Args:
        square: variance between the readers' values (mean square of readers).
        cov2: covariance of two readers' values over samples of cases.
        readers: how many.
    """
    whole = square + readers * max(cov2, 0.0)
    degrees = whole**2 / (square**2 / (readers - 1)) if square > 0 else math.inf
    return whole / readers, degrees


def t_limits(value: float, error: float, degrees: float, level: float) -> Limits:
    """Limits of a value with a t-distributed pivot; infinite degrees are the normal's."""
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    return value - half, value + half


def _notes(parts: Components, squares: MeanSquares) -> tuple[str, ...]:
    notes = []
    if parts.cov2 < parts.cov3:
        notes.append("Cov2 is below Cov3; their difference counts as 0 in the denominator (Hillis 2007).")
    if squares.interaction - parts.error + parts.cov1 + max(parts.cov2 - parts.cov3, 0.0) < 0:
        notes.append("The treatment-by-reader variance is estimated below 0; the test does not rest on it.")
    return tuple(notes)


def _finite(degrees: float | None) -> float | None:
    return degrees if degrees is not None and math.isfinite(degrees) else None
