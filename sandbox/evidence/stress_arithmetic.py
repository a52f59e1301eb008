"""Recomputing stress.json from its own counts, with the standard library alone.

Nothing here is shared with the code that made the numbers: changes of rates are recomputed from the paired calls,
their limits by Tango 1998 (Stat Med 17:891) through bisection, shares from their counts, counts against their totals,
verdicts of masks and findings against their intervals and margins, and verdicts of the tests against those of their
severities and what is shown after adjustment. What rests on single answers is not: AUROC, wAFROC, shifts of the score,
means of masks, groups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any

from sandbox.evidence.proportion_arithmetic import equal
from sandbox.outcome.stress_results import VERDICTS, PairedCalls, StressCell, StressResults, StressTestResult

_BROKEN = ("outside", "answered_nonsense")
_TOLERANCE = 1e-7
_CLEAN = "clean"
_OF_MARKS = ("dice", "nsd", "wafroc", "froc_sensitivity")
MAX_CASES = 1_000_000


def stress_contradictions(results: StressResults, protocol: Mapping[str, Any]) -> list[str]:
    """Every place where the results contradict themselves or the registered section; empty when they agree."""
    return list(_find(results, protocol))


def tango(only_first: int, only_second: int, n: int, level: float) -> tuple[float, float]:
    """Score limits of the difference of two paired rates, first minus second."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    value = (only_first - only_second) / n

    def inside(delta: float) -> bool:
        b = -only_first - only_second + (2 * n - only_first + only_second) * delta
        c = -only_second * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        spread = math.sqrt(max(0.0, 2 * q + delta * (1 - delta)))
        return abs(value - delta) * math.sqrt(n) <= z * spread

    def end(limit: float) -> float:
        near, far = value, limit
        for _ in range(60):
            middle = (near + far) / 2
            near, far = (middle, far) if inside(middle) else (near, middle)
        return near

    return (-1.0 if value <= -1 else end(-1.0)), (1.0 if value >= 1 else end(1.0))


def _find(results: StressResults, protocol: Mapping[str, Any]) -> Iterator[str]:
    least = 1 if results.tests else 0
    if (
        not least <= results.patients <= MAX_CASES
        or results.positives + results.negatives != results.patients
    ):
        yield "stress: the sample does not add up"
        return
    yield from _section(results, protocol)
    for test in results.tests:
        for cell in test.cells:
            where = f"stress {test.name}, severity {cell.severity}"
            yield from _cell(cell, test, results, where)
            yield from _losses(cell, test, results, where)
        yield from _test(test)
    yield from _shortcuts(results)
    counts = Counter(test.verdict for test in results.tests)
    if {item.verdict: item.tests for item in results.verdicts} != dict(counts):
        yield "stress: the verdicts are not those of the tests"
    if sorted(results.ranked) != sorted(test.name for test in results.tests if test.name != _CLEAN):
        yield "stress: the ranking does not hold every test once"


def _section(results: StressResults, protocol: Mapping[str, Any]) -> Iterator[str]:
    section = protocol.get("stress")
    if not isinstance(section, Mapping):
        yield "stress: the protocol asks for no stress tests"
        return
    registered = {
        test["name"]: (test["severities"], test["labels"], test["expectation"]) for test in section["tests"]
    }
    for test in results.tests:
        if test.name == _CLEAN:
            continue
        shown = (
            [cell.severity for cell in test.cells],
            [cell.label for cell in test.cells],
            test.expectation,
        )
        if test.name not in registered or tuple(shown) != registered[test.name]:
            yield f"stress {test.name}: it is not what the protocol registered"
    left = set(registered) - {test.name for test in results.tests}
    # Another batch means nothing where a contract shows one case at a time; everything else is asked.
    if left - {"repeat_other_batch"}:
        yield "stress: a registered perturbation has no result"
    margins = section["margins"]
    for name in ("auroc", "sensitivity", "specificity", *_OF_MARKS):
        if getattr(results.margins, name) != margins.get(name):
            yield f"stress: the margin of {name} is not the registered one"
    if tuple(section.get("left_out", ())) and not any(
        "Left out of the suite" in each for each in results.notes
    ):
        yield "stress: what was left out of the suite is not told"


def _cell(cell: StressCell, test: StressTestResult, results: StressResults, where: str) -> Iterator[str]:
    if cell.planned != results.patients or cell.cases + cell.not_applicable + cell.not_put != cell.planned:
        yield f"{where}: the cases do not add up"
    if cell.positives + cell.negatives != cell.cases or not 0 <= cell.answered <= cell.cases:
        yield f"{where}: the counted cases do not add up"
    if sum(item.cases for item in cell.failures) != cell.cases - cell.answered:
        yield f"{where}: the failures by code do not add up"
    for calls in cell.calls:
        if calls.n != (cell.positives if calls.positive else cell.negatives):
            yield f"{where}: the paired calls do not add up"
        elif calls.n:
            yield from _rate(calls, cell, where)
    for found in cell.estimates:
        if found.metric == "failure_rate" and found.successes != cell.cases - cell.answered:
            yield f"{where}: the failure rate is not that of its counts"
        if found.successes is not None and not equal(found.value, found.successes / found.n):
            yield f"{where}: {found.metric} is not that of its counts"
    yield from _marks(cell, test, results, where)
    if cell.verdict == "equal" and cell.different and test.readout == "paired difference":
        yield f"{where}: answers differ, yet it is called equal"
    if test.expectation == "must refuse" and cell.answered and cell.verdict != "answered_nonsense":
        yield f"{where}: cases were answered that had to be refused, and the verdict does not say so"


