"""Every declared group compared within strata of the protocol's case mix: crude beside standardised and pooled.

Sensitivity is standardised to the mix of all positives and specificity to that of all negatives, so that a group
with harder cases is not taken for a group that is read worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sandbox.outcome.bias_results import REST
from sandbox.outcome.case_mix_results import CaseMix, MixAuroc, MixCell, MixComparison, MixGroup, MixStratum
from sandbox.plan.bands import CROSS
from sandbox.plan.protocol import Protocol
from sandbox.plan.strata_section import Minimum, Stratum
from sandbox.scoring.case_mix.adjusted_auroc import AdjustedAuroc, adjusted_auroc
from sandbox.scoring.case_mix.mantel_haenszel import PooledTables, pool_tables
from sandbox.scoring.case_mix.standardisation import StandardisedRate, standardise
from sandbox.scoring.cases import Bools, Integers, ScoredCases, count_patients
from sandbox.scoring.estimates import is_clustered
from sandbox.scoring.strata import Levels, cross

VERSION = 1
_METHODS = (
    "direct-standardisation-mover-wilson",
    "mantel-haenszel-robins-breslow-greenland",
    "mantel-haenszel-difference-sato",
    "breslow-day-tarone",
    "janes-pepe-stratified-logit",
)


def compare_within_strata(
    cases: ScoredCases,
    levels: Sequence[Levels],
    cutoffs: Sequence[tuple[str, float]],
    protocol: Protocol,
) -> CaseMix | None:
    """Compare the levels of every declared stratum that is not itself part of the case mix.

    Args:
        cases: those that entered the analysis.
        levels: their levels in each stratum, in the protocol's order.
        cutoffs: name and lowest positive score of each operating point.
        protocol: names the case mix, the minimum and the level of intervals.

    Returns:
        None where the protocol has no such section.
    """
    section = protocol.case_mix
    if section is None:
        return None
    level = protocol.intervals.level
    single = {each.name: each for each in levels}
    parts = [single[name] for name in section.by]
    mix = parts[0] if len(parts) == 1 else cross(parts, CROSS.join(section.by))
    compared = [
        (stratum, own)
        for stratum, own in zip(protocol.strata, levels, strict=True)
        if not set(stratum.attributes) & set(section.by)
    ]
    comparisons = [
        found
        for stratum, own in compared
        for name, cutoff in cutoffs
        for found in _rates(cases, stratum, own, mix, name, cases.score >= cutoff, protocol)
    ]
    return CaseMix(
        by=section.by,
        level=level,
        clustered=is_clustered(cases.patient),
        comparisons=tuple(comparisons),
        auroc=tuple(_aurocs(cases, [own for _, own in compared], mix, protocol)) if cases.n else (),
        methods=_METHODS,
        version=VERSION,
        reason=None if cases.n else "No case entered this analysis.",
    )


def _rates(
    cases: ScoredCases,
    stratum: Stratum,
    groups: Levels,
    mix: Levels,
    point: str,
    called: Bools,
    protocol: Protocol,
) -> Iterator[MixComparison]:
    truth = cases.reference
    for metric, counted, success in (
        ("sensitivity", truth, called),
        ("specificity", ~truth, ~called),
    ):
        chosen = np.flatnonzero(counted)
        if not chosen.size:
            continue
        own, strata = groups.where(chosen), mix.where(chosen)
        right, patient = success[chosen], cases.patient[chosen]
        made = standardise(
            right,
            own.codes,
            strata.codes,
            own.names,
            strata.names,
            patient,
            level=protocol.intervals.level,
        )
        shape = (len(own.names), len(strata.names))
        cell = own.codes * shape[1] + strata.codes
        n = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
        hits = np.bincount(cell[right], minlength=shape[0] * shape[1]).reshape(shape)
        reference = own.names.index(stratum.reference) if stratum.reference in own.names else None
        people = [count_patients(patient[own.codes == index]) for index in range(shape[0])]
        yield MixComparison(
            attribute=groups.name,
            metric=metric,
            operating_point=point,
            strata=tuple(
                MixStratum(name=name, share=share)
                for name, share in zip(made.strata, made.standard, strict=True)
            ),
            groups=tuple(
                _group(made.groups[index], index, reference, n, hits, people, own.names, metric, protocol)
                for index in range(shape[0])
            ),
        )


def _group(
    rate: StandardisedRate,
    index: int,
    reference: int | None,
    n: Integers,
    hits: Integers,
    people: Sequence[int],
    names: Sequence[str],
    metric: str,
    protocol: Protocol,
) -> MixGroup:
    others = [each for each in range(len(names)) if each != index] if reference is None else [reference]
    few = _few(int(n[index].sum()), people[index], metric, protocol.minimum)
    few_others = _few(int(n[others].sum()), sum(people[each] for each in others), metric, protocol.minimum)
    pooled, reason = None, rate.reason
    if index != reference and others and not few and not few_others:
        both = (n[index] > 0) & (n[others].sum(axis=0) > 0)
        if both.any():
            pooled = pool_tables(
                hits[index],
                n[index],
                hits[others].sum(axis=0),
                n[others].sum(axis=0),
                protocol.intervals.level,
            )
        else:
            reason = "No stratum of the case mix has cases of both sides: not comparable."
    elif few:
        reason = f"Fewer than the protocol's minimum; not compared.{f' {reason}' if reason else ''}"
    return MixGroup(
        level=rate.group,
        n=rate.n,
        successes=rate.successes,
        patients=people[index],
        cells=tuple(
            MixCell(n=int(count), successes=int(right))
            for count, right in zip(n[index], hits[index], strict=True)
        ),
        few=few,
        crude=rate.crude,
        crude_low=rate.crude_low,
        crude_high=rate.crude_high,
        standardised=rate.standardised,
        low=rate.low,
        high=rate.high,
        covered=min(1.0, rate.covered),
        against=None if index == reference else (REST if reference is None else names[reference]),
        reason=reason,
        **_pooled(pooled),
    )


def _few(n: int, patients: int, metric: str, minimum: Minimum) -> bool:
    wanted = minimum.positives if metric == "sensitivity" else minimum.negatives
    return n < wanted or patients < minimum.patients


def _pooled(made: PooledTables | None) -> dict[str, Any]:
    if made is None:
        return {}
    odds_low, odds_high = made.odds_ratio_limits or (None, None)
    return {
        "odds_ratio": made.odds_ratio,
        "odds_ratio_low": odds_low,
        "odds_ratio_high": odds_high,
        "difference": made.difference,
        "difference_low": made.difference_limits[0],
        "difference_high": made.difference_limits[1],
        "p": made.p,
        "breslow_day_p": made.breslow_day_tarone_p,
        "pooled_strata": made.strata,
    }


def _aurocs(
    cases: ScoredCases, compared: Sequence[Levels], mix: Levels, protocol: Protocol
) -> Iterator[MixAuroc]:
    level = protocol.intervals.level
    yield _auroc(None, None, adjusted_auroc(cases, mix.codes, mix.names, level), None)
    for own in compared:
        for name, members in zip(own.names, own.slices(), strict=True):
            part, kinds = cases.where(members), mix.where(members)
            minimum = protocol.minimum
            few = part.positives < minimum.positives or part.negatives < minimum.negatives
            reason = "Fewer than the protocol's minimum; read the interval." if few else None
            made = adjusted_auroc(part, kinds.codes, kinds.names, level)
            yield _auroc(own.name, name, made, reason)


def _auroc(attribute: str | None, level: str | None, made: AdjustedAuroc, few: str | None) -> MixAuroc:
    return MixAuroc(
        attribute=attribute,
        level=level,
        pooled=made.pooled,
        value=made.value,
        low=made.low,
        high=made.high,
        positives=made.positives,
        left_out=made.positives_left_out,
        strata=sum(value is not None for *_, value in made.strata),
        reason=made.reason or few,
    )
