"""Recomputing case mix, population, slices and errors of the reference, with the standard library alone.

From the counts in the file: crude and standardised rates, the Mantel-Haenszel odds ratio, difference and p, shares
and standardised differences, rates of slices, and the bands of every rate. :func:`mix_not_recomputed` names what
rests on single cases.

Sources: Mantel and Haenszel 1959; Austin 2009; Staquet et al. 1981.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from sandbox.evidence.proportion_arithmetic import equal, wilson
from sandbox.outcome.bias_results import REST
from sandbox.outcome.case_mix_results import (
    CaseMix,
    ErrorBand,
    MixComparison,
    MixGroup,
    ReferenceErrorBands,
    Representativeness,
    SliceSearch,
)
from sandbox.outcome.results import Analysis, OperatingPointResult, Results

_STEPS = 5


def mix_contradictions(analysis: Analysis, where: str) -> Iterator[str]:
    """Every place where these parts contradict themselves or the counts beside them, as sentences."""
    if analysis.case_mix is not None:
        yield from _case_mix(analysis.case_mix, analysis, f"{where}, case mix")
    if analysis.population is not None:
        yield from _population(analysis.population, analysis, f"{where}, population")
    if analysis.slices is not None:
        yield from _slices(analysis.slices, analysis, f"{where}, slices")
    if analysis.reference_error is not None:
        yield from _errors(analysis.reference_error, analysis, f"{where}, errors of the reference")


def mix_not_recomputed(results: Results) -> tuple[str, ...]:
    """Names of what rests on single cases and cannot be derived from the counts in the file."""
    chosen = results.analysis()
    parts = {
        "limits of standardised rates, Breslow-Day, adjusted AUROC": chosen.case_mix,
        "values reweighted to the population": chosen.population,
        "p of slices": chosen.slices,
        "AUROC with the worst labels": chosen.reference_error,
    }
    return tuple(name for name, part in parts.items() if part is not None)


def _case_mix(mix: CaseMix, analysis: Analysis, where: str) -> Iterator[str]:
    rows = {(row.attribute, row.level): row for row in analysis.strata}
    for each in mix.comparisons:
        place = f"{where}, {each.metric} by {each.attribute}"
        if any(len(group.cells) != len(each.strata) for group in each.groups):
            yield f"{place}: the counts do not fit the strata"
            continue
        total = sum(group.n for group in each.groups)
        for index, stratum in enumerate(each.strata):
            if not equal(stratum.share, sum(group.cells[index].n for group in each.groups) / max(1, total)):
                yield f"{place}: the standard is not the mix of all cases"
        for group in each.groups:
            yield from _group(group, each, f"{place}, {group.level}")
            row = rows.get((each.attribute, group.level))
            point = _point(row.operating_points if row else (), each.operating_point)
            if point is not None and (group.successes, group.n) != _basis(point, each.metric):
                yield f"{place}, {group.level}: the counts are not those of the stratum"


def _group(group: MixGroup, within: MixComparison, where: str) -> Iterator[str]:
    if (sum(cell.n for cell in group.cells), sum(cell.successes for cell in group.cells)) != (
        group.n,
        group.successes,
    ):
        yield f"{where}: the strata do not add up"
    if any(not 0 <= cell.successes <= cell.n for cell in group.cells):
        yield f"{where}: a count is impossible"
        return
    if group.n and not equal(group.crude, group.successes / group.n):
        yield f"{where}: the crude rate is not the one of its counts"
    needed = [(s.share, cell) for s, cell in zip(within.strata, group.cells, strict=True) if s.share > 0]
    if all(cell.n for _, cell in needed) and needed:
        wanted = math.fsum(share * cell.successes / cell.n for share, cell in needed)
        if group.standardised is None or not equal(group.standardised, wanted):
            yield f"{where}: the standardised rate is not the one of its strata"
    elif group.standardised is not None:
        yield f"{where}: a rate is standardised without cases in every stratum"
    if group.difference is not None:
        yield from _pooled(group, within, where)


def _pooled(group: MixGroup, within: MixComparison, where: str) -> Iterator[str]:
    others = [other for other in within.groups if other is not group and group.against in (REST, other.level)]
    odds_over = odds_under = weights = gaps = excess = variance = 0.0
    for index, first in enumerate(group.cells):
        n1, a = first.n, first.successes
        n2 = sum(other.cells[index].n for other in others)
        c = sum(other.cells[index].successes for other in others)
        if not n1 or not n2:
            continue
        n, total = n1 + n2, a + c
        odds_over += a * (n2 - c) / n
        odds_under += (n1 - a) * c / n
        weights += n1 * n2 / n
        gaps += n1 * n2 / n * (a / n1 - c / n2)
        excess += a - n1 * total / n
        variance += n1 * n2 * total * (n - total) / (n * n * (n - 1)) if n > 1 else 0.0
    if not weights or not equal(group.difference, gaps / weights):
        yield f"{where}: the pooled difference is not the one of the strata"
    if group.odds_ratio is not None and not (odds_under and equal(group.odds_ratio, odds_over / odds_under)):
        yield f"{where}: the pooled odds ratio is not the one of the strata"
    if group.p is not None and not (
        variance and abs(group.p - math.erfc(math.sqrt(excess**2 / variance / 2))) <= 1e-7
    ):
        yield f"{where}: p is not the one of the strata"


def _population(found: Representativeness, analysis: Analysis, where: str) -> Iterator[str]:
    rows = {(row.attribute, row.level): row for row in analysis.strata}
    for attribute in found.attributes:
        place = f"{where}, {attribute.attribute}"
        if sum(level.cases for level in attribute.levels) != found.cases or found.cases != analysis.n:
            yield f"{place}: the levels do not add up to the cases"
        if abs(math.fsum(level.population for level in attribute.levels) - 1) > 1e-6:
            yield f"{place}: the population's shares do not add up"
        for level in attribute.levels:
            row = rows.get((attribute.attribute, level.level))
            p, q = level.holdout, level.population
            spread = (p * (1 - p) + q * (1 - q)) / 2
            if row is not None and row.n != level.cases:
                yield f"{place}, {level.level}: the cases are not those of the stratum"
            if not equal(p, level.cases / max(1, found.cases)):
                yield f"{place}, {level.level}: the share is not the one of its cases"
            if spread > 0 and not equal(level.standardised, (p - q) / math.sqrt(spread)):
                yield f"{place}, {level.level}: the standardised difference is not the one of the shares"
        lacking = math.fsum(level.population for level in attribute.levels if not level.cases)
        if not equal(attribute.lacking, lacking):
            yield f"{place}: the share that is not represented is another"
    if found.effective is not None and not 0 < found.effective <= found.cases * (1 + 1e-9):
        yield f"{where}: more effective cases than cases"


def _slices(found: SliceSearch, analysis: Analysis, where: str) -> Iterator[str]:
    if not found.label.startswith("exploratory"):
        yield f"{where}: they are not labelled as exploratory"
    point = _point(analysis.operating_points, found.operating_point)
    if point is not None:
        wrong = {
            "any": (point.fp + point.fn, analysis.n),
            "misses": (point.fn, point.tp + point.fn),
            "false_alarms": (point.fp, point.tn + point.fp),
        }.get(found.errors)
        if wrong != (found.wrong, found.cases):
            yield f"{where}: the wrong calls are not those of the operating point"
    for each in found.slices:
        place = f"{where}, {', '.join('='.join(pair) for pair in each.levels)}"
        outside = found.cases - each.n
        if not found.minimum <= each.n or not found.minimum <= outside or not 0 <= each.errors <= each.n:
            yield f"{place}: a count is impossible"
            continue
        if not equal(each.rate, each.errors / each.n) or not equal(
            each.elsewhere, (found.wrong - each.errors) / outside
        ):
            yield f"{place}: a rate is not the one of its counts"
        if each.patients == each.n:
            low, high = wilson(each.errors, each.n, found.level)
            if not (equal(low, each.low) and equal(high, each.high)):
                yield f"{place}: the interval is not Wilson's"
        if each.p_adjusted < each.p - 1e-2:
            yield f"{place}: the adjusted p is below the single one"


def _errors(found: ReferenceErrorBands, analysis: Analysis, where: str) -> Iterator[str]:
    positives, n = analysis.positives or 0, analysis.n
    rates = [
        (miss, alarm)
        for miss in _spaced(found.false_negative_rate)
        for alarm in _spaced(found.false_positive_rate)
    ]
    for band in found.bands:
        place = f"{where}, {band.metric}"
        if not band.worst_low - 1e-9 <= band.seen <= band.worst_high + 1e-9:
            yield f"{place}: the band does not hold the value"
        if band.metric == "auroc":
            values = [_true_auroc(band.seen, positives / n, *pair) for pair in rates]
        else:
            point = _point(analysis.operating_points, band.operating_point or "")
            if point is None:
                yield f"{place}: it is about an operating point that is not there"
                continue
            right, size = _basis(point, band.metric)
            if not equal(band.seen, right / size):
                yield f"{place}: the value is not the one of the counts"
            values = [_true_rate(point, band.metric, *pair) for pair in rates]
        yield from _held(band, values, place)


def _held(band: ErrorBand, values: list[float | None], where: str) -> Iterator[str]:
    known = [value for value in values if value is not None]
    if len(values) - len(known) != band.impossible or len(values) != band.combinations:
        yield f"{where}: another number of rates contradicts the counts"
    elif known and not (equal(band.low, min(known)) and equal(band.high, max(known))):
        yield f"{where}: the band is not the one of the stated rates"


def _spaced(stated: tuple[float, ...]) -> list[float]:
    low, high = stated
    return sorted({low + (high - low) * step / (_STEPS - 1) for step in range(_STEPS)})


def _true_auroc(seen: float, share: float, miss: float, alarm: float) -> float | None:
    truth = (share - alarm) / (1 - miss - alarm)
    if not 0 < truth < 1:
        return None
    shrunk = (1 - miss) * truth / share + (1 - alarm) * (1 - truth) / (1 - share) - 1
    value = 0.5 + (seen - 0.5) / shrunk if shrunk > 1e-12 else -1.0
    return min(1.0, max(0.0, value)) if -1e-9 <= value <= 1 + 1e-9 else None


def _true_rate(point: OperatingPointResult, metric: str, miss: float, alarm: float) -> float | None:
    """Solve the four cells: labels are positive for 1 - miss of the sick and for alarm of the well."""
    called, rest = point.tp + point.fp, point.fn + point.tn
    determinant = (1 - miss) * (1 - alarm) - miss * alarm
    sick_called = ((1 - alarm) * point.tp - alarm * point.fp) / determinant
    sick_rest = ((1 - alarm) * point.fn - alarm * point.tn) / determinant
    well_called, well_rest = called - sick_called, rest - sick_rest
    if min(sick_called, sick_rest, well_called, well_rest) < -1e-9 * (called + rest):
        return None
    part, whole = {
        "sensitivity": (sick_called, sick_called + sick_rest),
        "specificity": (well_rest, well_called + well_rest),
        "ppv": (sick_called, called),
        "npv": (well_rest, rest),
    }[metric]
    return min(1.0, max(0.0, part / whole)) if whole > 1e-9 else None


def _point(points: tuple[OperatingPointResult, ...], name: str) -> OperatingPointResult | None:
    return next((point for point in points if point.name == name), None)


def _basis(point: OperatingPointResult, metric: str) -> tuple[int, int]:
    return {
        "sensitivity": (point.tp, point.tp + point.fn),
        "specificity": (point.tn, point.tn + point.fp),
        "ppv": (point.tp, point.tp + point.fp),
        "npv": (point.tn, point.tn + point.fn),
    }[metric]