def _marks(cell: StressCell, test: StressTestResult, results: StressResults, where: str) -> Iterator[str]:
    """Hold the verdict on masks or findings against the intervals of their changes and the declared margins."""
    shown = {(loss.metric, loss.subject) for loss in cell.losses if loss.shown}
    judged = [
        (each, margin, (each.metric, each.subject) in shown)
        for name in _OF_MARKS
        for each in cell.estimates
        if each.metric == f"{name}_change" and (margin := getattr(results.margins, name)) is not None
    ]
    if (
        not judged
        or test.expectation != "may change within a margin"
        or not cell.answered
        or not cell.different
    ):
        return
    broken = any(each.high is not None and each.high < -margin and sure for each, margin, sure in judged)
    kept = all(each.low is not None and each.low > -margin for each, margin, _ in judged)
    told = "outside" if broken else "within" if kept else "cannot_tell"
    if cell.verdict != told:
        yield f"{where}: the verdict is not that of the intervals of its changes"


def _rate(calls: PairedCalls, cell: StressCell, where: str) -> Iterator[str]:
    metric = "sensitivity_change" if calls.positive else "specificity_change"
    for found in cell.estimates:
        if found.metric != metric or found.subject != calls.operating_point:
            continue
        if not equal(found.value, (calls.only_stressed - calls.only_clean) / calls.n) or found.n != calls.n:
            yield f"{where}: {metric} is not that of its counts"
        if found.method == "tango" and found.low is not None and found.high is not None:
            low, high = tango(calls.only_stressed, calls.only_clean, calls.n, found.level)
            if abs(low - found.low) > _TOLERANCE or abs(high - found.high) > _TOLERANCE:
                yield f"{where}: the interval of {metric} is not Tango's"


def _losses(cell: StressCell, test: StressTestResult, results: StressResults, where: str) -> Iterator[str]:
    """Hold the p-values of rates against their counts, and the verdict against what is shown after adjustment."""
    calls = {(each.operating_point, each.positive): each for each in cell.calls}
    for loss in cell.losses:
        if loss.shown != (loss.adjusted_p < 1 - results.level):
            yield f"{where}: {loss.metric} is called shown against its adjusted p"
        paired = calls.get((loss.subject or "", loss.metric == "sensitivity_change"))
        margin = {
            "sensitivity_change": results.margins.sensitivity,
            "specificity_change": results.margins.specificity,
        }.get(loss.metric)
        if margin is not None and (paired is None or abs(loss.p - _loss_p(paired, margin)) > _TOLERANCE):
            yield f"{where}: the p of {loss.metric} is not that of its counts"
    margins = test.expectation == "may change within a margin" and test.readout == "paired difference"
    if (
        margins
        and cell.verdict == "outside"
        and cell.answered
        and not any(each.shown for each in cell.losses)
    ):
        yield f"{where}: it is called outside, and no loss is shown after adjustment"


def _loss_p(calls: PairedCalls, margin: float) -> float:
    """Two-sided p of Tango's statistic at a loss of the margin; 1 for a loss within it."""
    n, gained, lost = calls.n, calls.only_stressed, calls.only_clean
    delta = -margin
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = max(0.0, 2 * q + delta * (1 - delta))
    distance = ((lost - gained) / n - margin) * math.sqrt(n)
    if distance <= 0:
        return 1.0
    return math.erfc(distance / math.sqrt(2 * variance)) if variance else 0.0


def _shortcuts(results: StressResults) -> Iterator[str]:
    """Recompute Holm 1979 over the attributes, and what is called shown."""
    ordered = sorted(results.shortcuts, key=lambda each: each.p)
    reached = 0.0
    for rank, found in enumerate(ordered):
        where = f"stress: the shortcut by {found.attribute}"
        reached = max(reached, min(1.0, (len(ordered) - rank) * found.p))
        if found.groups and not equal(found.adjusted_p, reached):
            yield f"{where} is not adjusted by Holm"
        if found.shown != (bool(found.groups) and found.adjusted_p < 1 - results.level):
            yield f"{where} is called shown against its adjusted p"
        if any(each.shown != (each.adjusted_p < 1 - results.level) for each in found.groups):
            yield f"{where} has a group that is called shown against its adjusted p"


def _test(test: StressTestResult) -> Iterator[str]:
    where = f"stress {test.name}"
    if not test.cells or [cell.severity for cell in test.cells] != sorted(
        {cell.severity for cell in test.cells}
    ):
        yield f"{where}: the severities are not in order"
        return
    worst = min((cell.verdict for cell in test.cells), key=VERDICTS.index)
    broken = [cell.severity for cell in test.cells if cell.verdict in _BROKEN]
    crossed = [cell.severity for cell in test.cells if cell.verdict in (*_BROKEN, "cannot_tell")]
    if test.verdict != worst:
        yield f"{where}: the verdict is not the worst of its severities"
    if test.breaks_at != min(broken, default=None) or test.crosses_at != min(crossed, default=None):
        yield f"{where}: where it breaks is not where its severities say"
