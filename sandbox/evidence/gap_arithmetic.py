"""Recomputing what results say about gaps between groups, with the standard library alone.

Counts against the strata's own, values against counts, Newcombe's interval of independent rates from its
formula (Newcombe 1998, method 10), p from the statistic, Holm's steps from the p, and every verdict from the
numbers it rests on. What resamples made (max-T, chance) must be a count of them and in the right order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from statistics import NormalDist

from sandbox.evidence.proportion_arithmetic import TOLERANCE, equal, wilson
from sandbox.outcome.bias_results import (
    Bias,
    EqualisedOdds,
    Gap,
    GapFamily,
    GapVerdict,
    Shrinkage,
    Side,
    StratumGaps,
)
from sandbox.outcome.results import Analysis, Estimate, StratumResult


def gap_contradictions(analysis: Analysis, where: str) -> Iterator[str]:
    """Every place where the gaps contradict themselves or the strata beside them."""
    bias = analysis.bias
    if bias is None:
        return
    rows = {(row.attribute, row.level): row for row in analysis.strata}
    attributes = {row.attribute for row in analysis.strata}
    shown = {
        (stratum.metric, stratum.operating_point, stratum.subject, stratum.attribute)
        for stratum in bias.strata
    }
    if shown != {(metric, point, about, name) for metric, point, about, _ in shown for name in attributes}:
        yield f"{where}, gaps: they are not given for every stratum"
    for stratum in bias.strata:
        point = f" at {stratum.operating_point}" if stratum.operating_point else ""
        about = f" of {stratum.subject}" if stratum.subject else ""
        place = f"{where}, gaps of {stratum.metric}{about}{point} by {stratum.attribute}"
        yield from _stratum(stratum, rows, bias.level, place)
    for family in bias.families:
        yield from _family(family, bias, f"{where}, gaps of {family.metric}")
    yield from _equalised_odds(bias, f"{where}, equalised odds")


def _stratum(
    stratum: StratumGaps,
    rows: dict[tuple[str, str], StratumResult],
    level: float,
    where: str,
) -> Iterator[str]:
    for gap in stratum.gaps:
        place = f"{where}, {gap.group.name}"
        for side in (gap.group, gap.against):
            row = rows.get((stratum.attribute, side.name))
            if row is not None:
                yield from _side(side, _printed(stratum, row), f"{place}, {side.name}")
            if side.successes is not None and not equal(side.value, side.successes / max(1, side.n)):
                yield f"{place}: a rate is not the one of its counts"
        yield from _gap(gap, level, place)
    chance = stratum.chance
    if chance is not None and stratum.gaps:
        if not equal(chance.largest, max(abs(gap.value) for gap in stratum.gaps)):
            yield f"{where}: the largest gap is not one of the gaps"
        if not _counted(chance.p, chance.replicates):
            yield f"{where}: the p by chance is not a count of replicates"
    if stratum.shrinkage is not None:
        yield from _shrinkage(stratum.shrinkage, where)


def _printed(stratum: StratumGaps, row: StratumResult) -> Estimate | None:
    """Find the estimate that the stratum's own row gives of the same metric."""
    estimates = list(row.estimates)
    if stratum.operating_point is not None:
        points = [point for point in row.operating_points if point.name == stratum.operating_point]
        estimates = [each for point in points for each in point.estimates]
    wanted = (stratum.metric, stratum.subject)
    return next((each for each in estimates if (each.metric, each.subject) == wanted), None)


def _side(side: Side, printed: Estimate | None, where: str) -> Iterator[str]:
    if printed is None:
        return
    if (side.n, side.successes) != (printed.n, printed.successes) or not equal(side.value, printed.value):
        yield f"{where}: it is not the estimate of the stratum"


def _gap(gap: Gap, level: float, where: str) -> Iterator[str]:
    if not equal(gap.value, gap.group.value - gap.against.value):
        yield f"{where}: the gap is not the difference of its sides"
    limits = (gap.simultaneous_low, gap.low, gap.value, gap.high, gap.simultaneous_high)
    if any(a > b + TOLERANCE for a, b in itertools.pairwise(limits)):
        yield f"{where}: the intervals are not in order"
    farthest = max(abs(gap.simultaneous_low), abs(gap.simultaneous_high))
    if not equal(gap.largest_not_excluded, farthest):
        yield f"{where}: the largest gap not excluded is not a limit"
    p = 2 * NormalDist().cdf(-abs(gap.statistic))
    if abs(p - gap.p) > 1e-6 * max(p, gap.p) + 1e-12:
        yield f"{where}: p is not the one of its statistic"
    if min(gap.group.n, gap.against.n) < 1:
        yield f"{where}: a side has no cases"
    elif gap.method == "newcombe-10":
        low, high = _newcombe(gap, level)
        if not (equal(low, gap.low) and equal(high, gap.high)):
            yield f"{where}: the interval is not Newcombe's"


