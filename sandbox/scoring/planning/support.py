"""What one hold-out can support: from counts of cases, never from a case's truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.scoring.planning.detectable_gap import auroc_gap, rate_gap
from sandbox.scoring.planning.precision import (
    auroc_width,
    cases_for_bound,
    chance_of_clearing,
    design_effect,
    expected_width,
    positives_for_auroc_bound,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Cases of a group; ``patients`` of it, for the design effect."""

    stratum: str | None
    level: str | None
    positives: int
    negatives: int
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conjecture:
    """Values that a submission is expected to reach, and what is asked of a conclusion.

    Attributes:
        margin: what the lower limits of sensitivity and specificity have to clear; None asks nothing.
        auroc_margin: the same for AUROC.
        correlation: of two cases of one patient, for the design effect.
    """

    auroc: float = 0.85
    sensitivity: float = 0.85
    specificity: float = 0.85
    margin: float | None = None
    auroc_margin: float | None = None
    power: float = 0.8
    level: float = 0.95
    correlation: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSupport:
    """Expected interval widths of a group, and the smallest gap to the rest that can be shown; None: cannot."""

    counts: Counts
    design_effect: float
    auroc_width: float | None
    sensitivity_width: float | None
    specificity_width: float | None
    auroc_gap: float | None
    sensitivity_gap: float | None
    specificity_gap: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSupport:
    """Whether a lower limit will clear its margin: with this hold-out, and how many cases it would take."""

    metric: str
    value: float
    margin: float
    cases: int
    chance: float | None
    needed: int
    counted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutSupport:
    """The whole hold-out and each stratum's levels; ``comparisons`` share the level of the gaps."""

    conjecture: Conjecture
    overall: GroupSupport
    groups: tuple[GroupSupport, ...]
    bounds: tuple[BoundSupport, ...]
    comparisons: int
    notes: tuple[str, ...]


def support(overall: Counts, groups: Sequence[Counts], conjecture: Conjecture) -> HoldoutSupport:
    """Work out what the counts can support.

    Args:
        overall: the whole hold-out.
        groups: every level of every stratum.
        conjecture: expected values and demands.
    """
    comparisons = max(1, len(groups))
    notes = [
        "Widths and gaps are expectations for conjectured values, from counts alone; no score was seen.",
        f"Gaps: each level against all other cases, power {conjecture.power:g}, level shared by {comparisons}.",
        "AUROC: variance of Hanley and McNeil 1982.",
    ]
    if overall.patients < overall.positives + overall.negatives:
        notes.append(
            f"Patients have several cases: sizes are divided by a design effect with correlation "
            f"{conjecture.correlation:g}."
        )
    return HoldoutSupport(
        conjecture=conjecture,
        overall=_group(overall, None, conjecture, comparisons),
        groups=tuple(_group(each, overall, conjecture, comparisons) for each in groups),
        bounds=_bounds(overall, conjecture),
        comparisons=comparisons,
        notes=tuple(notes),
    )


def _group(counts: Counts, overall: Counts | None, asked: Conjecture, comparisons: int) -> GroupSupport:
    effect = _effect(counts, asked)
    positives, negatives = counts.positives / effect, counts.negatives / effect
    gaps: list[float | None] = [None, None, None]
    if overall is not None:
        others = Counts(
            stratum=None,
            level=None,
            positives=overall.positives - counts.positives,
            negatives=overall.negatives - counts.negatives,
            patients=max(1, overall.patients - counts.patients),
        )
        spread = _effect(others, asked)
        more, less = others.positives / spread, others.negatives / spread
        gaps = [
            auroc_gap(
                asked.auroc,
                positives,
                negatives,
                more,
                less,
                power=asked.power,
                level=asked.level,
                comparisons=comparisons,
            ),
            rate_gap(
                asked.sensitivity,
                positives,
                more,
                power=asked.power,
                level=asked.level,
                comparisons=comparisons,
            ),
            rate_gap(
                asked.specificity,
                negatives,
                less,
                power=asked.power,
                level=asked.level,
                comparisons=comparisons,
            ),
        ]
    return GroupSupport(
        counts=counts,
        design_effect=effect,
        auroc_width=auroc_width(asked.auroc, positives, negatives, asked.level),
        sensitivity_width=expected_width(asked.sensitivity, positives, asked.level),
        specificity_width=expected_width(asked.specificity, negatives, asked.level),
        auroc_gap=gaps[0],
        sensitivity_gap=gaps[1],
        specificity_gap=gaps[2],
    )


def _bounds(overall: Counts, asked: Conjecture) -> tuple[BoundSupport, ...]:
    effect = _effect(overall, asked)
    found = []
    rates = (
        ("sensitivity", asked.sensitivity, overall.positives, "positive cases"),
        ("specificity", asked.specificity, overall.negatives, "negative cases"),
    )
    for metric, value, cases, counted in rates:
        if asked.margin is not None and value > asked.margin:
            needed = cases_for_bound(value, asked.margin, asked.power, asked.level)
            found.append(
                BoundSupport(
                    metric=metric,
                    value=value,
                    margin=asked.margin,
                    cases=cases,
                    chance=chance_of_clearing(value, asked.margin, cases / effect, asked.level),
                    needed=round(needed * effect + 0.4999),
                    counted=counted,
                )
            )
    if asked.auroc_margin is not None and asked.auroc > asked.auroc_margin and overall.positives:
        ratio = overall.negatives / overall.positives
        needed = positives_for_auroc_bound(asked.auroc, asked.auroc_margin, asked.power, ratio, asked.level)
        found.append(
            BoundSupport(
                metric="auroc",
                value=asked.auroc,
                margin=asked.auroc_margin,
                cases=overall.positives,
                chance=None,
                needed=round(needed * effect + 0.4999),
                counted=f"positive cases, with {ratio:.2g} negatives for each",
            )
        )
    return tuple(found)


def _effect(counts: Counts, asked: Conjecture) -> float:
    cases = counts.positives + counts.negatives
    if cases == 0 or counts.patients == 0:
        return 1.0
    return design_effect(max(1.0, cases / counts.patients), asked.correlation)
