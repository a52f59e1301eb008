"""Recomputing results.json from its own counts, with the standard library alone.

A second pair of eyes: nothing here is shared with the code that made the numbers. Rates are recomputed from
the confusion counts, Wilson limits from their formula, Clopper-Pearson limits from the binomial tails that
define them, AUROC is held against the area under the printed curve, counts against their totals, and verdicts
against the estimates they rest on. Where patients have several cases the effective sample size is not in the
file; such an interval must then contain the one for independent cases.

Sources: Wilson 1927; Clopper and Pearson 1934; Hanley and McNeil 1982 (AUROC as an area).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from sandbox.evidence.gap_arithmetic import gap_contradictions
from sandbox.evidence.mix_arithmetic import mix_contradictions
from sandbox.evidence.proportion_arithmetic import TOLERANCE, equal
from sandbox.evidence.proportion_arithmetic import wilson as wilson
from sandbox.evidence.task_arithmetic import task_contradictions
from sandbox.outcome.results import (
    Analysis,
    CriterionResult,
    Estimate,
    OperatingPointResult,
    Results,
    RocCurve,
    StratumResult,
)

_TAIL_TOLERANCE = 1e-6
MAX_CASES = 1_000_000  # bounds the work that a forged file can ask for


def contradictions(results: Results) -> list[str]:
    """Every place where the results contradict themselves, as sentences; empty when they agree."""
    return list(_find(results))


def count_checked(results: Results) -> int:
    """Count the estimates that are looked at."""
    return sum(1 for _ in _all_estimates(results))


def _find(results: Results) -> Iterator[str]:
    yield from _flow(results)
    for analysis in results.analyses:
        where = f"analysis {analysis.failure_rule}"
        yield from _analysis(analysis, results, where)
        yield from gap_contradictions(analysis, where)
        yield from task_contradictions(analysis, where)
        yield from mix_contradictions(analysis, where)
    for where, estimate in _all_estimates(results):
        yield from _estimate(estimate, where)
    yield from _acceptance(results)


def _flow(results: Results) -> Iterator[str]:
    flow = results.flow
    if not _adds_up(flow.positives, flow.negatives, flow.cases) or flow.answered + flow.failed != flow.cases:
        yield "flow: the cases do not add up"
    if sum(item.cases for item in flow.failures) != flow.failed:
        yield "flow: the failures by code do not add up to the failed cases"
    if flow.locked is not None and flow.cases + flow.unlabelled > flow.locked:
        yield "flow: more cases were scored than were locked"
    rules = [analysis.failure_rule for analysis in results.analyses]
    if rules != ["worst_case", "excluded"]:
        yield "analyses: both rules for failed cases must be shown, worst_case first"
        return
    worst, excluded = results.analyses
    if worst.n != flow.cases or excluded.n != flow.answered:
        yield "analyses: the numbers of cases are not those of the flow"


def _analysis(analysis: Analysis, results: Results, where: str) -> Iterator[str]:
    if (
        not _adds_up(analysis.positives, analysis.negatives, analysis.n)
        or not 0 <= analysis.patients <= analysis.n
    ):
        yield f"{where}: the cases do not add up"
    for point in analysis.operating_points:
        yield from _point(point, analysis, f"{where}, {_named(point)}")
    sums: dict[str, list[StratumResult]] = defaultdict(list)
    for stratum in analysis.strata:
        place = f"{where}, {stratum.attribute} = {stratum.level}"
        sums[stratum.attribute].append(stratum)
        if not _adds_up(stratum.positives, stratum.negatives, stratum.n) or stratum.patients > stratum.n:
            yield f"{place}: the cases do not add up"
        for point in stratum.operating_points:
            yield from _point(point, stratum, f"{place}, {_named(point)}")
    for attribute, levels in sums.items():
        totals = (
            sum(s.n for s in levels),
            sum(s.positives or 0 for s in levels),
            sum(s.failures for s in levels),
        )
        if totals != (analysis.n, analysis.positives or 0, results.flow.failed):
            yield f"{where}, {attribute}: the levels do not add up to all cases"
    roc = analysis.curves.roc
    auroc = next((e for e in analysis.estimates if e.metric == "auroc" and e.subject is None), None)
    if roc is not None:
        yield from _curve(roc, auroc, f"{where}, ROC curve")


def _adds_up(positives: int | None, negatives: int | None, n: int) -> bool:
    """Whether positives and negatives are all cases; a task without one binary target has neither."""
    if positives is None or negatives is None:
        return positives is None and negatives is None
    return positives + negatives == n


def _named(point: OperatingPointResult) -> str:
    return point.name if point.subject is None else f"{point.name} of {point.subject}"


def _point(point: OperatingPointResult, whole: Analysis | StratumResult, where: str) -> Iterator[str]:
    tp, fp, fn, tn = point.tp, point.fp, point.fn, point.tn
    positives, negatives = tp + fn, fp + tn
    # A label of a multilabel task may be unknown for some cases: the whole has no such counts.
    known = point.subject is not None
    if min(tp, fp, fn, tn) < 0 or not (known or (positives, negatives) == (whole.positives, whole.negatives)):
        yield f"{where}: the confusion counts do not add up to positives and negatives"
        return
    rates = {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, fp + tn),
        "ppv": (tp, tp + fp),
        "npv": (tn, fn + tn),
    }
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, fp + tn)
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    values = {
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "balanced_accuracy": None
        if sensitivity is None or specificity is None
        else (sensitivity + specificity) / 2,
        "mcc": (tp * tn - fp * fn) / math.sqrt(margins) if margins else None,
        "lr_positive": _ratio(tp * negatives, fp * positives),
        "lr_negative": _ratio(fn * negatives, tn * positives),
    }
    for estimate in point.estimates:
        place = f"{where}, {estimate.metric}"
        if estimate.metric in rates:
            successes, n = rates[estimate.metric]
            if (estimate.successes, estimate.n) != (successes, n):
                yield f"{place}: it does not rest on the confusion counts"
            values[estimate.metric] = _ratio(successes, n)
        # A declared rate that no threshold reaches leaves the other one without a value.
        unreached = point.chosen_by is not None and estimate.value is None
        if estimate.metric in values and not unreached and not equal(estimate.value, values[estimate.metric]):
            yield f"{place}: the value is not the one of the counts"


def _estimate(estimate: Estimate, where: str) -> Iterator[str]:
    value, low, high = estimate.value, estimate.low, estimate.high
    if (value is None) != (estimate.status == "undefined"):
        yield f"{where}: status and value contradict each other"
    slack = TOLERANCE * max(1.0, abs(value or 0.0))
    outside = value is not None and (
        (low is not None and low > value + slack) or (high is not None and high < value - slack)
    )
    # A bootstrap interval of a biased statistic may rightly leave the value outside.
    if outside and "bootstrap" not in estimate.method:
        yield f"{where}: the interval does not hold the value"
    if low is not None and high is not None and low > high + slack:
        yield f"{where}: the interval is upside down"
    if not (0 <= (estimate.positives or 0) <= estimate.n and 0 <= estimate.patients <= estimate.n):
        yield f"{where}: more positives or patients than cases"
    if estimate.successes is None or value is None or estimate.n == 0:
        return
    if not equal(value, estimate.successes / estimate.n):
        yield f"{where}: the proportion is not the one of its counts"
        return
    yield from _interval(estimate, where)


def _interval(estimate: Estimate, where: str) -> Iterator[str]:
    k, n, low, high = estimate.successes, estimate.n, estimate.low, estimate.high
    method = estimate.method.removesuffix("-clustered")
    clustered = method != estimate.method
    if k is None or low is None or high is None or method not in ("wilson", "clopper-pearson"):
        return
    if not 0 <= k <= n <= MAX_CASES:
        yield f"{where}: its counts cannot be"
        return
    if not clustered and estimate.patients != n:
        yield f"{where}: several cases to a patient, but the interval does not allow for them"
    if method == "wilson":
        expected = wilson(k, n, estimate.level)
        if clustered and (low > expected[0] + TOLERANCE or high < expected[1] - TOLERANCE):
            yield f"{where}: the interval is narrower than for independent cases"
        if not clustered and not (equal(low, expected[0]) and equal(high, expected[1])):
            yield f"{where}: the Wilson interval is not the one of its counts"
        return
    tail = (1 - estimate.level) / 2
    # The exact limits are where the binomial tail beyond the count is (1 - level) / 2; a wider one has less.
    over = _binomial_tail(k, n, low) if k > 0 else tail
    under = _binomial_tail(n - k, n, 1 - high) if k < n else tail
    if (k == 0 and low != 0) or (k == n and high != 1):
        yield f"{where}: the exact interval does not reach the end"
    slack = _TAIL_TOLERANCE * tail
    if max(over, under) > tail + slack or (not clustered and min(over, under) < tail - slack):
        yield f"{where}: the exact interval is not the one of its counts"


def _curve(roc: RocCurve, auroc: Estimate | None, where: str) -> Iterator[str]:
    x, y = roc.false_positive_rate, roc.sensitivity
    if len({len(x), len(y), len(roc.threshold), len(roc.band_low), len(roc.band_high)}) != 1 or len(x) < 2:
        yield f"{where}: its columns differ in length"
        return
    if (x[0], y[0]) != (0.0, 0.0) or (x[-1], y[-1]) != (1.0, 1.0):
        yield f"{where}: it does not run from one corner to the other"
    steps = [(x[i + 1] - x[i], y[i + 1] - y[i], (y[i + 1] + y[i]) / 2) for i in range(len(x) - 1)]
    if any(dx < 0 or dy < 0 for dx, dy, _ in steps):
        yield f"{where}: it falls"
        return
    area = sum(dx * middle for dx, _, middle in steps)
    # Corners may have been thinned; between two of them the true curve stays within their rectangle.
    room = sum(dx * dy / 2 for dx, dy, _ in steps)
    if auroc is not None and auroc.value is not None and abs(area - auroc.value) > room + TOLERANCE:
        yield f"{where}: the area under it is not the AUROC"


def _acceptance(results: Results) -> Iterator[str]:
    chosen = next((a for a in results.analyses if a.failure_rule == results.chosen), None)
    known = {estimate for _, estimate in _estimates_of(chosen, "")} if chosen else set()
    for criterion in results.acceptance:
        where = f"criterion {criterion.name}"
        if criterion.verdict != _judge(criterion):
            yield f"{where}: the verdict does not follow from its estimate"
        if criterion.estimate.n and criterion.estimate not in known:
            yield f"{where}: its estimate is not one of the chosen analysis"
    verdicts = {criterion.verdict for criterion in results.acceptance}
    overall = next((v for v in ("not_met", "cannot_tell", "met") if v in verdicts), None)
    if overall != results.verdict:
        yield "verdict: it does not follow from the criteria"


def _judge(criterion: CriterionResult) -> str:
    estimate, limit = criterion.estimate, criterion.limit
    if estimate.status != "ok" or estimate.value is None:
        return "cannot_tell"
    if criterion.bound == "value":
        reached = estimate.value >= limit if criterion.direction == "at_least" else estimate.value <= limit
        return "met" if reached else "not_met"
    if estimate.low is None or estimate.high is None:
        return "cannot_tell"
    if criterion.direction == "at_least":
        return "met" if estimate.low >= limit else "not_met" if estimate.high < limit else "cannot_tell"
    return "met" if estimate.high <= limit else "not_met" if estimate.low > limit else "cannot_tell"


def _all_estimates(results: Results) -> Iterator[tuple[str, Estimate]]:
    for analysis in results.analyses:
        yield from _estimates_of(analysis, f"analysis {analysis.failure_rule}")
    for criterion in results.acceptance:
        yield f"criterion {criterion.name}", criterion.estimate


def _estimates_of(analysis: Analysis, where: str) -> Iterator[tuple[str, Estimate]]:
    for estimate in analysis.estimates:
        yield f"{where}, {estimate.metric}", estimate
    for point in analysis.operating_points:
        for estimate in point.estimates:
            yield f"{where}, {point.name}, {estimate.metric}", estimate
    for stratum in analysis.strata:
        place = f"{where}, {stratum.attribute} = {stratum.level}"
        for estimate in stratum.estimates:
            yield f"{place}, {estimate.metric}", estimate
        for point in stratum.operating_points:
            for estimate in point.estimates:
                yield f"{place}, {point.name}, {estimate.metric}", estimate


def _binomial_tail(k: int, n: int, p: float) -> float:
    """P(X >= k) of a binomial with ``n`` trials of probability ``p``."""
    if p <= 0:
        return 1.0 if k <= 0 else 0.0
    if p >= 1:
        return 1.0
    logs = [
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(p)
        + (n - i) * math.log1p(-p)
        for i in range(k, n + 1)
    ]
    return math.fsum(math.exp(log) for log in logs)


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None
