"""Area under a part of the ROC curve, plain and corrected after McClish.

McClish 1989 (Med Decis Making 9:190): the corrected area is (1 + (area - least) / (most - least)) / 2, with the area
under the chance line over the range as the least and the range itself as the most, so that 0.5 is chance and 1 is
best. The range is of false-positive rates, or of sensitivities (the area then lies to the right of the curve). Ties
are joined by straight lines, as the AUROC counts them half. Interval: percentiles of resamples of whole patients.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sandbox.outcome.results import Estimate
from sandbox.plan.analysis_section import PartialRange
from sandbox.scoring.bootstrap import Seed, percentile_interval, replicate_counts
from sandbox.scoring.cases import Floats, ScoredCases, tie_groups
from sandbox.scoring.estimates import basis_of, estimate, undefined

METHOD = "bootstrap-percentile-patients"


def area_up_to(x: Floats, y: Floats, limit: float) -> Floats:
    """Area under polygons from abscissa 0 to ``limit``.

    Args:
        x, y: corners along the last axis, neither of them falling; a step straight up has no width.
        limit: between 0 and 1.
    """
    width, rise = np.diff(x, axis=-1), np.diff(y, axis=-1)
    taken = np.clip(limit - x[..., :-1], 0.0, width)
    share = np.divide(taken, width, out=np.zeros_like(taken), where=width > 0)
    return np.asarray((taken * (y[..., :-1] + share * rise / 2)).sum(axis=-1), dtype=np.float64)


def corrected(area: float, low: float, high: float) -> float:
    """McClish's correction: 0.5 is chance, 1 is best."""
    least, most = (high**2 - low**2) / 2, high - low
    return (1 + (area - least) / (most - least)) / 2


def partial_auroc(
    cases: ScoredCases, part: PartialRange, level: float, seed: Seed, replicates: int
) -> tuple[Estimate, Estimate]:
    """Plain and corrected partial AUROC of one declared range, named by it."""
    basis = basis_of(cases, level)
    names = ("partial_auroc", "partial_auroc_corrected")
    if cases.positives == 0 or cases.negatives == 0 or basis.patients < 2:
        reason = "It needs a positive and a negative case of two patients."
        plain, best = (undefined(name, basis, METHOD, reason) for name in names)
        return _named(plain, best, part=part)
    groups, distinct = tie_groups(cases.score)
    column = groups + distinct * cases.reference
    whole = np.bincount(column, minlength=2 * distinct).astype(np.float64)
    value = float(_area(whole, distinct, part))
    drawn = np.concatenate(
        [
            _area(block, distinct, part)
            for block in replicate_counts(cases.patient, column, 2 * distinct, seed, replicates)
        ]
    )
    low, high = percentile_interval(drawn, level)
    few = None if np.isfinite(low) else "Too many resamples lack positives or negatives."
    plain = estimate(names[0], value, (low, high), basis, METHOD, reason=few)
    ends = (part.low, part.high) if part.axis == "false_positive_rate" else (1 - part.high, 1 - part.low)
    limits = tuple(corrected(each, *ends) for each in (value, low, high))
    best = estimate(names[1], limits[0], (limits[1], limits[2]), basis, METHOD, reason=few)
    return _named(plain, best, part=part)


def _area(counts: Floats, distinct: int, part: PartialRange) -> Floats:
    """Partial area of counts by rising distinct score, negatives then positives; NaN without both."""
    negative, positive = counts[..., :distinct], counts[..., distinct:]
    with np.errstate(invalid="ignore"):
        rate, hits = (_from_zero(each) for each in (negative, positive))
        if part.axis == "false_positive_rate":
            return area_up_to(rate, hits, part.high) - area_up_to(rate, hits, part.low)
        # Seen from the other axis the curve is that of specificity against the missed share.
        missed, specificity = 1 - hits[..., ::-1], 1 - rate[..., ::-1]
        return area_up_to(missed, specificity, 1 - part.low) - area_up_to(missed, specificity, 1 - part.high)


def _from_zero(counts: Floats) -> Floats:
    """Share of cases at or above each score, from none to all; NaN where there is no case."""
    tail = np.cumsum(counts[..., ::-1], axis=-1)
    share = tail / tail[..., -1:]
    return np.concatenate((np.zeros((*share.shape[:-1], 1)), share), axis=-1)


def _named(plain: Estimate, best: Estimate, *, part: PartialRange) -> tuple[Estimate, Estimate]:
    return replace(plain, subject=part.name), replace(best, subject=part.name)
