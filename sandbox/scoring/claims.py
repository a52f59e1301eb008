"""Which estimates may carry a claim under the protocol's minimum, and which stratum stands lowest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sandbox.outcome.results import Estimate, OperatingPointResult, StratumResult, WorstStratum
from sandbox.plan.metric_catalogue import THRESHOLD_METRICS
from sandbox.plan.strata_section import Minimum
from sandbox.scoring.cases import ScoredCases
from sandbox.scoring.estimates import Basis, basis_of, too_few

_RANKED_METRICS = ("auroc",)
_RANKED_RATES = ("sensitivity", "specificity")


def lacking(basis: Basis, minimum: Minimum, metric: str = "auroc") -> str | None:
    """Say in a sentence what ``basis`` lacks of the protocol's minimum for ``metric``, or None."""
    needs = []
    if basis.positives is None:
        if basis.patients < minimum.patients:
            needs.append(f"{basis.patients} of at least {minimum.patients} patients")
        return f"Too few to carry a claim: {', '.join(needs)}." if needs else None
    negatives = basis.n - basis.positives
    if metric != "specificity" and basis.positives < minimum.positives:
        needs.append(f"{basis.positives} of at least {minimum.positives} positive cases")
    if metric != "sensitivity" and negatives < minimum.negatives:
        needs.append(f"{negatives} of at least {minimum.negatives} negative cases")
    if basis.patients < minimum.patients:
        needs.append(f"{basis.patients} of at least {minimum.patients} patients")
    return f"Too few to carry a claim: {', '.join(needs)}." if needs else None


def mark_claims(estimates: Iterable[Estimate], cases: ScoredCases, minimum: Minimum) -> tuple[Estimate, ...]:
    """Mark the estimates that the protocol's minimum does not let carry a claim."""
    marked = []
    whole = basis_of(cases, 0.0)
    for found in estimates:
        # Rates have denominators of their own; what precedes them here is that both kinds of case exist.
        own = replace(whole, patients=found.patients)
        lack = lacking(own, minimum, found.metric)
        least = min(minimum.positives, minimum.negatives)
        if lack is None and found.metric in THRESHOLD_METRICS and found.n < least:
            lack = f"Too few to carry a claim: {found.n} cases in the denominator."
        marked.append(too_few(found, lack) if lack else found)
    return tuple(marked)


def mark_points(
    points: Sequence[OperatingPointResult], cases: ScoredCases, minimum: Minimum
) -> tuple[OperatingPointResult, ...]:
    """Mark the estimates at each operating point as :func:`mark_claims` does."""
    return tuple(replace(point, estimates=mark_claims(point.estimates, cases, minimum)) for point in points)


def worst_strata(
    overall: Sequence[Estimate], points: Sequence[OperatingPointResult], strata: Sequence[StratumResult]
) -> tuple[WorstStratum, ...]:
    """Name the lowest level for AUROC and for each rate, among estimates that carry a claim."""
    found = []
    for metric in _RANKED_METRICS:
        candidates = [(stratum, _pick(stratum.estimates, metric)) for stratum in strata]
        found += _lowest(metric, None, candidates, _pick(overall, metric))
    for index, point in enumerate(points):
        for metric in _RANKED_RATES:
            candidates = [
                (stratum, _pick(stratum.operating_points[index].estimates, metric)) for stratum in strata
            ]
            found += _lowest(metric, point.name, candidates, _pick(point.estimates, metric))
    return tuple(found)


def _lowest(
    metric: str,
    operating_point: str | None,
    candidates: Sequence[tuple[StratumResult, Estimate]],
    overall: Estimate,
) -> list[WorstStratum]:
    able = [
        (found.value, index)
        for index, (_, found) in enumerate(candidates)
        if found.status == "ok" and found.value is not None
    ]
    if not able:
        return []
    stratum, found = candidates[min(able)[1]]
    return [
        WorstStratum(
            metric=metric,
            operating_point=operating_point,
            attribute=stratum.attribute,
            level=stratum.level,
            estimate=found,
            overall=overall,
        )
    ]


def _pick(estimates: Iterable[Estimate], metric: str) -> Estimate:
    return next(found for found in estimates if found.metric == metric)
