"""What an evaluation says about whom the hold-out holds: adjusted, reweighted, searched, and with wrong labels.

Part of the schema ``proctor/results/1``; plain frozen data, numbers finite or None beside a reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MixCell:
    """Cases of one group in one stratum of the case mix, and the right calls among them."""

    n: int
    successes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MixGroup:
    """One level's rate, crude beside standardised, and its comparison within strata.

    Attributes:
        cells: one for each stratum of the case mix, in the order of ``MixComparison.strata``.
        few: fewer cases or patients than the protocol's minimum; no comparison is made.
        covered: share of the standard in strata where the level has cases.
        against: the level or ``all other cases`` that the pooled odds ratio and difference compare with.
        odds_ratio, difference: Mantel-Haenszel, with limits; independent cases are assumed.
        p: Cochran, Mantel and Haenszel.
        breslow_day_p: that the odds ratios of the strata are equal, corrected after Tarone.
        pooled_strata: strata with cases of both sides.
        reason: why a number is missing.
    """

    level: str
    n: int
    successes: int
    patients: int
    cells: tuple[MixCell, ...]
    few: bool
    crude: float | None
    crude_low: float | None
    crude_high: float | None
    standardised: float | None
    low: float | None
    high: float | None
    covered: float
    against: str | None = None
    odds_ratio: float | None = None
    odds_ratio_low: float | None = None
    odds_ratio_high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    breslow_day_p: float | None = None
    pooled_strata: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MixStratum:
    """One stratum of the case mix and its share of the standard: of the denominator over all cases."""

    name: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MixComparison:
    """One rate over the levels of one declared stratum, within strata of the case mix."""

    attribute: str
    metric: str
    operating_point: str
    strata: tuple[MixStratum, ...]
    groups: tuple[MixGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixAuroc:
    """AUROC of all cases (``attribute`` and ``level`` None) or of one level, pooled beside adjusted.

    ``left_out`` counts positives in strata without a negative, which nothing can be compared with.
    """

    attribute: str | None
    level: str | None
    pooled: float | None
    value: float | None
    low: float | None
    high: float | None
    positives: int
    left_out: int
    strata: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMix:
    """Groups compared as if they had the same mix of cases."""

    by: tuple[str, ...]
    level: float
    clustered: bool
    comparisons: tuple[MixComparison, ...]
    auroc: tuple[MixAuroc, ...]
    methods: tuple[str, ...]
    version: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelShare:
    """One level in the hold-out and in the declared population; ``standardised`` is None at 0 or 1 in both."""

    level: str
    cases: int
    holdout: float
    population: float
    standardised: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeShare:
    """One attribute against the population: ``distance`` standardised, ``divergence`` Jensen-Shannon in bits.

    ``lacking`` is the share of the population at levels without a case.
    """

    attribute: str
    levels: tuple[LevelShare, ...]
    distance: float
    divergence: float
    lacking: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReweightedEstimate:
    """A value over the hold-out's own mix beside the population's."""

    metric: str
    operating_point: str | None
    crude: float | None
    value: float | None
    low: float | None
    high: float | None
    effective: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Representativeness:
    """The hold-out against the declared population.

    Attributes:
        effective: cases that the weighted ones are worth (Kish).
        largest: the largest weight of one case, their mean being 1.
        converged: every declared share is met.
        unweighted: cases at levels that the population does not have; they weigh nothing.
        lacking: levels of the population without a case, as ``attribute=level``.
    """

    cases: int
    level: float
    attributes: tuple[AttributeShare, ...]
    effective: float | None
    largest: float | None
    converged: bool
    unweighted: int
    lacking: tuple[str, ...]
    estimates: tuple[ReweightedEstimate, ...]
    methods: tuple[str, ...]
    version: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSlice:
    """A combination of levels; ``p`` is one-sided, ``p_adjusted`` holds over the whole search.

    ``rate`` is the error rate with limits that the search does not widen, ``elsewhere`` that of all other cases.
    """

    levels: tuple[tuple[str, str], ...]
    n: int
    patients: int
    errors: int
    rate: float
    low: float
    high: float
    elsewhere: float
    p: float
    p_adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSearch:
    """The slices with the smallest adjusted p among ``searched``; ``label`` says that this is exploratory."""

    attributes: tuple[str, ...]
    depth: int
    operating_point: str
    errors: str
    cases: int
    wrong: int
    searched: int
    minimum: int
    permutations: int
    level: float
    label: str
    slices: tuple[FoundSlice, ...]
    method: str
    version: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBand:
    """One endpoint as seen and over the stated error rates of the reference.

    Attributes:
        low, high: if errors do not depend on the algorithm's answer given the truth; None where no truth
            fits the counts at any of the stated rates.
        worst_low, worst_high: if the stated number of labels is wrong in whatever way hurts or helps most.
        impossible: combinations of rates, of ``combinations``, that contradict the counts.
    """

    metric: str
    operating_point: str | None
    seen: float
    low: float | None
    high: float | None
    worst_low: float
    worst_high: float
    impossible: int
    combinations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceErrorBands:
    """What a stated error rate of the reference does to each endpoint; no band is a confidence interval."""

    false_negative_rate: tuple[float, ...]
    false_positive_rate: tuple[float, ...]
    bands: tuple[ErrorBand, ...]
    assumption: str
    method: str
    version: int
    reason: str | None = None
