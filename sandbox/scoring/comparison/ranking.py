"""Several submissions on one hold-out: ranks with their uncertainty, and who cannot be told apart.

All submissions are evaluated on the same resamples of patients, so their ranks vary together as they would on
another hold-out of this size. Ties: the best and all whose simultaneous interval of the difference from it
(max-T over all pairs, Westfall and Young 1993) includes 0 form the first group; the best of the rest opens the
next. Rank intervals after Hall and Miller 2009 (Ann Stat 37:3929): percentiles of bootstrap ranks, which are
too narrow where submissions are equal; the tie groups say what those cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.bootstrap import Seed, paired_aurocs, paired_means
from sandbox.scoring.cases import Bools, Floats
from sandbox.scoring.comparison.answers import Answers
from sandbox.scoring.ranking_components import components

RankMetric = Literal["auroc", "sensitivity", "specificity", "accuracy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """One submission's place.

    Attributes:
        rank: 1 is best; equal values share the mean of their ranks.
        low, high: percentile limits of the rank over resamples.
        first: share of resamples in which it is best, shared firsts counted in parts.
        group: number of its tie group, from 1.
    """

    name: str
    value: float
    rank: float
    low: float
    high: float
    first: float
    group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Places of all submissions on one metric, best first; ``undefined`` resamples were left out."""

    metric: RankMetric
    ranks: tuple[Rank, ...]
    critical: float | None
    replicates: int
    undefined: int
    level: float
    method: str


def rank_submissions(
    answers: Answers,
    metric: RankMetric,
    seed: Seed,
    *,
    calls: Bools | None = None,
    replicates: int = 2000,
    level: float = 0.95,
) -> Ranking:
    """Rank submissions by one metric.

    Args:
        answers: at least two submissions.
        metric: AUROC, or a rate of ``calls``.
        seed: names the random stream.
        calls: whether each submission calls each case positive, shape (submissions, cases).
        replicates: number of resamples of patients.
        level: level of rank intervals and of tie groups.

    Raises:
        ScoringError: a rate without calls, or a class that the metric needs is absent.
    """
    values, drawn = _values(answers, metric, calls, seed, replicates)
    defined = drawn[:, ~np.isnan(drawn).any(axis=0)]
    if defined.shape[1] < 0.95 * replicates:
        raise ScoringError("too few cases: the metric does not exist in most resamples of the patients")
    ranks = stats.rankdata(-defined, axis=0)
    best = ranks == ranks.min(axis=0)
    limits = np.quantile(ranks, [(1 - level) / 2, (1 + level) / 2], axis=1)
    groups, critical = _tie_groups(values, defined, level)
    own = stats.rankdata(-values)
    order = np.argsort(own, kind="stable")
    clustered = answers.patients < answers.reference.size
    return Ranking(
        metric=metric,
        ranks=tuple(
            Rank(
                name=answers.names[index],
                value=float(values[index]),
                rank=float(own[index]),
                low=float(limits[0, index]),
                high=float(limits[1, index]),
                first=float((best[index] / best.sum(axis=0)).mean()),
                group=groups[index],
            )
            for index in order
        ),
        critical=critical,
        replicates=replicates,
        undefined=replicates - defined.shape[1],
        level=level,
        method="bootstrap-ranks-max-t" + ("-clustered" if clustered else ""),
    )


def _values(
    answers: Answers, metric: RankMetric, calls: Bools | None, seed: Seed, replicates: int
) -> tuple[Floats, Floats]:
    truth = answers.reference
    if metric == "auroc":
        if truth.all() or not truth.any():
            raise ScoringError("ranking by AUROC needs a positive and a negative case")
        values = np.array([components(truth, score)[truth].mean() for score in answers.scores])
        return values, paired_aurocs(answers.reference, answers.scores, answers.patient, seed, replicates)
    if calls is None:
        raise ScoringError(f"ranking by {metric} needs an operating point")
    right = calls == truth
    counted = {"sensitivity": truth, "specificity": ~truth, "accuracy": np.ones_like(truth)}[metric]
    if not counted.any():
        raise ScoringError(f"ranking by {metric} needs a case that it counts")
    return right[:, counted].mean(axis=1), paired_means(right, counted, answers.patient, seed, replicates)


def _tie_groups(values: Floats, drawn: Floats, level: float) -> tuple[list[int], float | None]:
    """Group of each submission, and the critical value of the greatest standardised difference of a pair."""
    number = values.size
    first, second = np.triu_indices(number, 1)
    gaps = drawn[first] - drawn[second]
    observed = values[first] - values[second]
    errors = gaps.std(axis=1, ddof=1)
    varies = errors > 0
    critical = None
    if varies.any():
        scaled = np.abs(gaps[varies] - observed[varies, None]) / errors[varies, None]
        critical = float(np.quantile(scaled.max(axis=0), level))
    told = np.zeros((number, number), dtype=bool)
    if critical is not None:
        apart = varies & (np.abs(observed) > critical * errors)
        told[first, second] = told[second, first] = apart
    groups = [0] * number
    left = [int(index) for index in np.argsort(-values, kind="stable")]
    group = 0
    while left:
        group += 1
        leader = left[0]
        for index in [each for each in left if not told[leader, each]]:
            groups[index] = group
        left = [each for each in left if told[leader, each]]
    return groups, critical
