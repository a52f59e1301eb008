"""Whether the label goes with an attribute, and the AUROC left where the attribute is held fixed.

A hold-out in which one hospital, one projection or one way of establishing the truth is nearly all positive
lets a submission score well by recognising the hospital. Three numbers show it: the AUROC of the attribute
alone, the pooled AUROC, and the conditional AUROC, over pairs of a positive and a negative of the same
level (Janes and Pepe 2009, Biometrika 96:371, discuss the covariate-adjusted curve; here pairs are weighted
by their number).

Variances come from the contributions of single cases, summed by patient as in :mod:`roc`; the contributions
of the difference are the differences of the contributions, so its interval allows for both being of the
same cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sandbox.outcome.results import Association, Estimate, LevelPrevalence
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Floats, ScoredCases, compact, count_patients, make_cases
from sandbox.scoring.estimates import (
    basis_of,
    estimate,
    is_clustered,
    logit_interval,
    method_name,
    quantile,
    undefined,
)
from sandbox.scoring.proportions import ProportionMethod, proportion
from sandbox.scoring.roc import FALLBACK, auroc, newcombe_5, pair_variance, win_counts
from sandbox.scoring.strata import Levels

MARGIN = 0.6
"""An attribute whose own AUROC is below this is not flagged, however sure: it cannot carry much."""
SHUFFLES = 200
CHANCE_QUANTILE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """A ratio of pair counts: wins over pairs, with the centred contribution of every case."""

    value: float
    contribution: Floats


def associate(
    cases: ScoredCases, levels: Levels, *, level: float, method: ProportionMethod, seed: Seed
) -> Association:
    """Examine one stratum attribute.

    Args:
        cases: scored cases.
        levels: level of each of them, in the same order.
        level: two-sided confidence level.
        method: interval of the prevalences.
        seed: names the random stream of the shuffles.
    """
    slices = levels.slices()
    alone = _attribute_cases(cases, levels)
    attribute_auroc = auroc(alone, level, "attribute_auroc")
    chance = _chance(cases, levels, seed) if attribute_auroc.value is not None else None
    pooled = auroc(cases, level, "auroc")
    conditional, drop, within = _conditional(cases, slices, level, pooled)
    pairs = cases.positives * cases.negatives
    flagged = (
        attribute_auroc.value is not None
        and chance is not None
        and attribute_auroc.value > chance
        and attribute_auroc.value >= MARGIN
    )
    drop_shown = drop.low is not None and drop.low > 0
    return Association(
        attribute=levels.name,
        levels=tuple(
            _prevalence(cases.where(chosen), name, level, method)
            for name, chosen in zip(levels.names, slices, strict=True)
        ),
        attribute_auroc=attribute_auroc,
        chance=chance,
        pooled=pooled,
        conditional=conditional,
        drop=drop,
        between_pairs=1 - within / pairs if pairs else None,
        flagged=flagged,
        drop_shown=drop_shown,
        sentence=_sentence(levels.name, attribute_auroc, pooled, conditional, flagged, drop_shown),
    )


def _prevalence(cases: ScoredCases, name: str, level: float, method: ProportionMethod) -> LevelPrevalence:
    found = proportion(
        "prevalence",
        cases.reference,
        cases.patient,
        positives=cases.positives,
        level=level,
        method=method,
        empty="There is no case.",
    )
    return LevelPrevalence(
        level=name, n=cases.n, positives=cases.positives, patients=found.patients, prevalence=found
    )


def _attribute_cases(cases: ScoredCases, levels: Levels) -> ScoredCases:
    """Build the same cases scored by nothing but the prevalence of their level."""
    size = len(levels.names)
    n = np.bincount(levels.codes, minlength=size)
    prevalence = np.bincount(levels.codes[cases.reference], minlength=size) / n
    return make_cases(cases.reference, prevalence[levels.codes], cases.patient)


def _chance(cases: ScoredCases, levels: Levels, seed: Seed) -> float:
    """95th percentile of the attribute's AUROC when the attribute is shuffled among patients."""
    size, generator = len(levels.names), seed.generator()
    at = np.bincount(levels.codes, minlength=size)
    if not is_clustered(cases.patient):
        positive = generator.multivariate_hypergeometric(
            at, cases.positives, size=SHUFFLES, method="marginals"
        )
    else:
        # Shuffling whole patients keeps what their cases share; single cases would look too independent.
        codes, patients = compact(cases.patient)
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(patients + 1))
        labels, attribute = cases.reference[order], levels.codes[order]
        positive = np.empty((SHUFFLES, size), dtype=np.int64)
        for index in range(SHUFFLES):
            shuffled = generator.permutation(patients)
            lengths = np.diff(starts)[shuffled]
            shift = np.repeat(starts[:-1][shuffled] - (np.cumsum(lengths) - lengths), lengths)
            moved = attribute[np.arange(attribute.size) + shift]
            positive[index] = np.bincount(moved[labels], minlength=size)
    return float(np.quantile(_table_aurocs(positive, at), CHANCE_QUANTILE))


