"""Recomputing what follows from the tables of a task with classes, labels, grades or measurements.

Standard library alone, nothing shared with the code that made the numbers. What rests on single answers (AUROC of
classes, ranking, Brier scores, limits of agreement, concordance, intervals other than Wilson's and Clopper and
Pearson's) cannot be recomputed from a table; :func:`not_recomputed` names it.

Sources: Cohen 1960 and 1968 for kappa; Gorodkin 2004 for Matthews' correlation of several classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sandbox.evidence.proportion_arithmetic import equal
from sandbox.outcome.result_figures import CountTable
from sandbox.outcome.results import Analysis, Estimate, OperatingPointResult, Results

_RECOMPUTED_RATES = frozenset({"sensitivity", "specificity", "ppv", "npv", "accuracy", "failure_rate"})


def task_contradictions(analysis: Analysis, where: str) -> Iterator[str]:
    """Give every place where an analysis contradicts its own tables, as sentences."""
    estimates = {(each.metric, each.subject): each for each in analysis.estimates}
    for table in analysis.tables:
        place = f"{where}, {table.title}"
        if len(table.counts) != len(table.rows) or any(
            len(row) != len(table.columns) for row in table.counts
        ):
            yield f"{place}: its counts do not fit its rows and columns"
            continue
        if any(count < 0 for row in table.counts for count in row):
            yield f"{place}: a count is negative"
        if table.diagonal:
            if sum(map(sum, table.counts)) != analysis.n:
                yield f"{place}: the counts do not add up to the cases"
            yield from _of_table(table, estimates, place)
    yield from _means(estimates, where)
    yield from _measured(estimates, where)
    yield from _labels(analysis, where)


def not_recomputed(results: Results) -> tuple[str, ...]:
    """Names of the metrics whose values these checks cannot derive from the counts in the file."""
    found: dict[str, None] = {}
    for analysis in results.analyses:
        known = {name for table in analysis.tables if table.diagonal for name, _, _ in _expected(table)}
        known |= _RECOMPUTED_RATES | {
            "macro_auroc",
            "lr_positive",
            "lr_negative",
            "f1",
            "balanced_accuracy",
            "mcc",
        }
        known |= {"auroc"} if results.task in ("binary", "triage") else set()
        known |= {"micro_f1", "macro_f1"} if analysis.operating_points else set()
        for each in analysis.estimates:
            if each.metric not in known and each.successes is None:
                found[each.metric] = None
    return tuple(found)


def _of_table(
    table: CountTable, estimates: Mapping[tuple[str, str | None], Estimate], where: str
) -> Iterator[str]:
    """Hold the estimates against the confusion matrix they come from."""
    for metric, subject, value in _expected(table):
        each = estimates.get((metric, subject))
        if each is not None and each.value is not None and value is not None and not equal(each.value, value):
            about = f" of {subject}" if subject else ""
            yield f"{where}: {metric}{about} is not the one of the counts"


def _expected(table: CountTable) -> Iterator[tuple[str, str | None, float | None]]:
    """Every value that follows from a confusion matrix, as (metric, subject, value)."""
    counts, size = table.counts, len(table.rows)
    n = sum(map(sum, counts))
    lost = [row[size] if len(row) > size else 0 for row in counts]
    rows = [sum(row) for row in counts]
    hits = [counts[i][i] for i in range(size)]
    given = [sum(row[j] for row in counts) for j in range(size)]
    # A case without an answer is a call for every class but its own.
    calls = [given[j] + sum(lost) - lost[j] for j in range(size)]
    sensitivities = [_ratio(hits[i], rows[i]) for i in range(size)]
    for name, value in zip(table.rows, sensitivities, strict=True):
        yield "sensitivity", name, value
    if table.name == "grades":
        near = sum(counts[i][j] for i in range(size) for j in range(size) if abs(i - j) <= 1)
        yield "exact_agreement", None, _ratio(sum(hits), n)
        yield "within_one_agreement", None, _ratio(near, n)
        # What a case without an answer counts as depends on the costs, which are not in the file.
        if not sum(lost):
            yield "linear_kappa", None, _kappa(counts, size, 1)
            yield "quadratic_kappa", None, _kappa(counts, size, 2)
        return
    yield "accuracy", None, _ratio(sum(hits), n)
    for j, name in enumerate(table.rows):
        yield "ppv", name, _ratio(hits[j], calls[j])
        yield "specificity", name, _ratio(n - rows[j] - (calls[j] - hits[j]), n - rows[j])
    if all(rows):
        yield "balanced_accuracy", None, sum(each or 0.0 for each in sensitivities) / size
        yield "macro_ppv", None, sum(_ratio(hits[j], calls[j]) or 0.0 for j in range(size)) / size
        yield "macro_f1", None, sum(2 * hits[j] / (calls[j] + rows[j]) for j in range(size)) / size
    expected = sum(rows[j] * given[j] for j in range(size)) / n**2 if n else 1.0
    yield "cohen_kappa", None, _ratio(sum(hits) / n - expected, 1 - expected) if n else None
    spread = (n**2 - sum(each**2 for each in rows)) * (n**2 - sum(each**2 for each in given) - sum(lost) ** 2)
    above = n * sum(hits) - sum(rows[j] * given[j] for j in range(size))
    yield "mcc", None, above / math.sqrt(spread) if spread > 0 else None


def _kappa(counts: tuple[tuple[int, ...], ...], size: int, power: int) -> float | None:
    """Weighted kappa by disagreement: 1 minus observed over expected."""
    n = sum(map(sum, counts))
    rows = [sum(row[:size]) for row in counts]
    columns = [sum(row[j] for row in counts) for j in range(size)]
    observed = sum(counts[i][j] * abs(i - j) ** power for i in range(size) for j in range(size))
    expected = sum(rows[i] * columns[j] * abs(i - j) ** power for i in range(size) for j in range(size)) / n
    return 1 - observed / expected if expected else None


def _means(estimates: Mapping[tuple[str, str | None], Estimate], where: str) -> Iterator[str]:
    """Macro means are the means of their classes."""
    for whole, part in (("macro_auroc", "auroc"), ("macro_average_precision", "average_precision")):
        each = estimates.get((whole, None))
        parts = [found.value for (metric, subject), found in estimates.items() if metric == part and subject]
        known = [value for value in parts if value is not None]
        if each is None or each.value is None or not parts:
            continue
        if len(known) != len(parts) or not equal(each.value, math.fsum(known) / len(known)):
            yield f"{where}: {whole} is not the mean of its classes"


def _measured(estimates: Mapping[tuple[str, str | None], Estimate], where: str) -> Iterator[str]:
    """Limits of agreement lie around the bias; the repeatability coefficient follows from the within-subject SD."""

    def value(metric: str) -> float | None:
        found = estimates.get((metric, None))
        return None if found is None else found.value

    bias, low, high = (
        value(name) for name in ("bias", "lower_limit_of_agreement", "upper_limit_of_agreement")
    )
    if bias is not None and low is not None and high is not None and not equal((low + high) / 2, bias):
        yield f"{where}: the limits of agreement do not lie around the bias"
    rmse, mae = value("root_mean_square_error"), value("mean_absolute_error")
    if (
        rmse is not None
        and mae is not None
        and bias is not None
        and not abs(bias) <= mae + 1e-9 <= rmse + 2e-9
    ):
        yield f"{where}: bias, mean absolute error and root mean square error contradict each other"
    within, coefficient = value("within_subject_sd"), value("repeatability_coefficient")
    if (
        within is not None
        and coefficient is not None
        and not equal(coefficient, 1.96 * math.sqrt(2) * within)
    ):
        yield f"{where}: the repeatability coefficient does not follow from the within-subject SD"


def _labels(analysis: Analysis, where: str) -> Iterator[str]:
    """Counts over all labels are the sums of the labels', and F1 follows from them."""
    names = dict.fromkeys(point.name for point in analysis.operating_points if point.subject is not None)
    for name in names:
        *labels, whole = [point for point in analysis.operating_points if point.name == name]
        place = f"{where}, {name}"
        for cell in ("tp", "fp", "fn", "tn"):
            if sum(getattr(point, cell) for point in labels) != getattr(whole, cell):
                yield f"{place}: the labels' counts do not add up"
                break
        values = {
            "micro_f1": _f1(whole),
            "macro_f1": _mean([_f1(point) for point in labels]),
        }
        for each in whole.estimates:
            wanted = values.get(each.metric)
            if each.value is not None and wanted is not None and not equal(each.value, wanted):
                yield f"{place}: {each.metric} is not the one of the counts"


def _f1(point: OperatingPointResult) -> float | None:
    return _ratio(2 * point.tp, 2 * point.tp + point.fp + point.fn)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None
