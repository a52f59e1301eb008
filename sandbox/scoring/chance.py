"""What chance alone makes of gaps: the largest of several levels that do not differ, at these counts.

With one case to a patient the outcomes of a rate are dealt anew among the levels (multivariate
hypergeometric: every way of giving patients their levels is equally likely). With clusters, and for means,
level means are drawn as normal with the covariance of the common-correlation model; for AUROC its positives
and negatives are two classes, whose residuals are the structural components over all cases (to first order,
an AUROC that is the same everywhere is a sum of two such means). Near 1 and with few cases an AUROC is far
from normal: there levels are permuted among the positives and among the negatives. Any other statistic is drawn as
normal on its scale, with the variances and covariances that its levels have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.outcome.bias_results import ChanceGap
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Bools, Floats, Integers, ScoredCases, tie_groups
from sandbox.scoring.common_correlation import Class, covariance, cross_covariance
from sandbox.scoring.multiplicity import draw_normal
from sandbox.scoring.roc import win_counts
from sandbox.scoring.scale import Scale

HYPERGEOMETRIC, PERMUTATION, NORMAL = "hypergeometric", "permutation", "normal-common-correlation"
OWN_NORMAL = "normal-own-covariance"
PERCENTILE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One comparison: the index of its level, and of the level against it (None: all other cases)."""

    group: int
    against: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Replicates without any difference: level values, and the values on the other side of each comparison."""

    levels: Floats
    others: Floats
    method: str


def other_weights(contrasts: Sequence[Contrast], n: Floats) -> Floats:
    """Weights of the levels in the mean on the other side of each comparison, shape (comparisons, levels)."""
    weights = np.zeros((len(contrasts), n.size))
    for row, contrast in enumerate(contrasts):
        if contrast.against is None:
            weights[row] = n
            weights[row, contrast.group] = 0
            weights[row] /= max(1.0, weights[row].sum())
        else:
            weights[row, contrast.against] = 1
    return weights


def draw_rates(
    successes: int, n: Integers, contrasts: Sequence[Contrast], seed: Seed, replicates: int
) -> Drawn:
    """Deal the successes anew among the levels.

    Args:
        successes: in all levels together.
        n: denominators of the levels.
        contrasts: the comparisons.
        seed: names the random stream.
        replicates: number of draws.
    """
    generator = seed.generator()
    dealt = generator.multivariate_hypergeometric(n, successes, size=replicates, method="marginals")
    levels = dealt / np.maximum(n, 1)
    return Drawn(
        levels=levels,
        others=levels @ other_weights(contrasts, n.astype(np.float64)).T,
        method=HYPERGEOMETRIC,
    )


def draw_means(
    classes: Sequence[Class],
    centre: float,
    bounds: tuple[float, float],
    contrasts: Sequence[Contrast],
    seed: Seed,
    replicates: int,
) -> Drawn:
    """Draw level values as sums of one normal mean for each class.

    Args:
        classes: one for a rate or a mean; positives and negatives for AUROC.
        centre: the value that all levels share.
        bounds: of a possible value.
        contrasts: the comparisons.
        seed: names the random stream.
        replicates: number of draws.
    """
    blocks = [[covariance(row) if row is column else cross_covariance(row, column) for column in classes]
              for row in classes]  # fmt: skip
    means = np.split(draw_normal(np.block(blocks), seed.generator(), replicates), len(classes), axis=1)
    levels, others = np.full_like(means[0], centre), np.full((replicates, len(contrasts)), centre)
    for own, mean in zip(classes, means, strict=True):
        levels = levels + mean
        others = others + mean @ other_weights(contrasts, own.n).T
    return Drawn(levels=np.clip(levels, *bounds), others=np.clip(others, *bounds), method=NORMAL)


def draw_values(
    levels: Mapping[int, Floats],
    others: Sequence[Floats],
    centre: float,
    scale: Scale,
    contrasts: Sequence[Contrast],
    n: int,
    seed: Seed,
    replicates: int,
) -> Drawn:
    """Draw a statistic of every side as normal about one value on its scale.

    Args:
        levels: for each level that is compared what its side deviates; inner products are covariances.
        others: the same for the other side of each comparison.
        centre: the value that all levels share, on the scale.
        scale: gives the way back.
        contrasts: the comparisons.
        n: number of levels.
        seed: names the random stream.
        replicates: number of draws.
    """
    rows = np.vstack([*levels.values(), *others])
    drawn = scale.backward(centre + draw_normal(rows @ rows.T, seed.generator(), replicates))
    found = np.full((replicates, n), float(scale.backward(np.array(centre))))
    found[:, list(levels)] = drawn[:, : len(levels)]
    return Drawn(levels=found, others=drawn[:, len(levels) :], method=OWN_NORMAL)


def permute_aurocs(
    cases: ScoredCases, codes: Integers, n: int, contrasts: Sequence[Contrast], seed: Seed, replicates: int
) -> Drawn:
    """Give the levels of positives, and those of negatives, to other cases: every AUROC anew.

    Args:
        cases: independent cases, sorted by score.
        codes: level of each, 0..n-1.
        n: number of levels.
        contrasts: the comparisons.
        seed: names the random stream.
        replicates: number of permutations; each costs about as much as scoring once.
    """
    generator, positive = seed.generator(), cases.reference
    groups, _ = tie_groups(cases.score)
    won, lost = win_counts(cases)
    dealt = codes.copy()
    at_positive = np.bincount(codes[positive], minlength=n).astype(np.float64)
    at_negative = np.bincount(codes[~positive], minlength=n).astype(np.float64)
    pairs = at_positive * at_negative
    rest_pairs = (cases.positives - at_positive) * (cases.negatives - at_negative)
    levels = np.zeros((replicates, n))
    others = np.zeros((replicates, len(contrasts)))
    for row in range(replicates):
        dealt[positive] = generator.permutation(codes[positive])
        dealt[~positive] = generator.permutation(codes[~positive])
        within = _wins_within(dealt, groups, positive, n)
        crossed = np.bincount(dealt[positive], weights=won, minlength=n)
        crossed += np.bincount(dealt[~positive], weights=lost, minlength=n)
        levels[row] = np.divide(within, pairs, out=np.full(n, 0.5), where=pairs > 0)
        rest = (won.sum() - crossed + within) / np.maximum(rest_pairs, 1.0)
        others[row] = [
            rest[contrast.group] if contrast.against is None else levels[row, contrast.against]
            for contrast in contrasts
        ]
    return Drawn(levels=levels, others=others, method=PERMUTATION)


def _wins_within(codes: Integers, groups: Integers, positive: Bools, n: int) -> Floats:
    """Pairs of one level that its positive wins, ties half, for each level; cases sorted by score."""
    order = np.argsort(codes, kind="stable")
    level, tie, truth = codes[order], groups[order], positive[order]
    starts = np.ones(level.size, dtype=bool)
    starts[1:] = (level[1:] != level[:-1]) | (tie[1:] != tie[:-1])
    run = np.cumsum(starts) - 1
    negatives = np.bincount(run, weights=~truth).astype(np.float64)
    before = np.cumsum(negatives) - negatives / 2
    first_of_level = np.searchsorted(level, np.arange(n), side="left")
    earlier = np.concatenate(([0.0], np.cumsum(~truth)))[first_of_level]
    wins = before[run[truth]] - earlier[level[truth]]
    return np.bincount(level[truth], weights=wins, minlength=n).astype(np.float64)


def single_gaps(drawn: Drawn, contrasts: Sequence[Contrast]) -> Floats:
    """Size of each gap in each replicate, shape (replicates, comparisons)."""
    groups = [contrast.group for contrast in contrasts]
    sizes: Floats = np.abs(drawn.levels[:, groups] - drawn.others)
    return sizes


def percentile(sizes: Floats) -> list[float]:
    """95th percentile of each column, to the digits that do not depend on the machine."""
    return [float(value) for value in np.round(np.quantile(sizes, PERCENTILE, axis=0), 9)]


def chance_gap(
    drawn: Drawn, contrasts: Sequence[Contrast], gaps: Sequence[float], spread: float
) -> ChanceGap:
    """Hold the largest gap and the spread of the compared levels against those by chance.

    Args:
        drawn: replicates without any difference.
        contrasts: the comparisons.
        gaps: the observed gaps, in the same order.
        spread: highest minus lowest of the compared levels, as observed.
    """
    compared = sorted({i for each in contrasts for i in (each.group, each.against) if i is not None})
    largest = np.round(single_gaps(drawn, contrasts).max(axis=1), 9)
    levels = drawn.levels[:, compared]
    ranges = np.round(levels.max(axis=1) - levels.min(axis=1), 9)
    observed = max(abs(gap) for gap in gaps)
    reached = int(np.count_nonzero(largest >= round(observed, 9)))
    return ChanceGap(
        largest=observed,
        expected=round(float(largest.mean()), 9),
        percentile_95=float(np.quantile(largest, PERCENTILE)),
        p=(1 + reached) / (1 + largest.size),
        spread=spread,
        spread_expected=round(float(ranges.mean()), 9),
        spread_percentile_95=float(np.quantile(ranges, PERCENTILE)),
        replicates=int(largest.size),
        method=drawn.method,
        version=1,
    )
