"""The hold-out against the population that the protocol declares, and the endpoints reweighted to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sandbox.errors import ScoringError
from sandbox.outcome.case_mix_results import (
    AttributeShare,
    LevelShare,
    Representativeness,
    ReweightedEstimate,
)
from sandbox.plan.protocol import Protocol
from sandbox.scoring.case_mix.representativeness import (
    AttributeDifference,
    Reweighted,
    Weighting,
    compare_attribute,
    rake,
    weighted_auroc,
    weighted_rate,
)
from sandbox.scoring.cases import ScoredCases
from sandbox.scoring.strata import Levels

VERSION = 1
_METHODS = ("austin-2009", "yang-dalton-2012", "raking-deming-stephan", "kish", "weighted-linearised")


def compare_with_population(
    cases: ScoredCases,
    levels: Sequence[Levels],
    cutoffs: Sequence[tuple[str, float]],
    protocol: Protocol,
) -> Representativeness | None:
    """Compare with the declared population; None where the protocol declares none.

    Args:
        cases: those that entered the analysis.
        levels: their levels in each stratum.
        cutoffs: name and lowest positive score of each operating point.
        protocol: declares the population and the level of intervals.
    """
    population = protocol.population
    if population is None:
        return None
    level = protocol.intervals.level
    known = {each.name: each for each in levels}
    used = [known[name] for name in population]
    weighting: Weighting | None = None
    reason = None if cases.n else "No case entered this analysis."
    if cases.n:
        try:
            weighting = rake(used, population)
        except ScoringError as error:
            reason = f"Not reweighted: {error}."
    return Representativeness(
        cases=cases.n,
        level=level,
        attributes=tuple(_shares(compare_attribute(each, population[each.name]), each) for each in used),
        effective=None if weighting is None else weighting.effective,
        largest=None if weighting is None else weighting.largest,
        converged=weighting is not None and weighting.converged,
        unweighted=0 if weighting is None else int(np.count_nonzero(weighting.weights == 0)),
        lacking=() if weighting is None else weighting.lacking,
        estimates=() if weighting is None else tuple(_estimates(cases, weighting, cutoffs, level)),
        methods=_METHODS,
        version=VERSION,
        reason=reason,
    )


def _shares(found: AttributeDifference, levels: Levels) -> AttributeShare:
    counts = dict(zip(levels.names, np.bincount(levels.codes, minlength=len(levels.names)), strict=True))
    return AttributeShare(
        attribute=found.attribute,
        levels=tuple(
            LevelShare(
                level=each.level,
                cases=int(counts.get(each.level, 0)),
                holdout=each.holdout,
                population=each.population,
                standardised=each.standardised,
            )
            for each in found.levels
        ),
        distance=found.distance,
        divergence=found.divergence,
        lacking=found.lacking,
    )


def _estimates(
    cases: ScoredCases, weighting: Weighting, cutoffs: Sequence[tuple[str, float]], level: float
) -> Iterator[ReweightedEstimate]:
    weights, truth = weighting.weights, cases.reference
    yield _estimate(weighted_auroc(cases, weights, level), None)
    for point, cutoff in cutoffs:
        called = cases.score >= cutoff
        for metric, counted, success in (
            ("sensitivity", truth, called),
            ("specificity", ~truth, ~called),
            ("ppv", called, truth),
            ("npv", ~called, ~truth),
        ):
            made = weighted_rate(metric, success[counted], weights[counted], cases.patient[counted], level)
            yield _estimate(made, point)


def _estimate(made: Reweighted, point: str | None) -> ReweightedEstimate:
    return ReweightedEstimate(
        metric=made.metric,
        operating_point=point,
        crude=made.crude,
        value=made.value,
        low=made.low,
        high=made.high,
        effective=made.effective,
    )
