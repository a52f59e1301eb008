"""How a hold-out's cases compare with the population that an algorithm is meant for, and results reweighted to it.

Standardised differences: of one share as Austin 2009 (Stat Med 28:3083), of a whole attribute as Yang and Dalton
2012; Jensen-Shannon divergence in bits. Weights: raking to the declared shares of several attributes (Deming and
Stephan 1940). Effective sample size after Kish 1965. A level of the population that the hold-out lacks cannot be
weighted in, and is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, Floats, Integers, ScoredCases, compact, tie_groups
from sandbox.scoring.estimates import logit_interval
from sandbox.scoring.proportions import wilson
from sandbox.scoring.roc import pair_variance
from sandbox.scoring.strata import Levels

LARGE = 0.1
"""A standardised difference beyond this is usually called imbalance (Austin 2009)."""
_ROUNDS, _CLOSE = 500, 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDifference:
    """Share of one level in the hold-out and in the population; ``standardised`` is None at 0 or 1 in both."""

    level: str
    holdout: float
    population: float
    standardised: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeDifference:
    """One attribute compared with the population.

    Attributes:
        distance: standardised difference of all levels together.
        divergence: Jensen-Shannon, in bits: 0 equal, 1 nothing shared.
        lacking: share of the population at levels without a case.
    """

    attribute: str
    levels: tuple[LevelDifference, ...]
    distance: float
    divergence: float
    lacking: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """Weights that give the hold-out the population's mix.

    Attributes:
        weights: one for each case, mean 1.
        effective: cases that the weighted ones are worth.
        largest: the largest weight.
        converged: whether every declared share is met.
        lacking: levels of the population that no case has, as ``attribute=level``.
    """

    weights: Floats
    effective: float
    largest: float
    converged: bool
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reweighted:
    """A value over the hold-out's own mix beside the population's; None when it cannot be estimated."""

    metric: str
    crude: float | None
    value: float | None
    low: float | None
    high: float | None
    effective: float


def compare_attribute(levels: Levels, population: Mapping[str, float]) -> AttributeDifference:
    """Compare one attribute's levels with declared shares.

    Raises:
        ScoringError: shares below 0 or that do not add up to 1.
    """
    _check(levels.name, population)
    names = tuple(dict.fromkeys((*levels.names, *population)))
    counts = dict(zip(levels.names, np.bincount(levels.codes, minlength=len(levels.names)), strict=True))
    p = np.array([counts.get(name, 0) for name in names]) / max(1, levels.codes.size)
    q = np.array([population.get(name, 0.0) for name in names])
    spread = (p * (1 - p) + q * (1 - q)) / 2
    return AttributeDifference(
        attribute=levels.name,
        levels=tuple(
            LevelDifference(
                level=name,
                holdout=float(p[i]),
                population=float(q[i]),
                standardised=float((p[i] - q[i]) / math.sqrt(spread[i])) if spread[i] > 0 else None,
            )
            for i, name in enumerate(names)
        ),
        distance=_distance(p, q),
        divergence=_divergence(p, q),
        lacking=float(q[p == 0].sum()),
    )


def rake(attributes: Sequence[Levels], population: Mapping[str, Mapping[str, float]]) -> Weighting:
    """Weights whose shares of each declared attribute are the population's.

    Args:
        attributes: levels of each declared attribute over the same cases.
        population: shares by attribute and level.

    Raises:
        ScoringError: no attribute, or shares that do not add up to 1.
    """
    used = [levels for levels in attributes if levels.name in population]
    if not used:
        raise ScoringError("no attribute of the declared population is in the hold-out")
    weights = np.ones(used[0].codes.size)
    lacking, targets = [], []
    for levels in used:
        shares = population[levels.name]
        _check(levels.name, shares)
        lacking += [
            f"{levels.name}={name}" for name in shares if name not in levels.names and shares[name] > 0
        ]
        target = np.array([shares.get(name, 0.0) for name in levels.names])
        if target.sum() <= 0:
            raise ScoringError(f"no level of {levels.name} occurs both in the hold-out and in the population")
        targets.append(target / target.sum())
    worst = 1.0
    for _ in range(_ROUNDS):
        worst = 0.0
        for levels, target in zip(used, targets, strict=True):
            total = np.bincount(levels.codes, weights=weights, minlength=target.size)
            have = total / total.sum()
            worst = max(worst, float(np.abs(have - target).max()))
            weights = (
                weights * np.divide(target, have, out=np.zeros_like(target), where=have > 0)[levels.codes]
            )
        if worst < _CLOSE or weights.sum() <= 0:
            break
    if weights.sum() <= 0:
        raise ScoringError("no case has a combination of levels that the declared population allows")
    weights = weights / weights.mean()
    return Weighting(
        weights=weights,
        effective=effective_sample_size(weights),
        largest=float(weights.max()),
        converged=worst < 1e-6 and not lacking,
        lacking=tuple(lacking),
    )


def effective_sample_size(weights: Floats) -> float:
    """Kish: the square of the sum over the sum of squares."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def weighted_rate(
    metric: str, success: Bools, weights: Floats, patient: Integers, level: float = 0.95
) -> Reweighted:
    """A weighted share of cases, Wilson limits at its effective size (weights and patients together).

    Args:
        metric: its name.
        success: outcome of each case of the denominator.
        weights: weight of each.
        patient: patient of each.
        level: two-sided level.
    """
    if success.size == 0 or weights.sum() <= 0:
        return Reweighted(metric=metric, crude=None, value=None, low=None, high=None, effective=0.0)
    value = float(weights @ success / weights.sum())
    codes, patients = compact(patient)
    sums = np.bincount(codes, weights=weights * (success - value), minlength=patients) / weights.sum()
    variance = float(sums @ sums) * patients / max(1, patients - 1)
    size = effective_sample_size(np.bincount(codes, weights=weights, minlength=patients).astype(np.float64))
    if variance > 1e-15:
        correction = float(
            stats.t.ppf((1 + level) / 2, success.size - 1) / stats.t.ppf((1 + level) / 2, patients - 1)
        )
        size = min(success.size, value * (1 - value) / variance * correction**2)
    low, high = wilson(value * size, size, level)
    crude = float(success.mean())
    return Reweighted(
        metric=metric, crude=crude, value=value, low=float(low), high=float(high), effective=float(size)
    )