def _table_aurocs(positive: np.ndarray, at: np.ndarray) -> Floats:
    """AUROC of the attribute alone for tables of positives by level, each ordered by its own prevalence."""
    order = np.argsort(positive / at, axis=1, kind="stable")
    positives = np.take_along_axis(positive, order, axis=1).astype(np.float64)
    negatives = at[order] - positives
    # Levels of equal prevalence tie exactly; the order among them does not change the sum with its halves by
    # more than the tie itself is worth, and chance needs no more.
    below = np.cumsum(negatives, axis=1) - negatives / 2
    wins = (positives * below).sum(axis=1)
    return np.asarray(wins / (positives.sum(axis=1) * negatives.sum(axis=1)), dtype=np.float64)


def _conditional(
    cases: ScoredCases, slices: list[np.ndarray], level: float, pooled: Estimate
) -> tuple[Estimate, Estimate, float]:
    """Conditional AUROC, its drop from the pooled, and the number of pairs within levels."""
    basis = basis_of(cases, level)
    clustered = basis.patients < cases.n
    name, drop_name = method_name("pairs-logit", clustered), method_name("pairs-difference", clustered)
    wins, pairs = np.zeros(cases.n), np.zeros(cases.n)
    for chosen in slices:
        part = cases.where(chosen)
        won_positive, won_negative = win_counts(part)
        wins[chosen[part.reference]], wins[chosen[~part.reference]] = won_positive, won_negative
        pairs[chosen[part.reference]], pairs[chosen[~part.reference]] = part.negatives, part.positives
    within = float(pairs[cases.reference].sum())
    if within == 0:
        reason = "No level holds both a positive and a negative case: nothing can be compared within levels."
        return (
            undefined("conditional_auroc", basis, name, reason),
            undefined("auroc_drop", basis, drop_name, reason),
            within,
        )
    inside = _ratio(wins, pairs, cases)
    whole_wins = np.empty(cases.n)
    whole_wins[cases.reference], whole_wins[~cases.reference] = win_counts(cases)
    whole = _ratio(whole_wins, np.where(cases.reference, cases.negatives, cases.positives), cases)
    conditional = _estimate_conditional(cases, inside, pairs > 0, level, name)
    variance = _variance(whole.contribution - inside.contribution, cases, np.ones(cases.n, dtype=bool))
    difference = whole.value - inside.value
    if variance is None:
        reason = "Positives or negatives come from one patient: no interval."
        drop = estimate("auroc_drop", difference, None, basis, drop_name, reason=reason)
    else:
        half = quantile(level) * math.sqrt(max(0.0, variance))
        interval = (max(-1.0, difference - half), min(1.0, difference + half))
        drop = estimate("auroc_drop", difference, interval, basis, drop_name)
    return conditional, drop, within


def _ratio(wins: Floats, pairs: Floats, cases: ScoredCases) -> _Pairs:
    """Wins over pairs; a case contributes its wins beyond what its pairs would give on average."""
    total = float(pairs[cases.reference].sum())
    value = float(wins[cases.reference].sum()) / total
    return _Pairs(value=value, contribution=(wins - value * pairs) / total)


def _variance(contribution: Floats, cases: ScoredCases, concerned: np.ndarray) -> float | None:
    positive, negative = cases.reference & concerned, ~cases.reference & concerned
    return pair_variance(
        contribution[positive], contribution[negative], cases.patient[positive], cases.patient[negative]
    )


def _estimate_conditional(
    cases: ScoredCases, pairs: _Pairs, concerned: np.ndarray, level: float, name: str
) -> Estimate:
    basis = basis_of(cases.where(concerned), level)
    variance = _variance(pairs.contribution, cases, concerned)
    if variance is None or variance <= 0 or not 0 < pairs.value < 1:
        positives = count_patients(cases.patient[cases.reference & concerned])
        negatives = count_patients(cases.patient[~cases.reference & concerned])
        interval = newcombe_5(pairs.value, positives, negatives, level)
        clustered = basis.patients < basis.n
        return estimate("conditional_auroc", pairs.value, interval, basis, method_name(FALLBACK, clustered))
    interval = logit_interval(pairs.value, math.sqrt(variance), level)
    return estimate("conditional_auroc", pairs.value, interval, basis, name)


def _sentence(
    name: str, alone: Estimate, pooled: Estimate, conditional: Estimate, flagged: bool, drop_shown: bool
) -> str:
    if alone.value is None or pooled.value is None:
        return f"{name}: there is no positive or no negative case; nothing can be said."
    tells = f"{name} alone tells the reference standard with an AUROC of {alone.value:.2f}"
    if conditional.value is None:
        return f"{tells}; no level holds both positive and negative cases, so the two cannot be told apart."
    within = f"the AUROC is {pooled.value:.2f} over all cases and {conditional.value:.2f} within its levels"
    if flagged and drop_shown:
        return f"{tells}; {within}: part of the performance is lost where the attribute is held fixed."
    if flagged:
        return f"{tells}; {within}: whether performance leans on the attribute cannot be told here."
    if drop_shown:
        return f"{tells}, which is little or what chance gives; yet {within}."
    return f"{tells}, which is little or what chance gives; {within}."
