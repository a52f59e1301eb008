"""What an evaluation says about groups: gaps, what chance makes of gaps, and what is left to exclude.

Part of the schema ``proctor/results/1``; plain frozen data, numbers finite or None beside a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GapVerdict = Literal["within_margin", "gap_shown", "cannot_tell"]
REST = "all other cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: a level, or ``all other cases``.
        n: cases that the value rests on: the denominator of a rate, positives and negatives for AUROC.
        positives: positives among them, None where the metric knows none.
        patients: distinct patients among them.
        successes: numerator of a rate, None for other metrics.
        value: the metric on this side.
    """

    name: str
    n: int
    positives: int | None
    patients: int
    successes: int | None
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One level against the reference level or against all other cases.

    Attributes:
        group, against: the two sides; ``value`` is the group's minus the other's.
        low, high: interval of this gap alone.
        simultaneous_low, simultaneous_high: interval that holds for all gaps of the family at once.
        largest_not_excluded: the farther simultaneous limit from 0, as a size.
        chance: the size that this gap stays below in 95 of 100 hold-outs of these counts without any gap.
        statistic: gap over its standard error (on the logit scale for AUROC, on that of their range for other
            statistics), normal without a gap.
        p: two-sided, of this gap alone.
        p_holm: adjusted for the family by Holm's steps.
        p_family: adjusted for the family by the largest of its statistics in each resample (max-T),
            (1 + k) / (1 + B).
        p_all: the same over all families at once, every metric and stratum of the evaluation.
        method, version: what made interval and statistic.
        verdict: ``within_margin``: the simultaneous interval lies within the protocol's margin;
            ``gap_shown``: p_family is at most 1 - level and the simultaneous interval excludes 0;
            ``cannot_tell``: neither.
        beyond_margin: the simultaneous interval lies beyond the margin; None without a margin.
    """

    group: Side
    against: Side
    value: float
    low: float
    high: float
    simultaneous_low: float
    simultaneous_high: float
    largest_not_excluded: float
    chance: float
    statistic: float
    p: float
    p_holm: float
    p_family: float
    p_all: float
    method: str
    version: int
    verdict: GapVerdict
    beyond_margin: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A level that enters no comparison of one metric: its counts and the reason."""

    level: str
    n: int
    successes: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heterogeneity:
    """Test of all levels at once: whether they differ by more than chance (chi-square, Cochran's Q)."""

    statistic: float
    degrees: int
    p: float
    method: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceGap:
    """What chance alone gives at these counts when all levels are equal.

    Attributes:
        largest: size of the largest gap observed in the stratum.
        expected, percentile_95: mean and 95th percentile of that largest gap by chance.
        p: (1 + k) / (1 + B), k the replicates whose largest gap reaches the observed one.
        spread: highest minus lowest level observed.
        spread_expected, spread_percentile_95: the same of the spread by chance.
        replicates: B.
        method: ``hypergeometric`` (independent cases, rates: outcomes dealt anew among the levels),
            ``permutation`` (independent cases, AUROC of small levels), ``normal-common-correlation`` (clusters,
            means, and AUROC by its pooled components) or ``normal-own-covariance`` (other statistics).
    """

    largest: float
    expected: float
    percentile_95: float
    p: float
    spread: float
    spread_expected: float
    spread_percentile_95: float
    replicates: int
    method: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """A level's raw value beside the one drawn toward the mean of the levels; never one without the other.

    ``weight`` is the share of the level's own data in ``shrunk``.
    """

    level: str
    n: int
    raw: float
    shrunk: float
    low: float
    high: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkage:
    """Raw beside shrunk for every level; ``spread`` is the standard deviation between levels.

    It is on the scale on which the values are taken as normal: the logit for AUROC.
    """

    mean: float
    spread: float
    levels: tuple[Shrunk, ...]
    method: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumGaps:
    """One metric over the levels of one stratum; ``subject`` is the class, label or rate that it is about.

    ``reference`` is the level that the protocol names, None for each level against all other cases. With two
    levels fit for a comparison there is one gap: its mirror image would say the same again. ``reason`` says
    why there is none.
    """

    attribute: str
    metric: str
    operating_point: str | None
    reference: str | None
    heterogeneity: Heterogeneity | None
    chance: ChanceGap | None
    gaps: tuple[Gap, ...]
    left_out: tuple[LeftOut, ...]
    shrinkage: Shrinkage | None
    reason: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GapFamily:
    """All gaps of one metric over all strata and subjects, for which adjusted p-values and simultaneous intervals hold.

    ``critical`` is the size that the largest of the family's statistics exceeds with chance 1 - level.
    ``verdict``: ``gap_shown`` when any gap is; ``within_margin`` when all are; else ``cannot_tell``.
    """

    metric: str
    operating_point: str | None
    margin: float | None
    comparisons: int
    critical: float
    replicates: int
    largest_not_excluded: float | None
    method: str
    version: int
    verdict: GapVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedOdds:
    """Equalised odds of one level at one operating point: the larger of two gaps.

    ``gap`` is the larger size of the sensitivity gap (equal opportunity) and the specificity gap.
    """

    attribute: str
    level: str
    against: str
    operating_point: str
    gap: float
    largest_not_excluded: float
    verdict: GapVerdict
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """Everything about gaps between groups under one rule for failed cases."""

    level: float
    families: tuple[GapFamily, ...]
    strata: tuple[StratumGaps, ...]
    equalised_odds: tuple[EqualisedOdds, ...]
