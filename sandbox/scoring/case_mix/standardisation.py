"""Rates of groups as they would be if every group had the same mix of cases.

Direct standardisation: each group's rate in each stratum, weighted by the shares of a standard. Limits: the
square-and-add of Wilson limits over strata (MOVER, Zou and Donner 2008, Stat Med 27:1693; for standardised
rates Yan and Su 2010), which have width where a stratum has no error. A group without a case in a stratum that
the standard holds cannot be standardised to it: the support table says so, and no number is made up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.errors import ScoringError
from sandbox.scoring.case_mix.support import SupportRow, support_table
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.proportions import effective_size, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedRate:
    """One group's rate, crude beside standardised.

    Attributes:
        n, successes: cases of the denominator and successes among them.
        standardised, low, high: None when the group lacks a stratum of the standard; ``reason`` says so.
        covered: share of the standard in strata where the group has cases.
    """

    group: str
    n: int
    successes: int
    crude: float | None
    crude_low: float | None
    crude_high: float | None
    standardised: float | None
    low: float | None
    high: float | None
    covered: float
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standardisation:
    """Groups crude and standardised, with the standard and the support that they have."""

    strata: tuple[str, ...]
    standard: tuple[float, ...]
    groups: tuple[StandardisedRate, ...]
    support: tuple[SupportRow, ...]
    level: float
    method: str


def standardise(
    success: Bools,
    group: Integers,
    stratum: Integers,
    groups: Sequence[str],
    strata: Sequence[str],
    patient: Integers,
    *,
    standard: Floats | None = None,
    level: float = 0.95,
) -> Standardisation:
    """Standardise the rate of each group.

    Args:
        success: outcome of each case of the denominator (for sensitivity: of each positive).
        group, stratum: codes of each case.
        groups, strata: names of the codes.
        patient: patient of each case; several cases to a patient make a stratum's size effective.
        standard: share of each stratum; None takes the mix of all these cases.
        level: two-sided level of the limits.

    Raises:
        ScoringError: a standard of another length, or whose shares do not add up to 1.
    """
    number, kinds = len(groups), len(strata)
    shares = (
        np.bincount(stratum, minlength=kinds) / max(1, stratum.size)
        if standard is None
        else np.asarray(standard)
    )
    if shares.size != kinds or not math.isclose(float(shares.sum()), 1.0, abs_tol=1e-6) or (shares < 0).any():
        raise ScoringError("the standard needs a share for each stratum, and the shares must add up to 1")
    cell = group * kinds + stratum
    n = np.bincount(cell, minlength=number * kinds).reshape(number, kinds)
    hits = np.bincount(cell, weights=success, minlength=number * kinds).reshape(number, kinds)
    found = tuple(
        _group(groups[index], index, n[index], hits[index], shares, success, group, stratum, patient, level)
        for index in range(number)
    )
    return Standardisation(
        strata=tuple(strata),
        standard=tuple(float(share) for share in shares),
        groups=found,
        support=support_table(n, groups, strata),
        level=level,
        method="direct-standardisation-mover-wilson",
    )


def _group(
    name: str,
    index: int,
    n: Integers,
    hits: Floats,
    shares: Floats,
    success: Bools,
    group: Integers,
    stratum: Integers,
    patient: Integers,
    level: float,
) -> StandardisedRate:
    total, successes = int(n.sum()), int(hits.sum())
    covered = float(shares[n > 0].sum())
    crude = crude_low = crude_high = value = low = high = None
    reason = None
    if total:
        own = group == index
        size = effective_size(success[own], patient[own], level)
        crude = successes / total
        limits = wilson(crude * size, size, level)
        crude_low, crude_high = float(limits[0]), float(limits[1])
    needed = shares > 0
    if not total or (n[needed] == 0).any():
        reason = f"No case in strata that hold {1 - covered:.0%} of the standard: not adjustable."
    else:
        rates = hits[needed] / n[needed]
        sizes = np.array(
            [
                effective_size(success[chosen], patient[chosen], level)
                for k in np.flatnonzero(needed)
                for chosen in [(group == index) & (stratum == k)]
            ]
        )
        lows, highs = wilson(rates * sizes, sizes, level)
        weight = shares[needed]
        value = float(weight @ rates)
        low = max(0.0, value - math.sqrt(float(weight**2 @ (rates - lows) ** 2)))
        high = min(1.0, value + math.sqrt(float(weight**2 @ (highs - rates) ** 2)))
    return StandardisedRate(
        group=name,
        n=total,
        successes=successes,
        crude=crude,
        crude_low=crude_low,
        crude_high=crude_high,
        standardised=value,
        low=low,
        high=high,
        covered=covered,
        reason=reason,
    )