def _newcombe(gap: Gap, level: float) -> tuple[float, float]:
    first, second = gap.group, gap.against
    low1, high1 = wilson(first.successes or 0, first.n, level)
    low2, high2 = wilson(second.successes or 0, second.n, level)
    return (
        gap.value - math.hypot(first.value - low1, high2 - second.value),
        gap.value + math.hypot(high1 - first.value, second.value - low2),
    )


def _family(family: GapFamily, bias: Bias, where: str) -> Iterator[str]:
    gaps = [
        gap
        for stratum in bias.strata
        if (stratum.metric, stratum.operating_point) == (family.metric, family.operating_point)
        for gap in stratum.gaps
    ]
    if len(gaps) != family.comparisons or not gaps:
        yield f"{where}: the number of comparisons is not that of its gaps"
        return
    for gap, adjusted in zip(gaps, _holm([gap.p for gap in gaps]), strict=True):
        if not equal(gap.p_holm, adjusted):
            yield f"{where}, {gap.group.name}: the p of Holm is not the one of its family"
        if gap.p_all < gap.p_family or not _counted(gap.p_all, family.replicates):
            yield f"{where}, {gap.group.name}: the p over all metrics is not that of a larger family"
        if not _counted(gap.p_family, family.replicates):
            yield f"{where}, {gap.group.name}: the adjusted p is not a count of replicates"
        if gap.verdict != _verdict(gap, family.margin, bias.level):
            yield f"{where}, {gap.group.name}: the verdict does not follow from the interval and p"
        beyond = None
        if family.margin is not None:
            beyond = gap.simultaneous_low > family.margin or gap.simultaneous_high < -family.margin
        if gap.beyond_margin != beyond:
            yield f"{where}, {gap.group.name}: the gap is not beyond the margin as stated"
    ranked = sorted(gaps, key=lambda gap: abs(gap.statistic))
    if any(a.p_family < b.p_family for a, b in itertools.pairwise(ranked)):
        yield f"{where}: a larger statistic has a larger adjusted p"
    if not equal(family.largest_not_excluded, max(gap.largest_not_excluded for gap in gaps)):
        yield f"{where}: the largest gap not excluded is not one of its gaps"
    if family.verdict != _together([gap.verdict for gap in gaps]):
        yield f"{where}: the verdict does not follow from the gaps"


def _verdict(gap: Gap, margin: float | None, level: float) -> GapVerdict:
    if margin is not None and -margin <= gap.simultaneous_low and gap.simultaneous_high <= margin:
        return "within_margin"
    excluded = gap.simultaneous_low > 0 or gap.simultaneous_high < 0
    return "gap_shown" if excluded and gap.p_family <= 1 - level + 1e-12 else "cannot_tell"


def _together(verdicts: list[GapVerdict]) -> GapVerdict:
    if "gap_shown" in verdicts:
        return "gap_shown"
    return "within_margin" if set(verdicts) == {"within_margin"} else "cannot_tell"


def _equalised_odds(bias: Bias, where: str) -> Iterator[str]:
    gaps = {
        _key(stratum, stratum.metric, gap.group.name, gap.against.name): gap
        for stratum in bias.strata
        for gap in stratum.gaps
    }
    for each in bias.equalised_odds:
        pair = [
            gaps.get(_key(each, metric, each.level, each.against))
            for metric in ("sensitivity", "specificity")
        ]
        known = [gap for gap in pair if gap is not None]
        if (
            len(known) < 2
            or not equal(each.gap, max(abs(gap.value) for gap in known))
            or not equal(each.largest_not_excluded, max(gap.largest_not_excluded for gap in known))
            or each.verdict != _together([gap.verdict for gap in known])
        ):
            yield f"{where}, {each.attribute} = {each.level}: it does not follow from its two gaps"


def _key(each: StratumGaps | EqualisedOdds, metric: str, level: str, against: str) -> tuple[str | None, ...]:
    return metric, each.operating_point or "", each.subject, each.attribute, level, against


def _shrinkage(shrinkage: Shrinkage, where: str) -> Iterator[str]:
    for each in shrinkage.levels:
        ends = sorted((each.raw, shrinkage.mean))
        if not (ends[0] - 1e-6 <= each.shrunk <= ends[1] + 1e-6 and 0 <= each.weight <= 1):
            yield f"{where}, {each.level}: the shrunk value does not lie between the raw one and the mean"
        if not each.low - TOLERANCE <= each.shrunk <= each.high + TOLERANCE:
            yield f"{where}, {each.level}: the interval does not hold the shrunk value"


def _holm(p: list[float]) -> list[float]:
    order = sorted(range(len(p)), key=lambda index: p[index])
    adjusted, reached = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        reached = max(reached, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = reached
    return adjusted


def _counted(p: float, replicates: int) -> bool:
    """Whether ``p`` is (1 + k) / (1 + B) for some whole k of 0 to B."""
    k = p * (1 + replicates) - 1
    return -1e-6 <= k <= replicates + 1e-6 and abs(k - round(k)) < 1e-6