def weighted_auroc(cases: ScoredCases, weights: Floats, level: float = 0.95) -> Reweighted:
    """AUROC in which each case counts by its weight; variance by patient, weights taken as given.

    Args:
        cases: in order of rising score.
        weights: weight of each case, in the same order.
        level: two-sided level.
    """
    positive = cases.reference
    over, under = weights[positive], weights[~positive]
    effective = effective_sample_size(weights) if weights.sum() > 0 else 0.0
    if over.sum() <= 0 or under.sum() <= 0:
        return Reweighted(metric="auroc", crude=None, value=None, low=None, high=None, effective=effective)
    plain, _ = _weighted_shares(cases, np.ones(cases.n))
    wins, losses = _weighted_shares(cases, weights)
    value = float(over @ wins / over.sum())
    variance = pair_variance(
        over * (wins - value) / over.sum(),
        under * (losses - value) / under.sum(),
        cases.patient[positive],
        cases.patient[~positive],
    )
    low = high = None
    if variance is not None and variance > 0 and 0 < value < 1:
        low, high = logit_interval(value, math.sqrt(variance), level)
    return Reweighted(
        metric="auroc", crude=float(plain.mean()), value=value, low=low, high=high, effective=effective
    )


def _weighted_shares(cases: ScoredCases, weights: Floats) -> tuple[Floats, Floats]:
    groups, distinct = tie_groups(cases.score)
    positive = cases.reference
    at_negative = np.bincount(groups[~positive], weights=weights[~positive], minlength=distinct)
    at_positive = np.bincount(groups[positive], weights=weights[positive], minlength=distinct)
    below = (np.cumsum(at_negative) - at_negative / 2) / at_negative.sum()
    above = (at_positive.sum() - np.cumsum(at_positive) + at_positive / 2) / at_positive.sum()
    return below[groups[positive]], above[groups[~positive]]


def _check(attribute: str, shares: Mapping[str, float]) -> None:
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6) or min(shares.values(), default=-1.0) < 0:
        raise ScoringError(f"the population's shares of {attribute} must be 0 or more and add up to 1")


def _distance(p: Floats, q: Floats) -> float:
    """Mahalanobis distance of two multinomials over all levels but the last (Yang and Dalton 2012)."""
    if p.size < 2:
        return 0.0
    a, b = p[:-1], q[:-1]
    spread = (np.diag(a) - np.outer(a, a) + np.diag(b) - np.outer(b, b)) / 2
    return math.sqrt(max(0.0, float((a - b) @ np.linalg.pinv(spread) @ (a - b))))


def _divergence(p: Floats, q: Floats) -> float:
    middle = (p + q) / 2

    def part(x: Floats) -> float:
        some = x > 0
        return float((x[some] * np.log2(x[some] / middle[some])).sum())

    return max(0.0, (part(p) + part(q)) / 2)
