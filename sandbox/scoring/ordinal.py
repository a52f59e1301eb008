"""A task whose answer is one of several grades in order, such as BI-RADS.

Under ``worst_case`` a failed case counts as the grade that costs most given the truth (by the declared costs, else
the farthest; equal ones: the lowest), and for AUROC as below every case when it is of the higher grade, above every
case when of the lower: so a miss improves no mean.

Sources: Cohen 1968 and Fleiss, Cohen and Everitt 1969 for weighted kappa (:mod:`agreement`); expected cost after
Adams and Hand 1999 (Pattern Recognit 32:1139).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from sandbox.outcome.result_figures import CountTable
from sandbox.outcome.results import Estimate
from sandbox.plan.metric_catalogue import PAIR
from sandbox.plan.output_schema import GradesOutput
from sandbox.plan.protocol import Protocol
from sandbox.scoring import roc
from sandbox.scoring.agreement import agreement_weights, kappa
from sandbox.scoring.cases import Bools, Floats, Integers, make_cases
from sandbox.scoring.class_outcomes import kappa_statistic
from sandbox.scoring.estimates import undefined
from sandbox.scoring.influence import from_influence
from sandbox.scoring.multiclass import NO_ANSWER, confusion
from sandbox.scoring.outcomes import Outcome, mean, rate, statistic
from sandbox.scoring.proportions import proportion
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.task_analysis import Place, TaskParts, score_task
from sandbox.scoring.task_columns import TaskColumns, task_columns

NOTES = (
    "A failed case counts as the grade that costs most given the truth, and agrees with nothing.",
    "The standard error of kappa is the one that does not assume kappa to be 0.",
)


def score_ordinal(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a task with grades in order.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    cases, levels = task_columns(labelled, protocol)
    parts = TaskParts(
        estimates=_estimates,
        tables=_tables,
        compared=_compared,
        worst_by=(("quadratic_kappa", False), ("exact_agreement", False), ("expected_cost", True)),
        notes=NOTES,
    )
    return score_task(cases, levels, parts, protocol, evaluation)


def given_grades(cases: TaskColumns, costs: Floats) -> Integers:
    """Grade that each case counts as; a failed one as the costliest given its truth.

    Args:
        cases: cases of an ordinal task.
        costs: shape (grades, grades), cost of each answer (column) given each truth (row).
    """
    truth = cases.truth[:, 0].astype(np.int64)
    worst = np.argmax(costs, axis=1)[truth]
    answered = np.nan_to_num(cases.answer[:, 0]).astype(np.int64)
    return np.asarray(np.where(cases.failed, worst, answered), dtype=np.int64)


def cost_matrix(protocol: Protocol) -> Floats:
    """The declared costs, or the distance in grades."""
    size = len(_grades(protocol).names)
    if protocol.costs is not None:
        return np.array(protocol.costs, dtype=np.float64)
    return np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)


def _grades(protocol: Protocol) -> GradesOutput:
    assert protocol.output.grades is not None
    return protocol.output.grades


def _estimates(cases: TaskColumns, protocol: Protocol, _place: Place) -> tuple[Estimate, ...]:
    names, level, method = _grades(protocol).names, protocol.intervals.level, protocol.intervals.proportion
    costs = cost_matrix(protocol)
    truth, given = cases.truth[:, 0].astype(np.int64), given_grades(cases, costs)
    error = (given - truth).astype(np.float64)
    basis, size = cases.basis(level), len(names)

    def rate(
        metric: str, success: np.ndarray, chosen: np.ndarray, empty: str, positives: int | None
    ) -> Estimate:
        return proportion(
            metric, success[chosen], cases.patient[chosen],
            positives=positives, level=level, method=method, empty=empty,
        )  # fmt: skip

    whole = np.ones(cases.n, dtype=bool)
    right = (error == 0) & ~cases.failed
    near = (np.abs(error) <= 1) & ~cases.failed
    found = [
        *(
            kappa(f"{kind}_kappa", truth, given, cases.patient, agreement_weights(size, size, kind), basis)
            for kind in ("quadratic", "linear")
        ),
        rate("exact_agreement", right, whole, "There is no case.", None),
        rate("within_one_agreement", near, whole, "There is no case.", None),
        _mean("mean_absolute_grade_error", np.abs(error), cases, protocol, low=0.0, high=size - 1.0),
        _signed(error, cases, protocol),
        _cost(costs[truth, given], cases, protocol),
    ]
    for index, name in enumerate(names):
        own, called = truth == index, (given == index)
        found += [
            replace(each, subject=name)
            for each in (
                rate("sensitivity", right, own, f"There is no case of grade {name}.", int(own.sum())),
                rate("ppv", right, called, f"No case is given grade {name}.", int(own[called].sum())),
            )
        ]
    return (*found, *_adjacent(cases, truth, protocol))


def _adjacent(cases: TaskColumns, truth: Integers, protocol: Protocol) -> Iterator[Estimate]:
    """AUROC of each grade against the one below it, over cases of the two."""
    names, level = _grades(protocol).names, protocol.intervals.level
    score = _expected_grade(cases)
    for lower, pair in enumerate(itertools.pairwise(names)):
        chosen = (truth == lower) | (truth == lower + 1)
        own = truth[chosen] == lower + 1
        lost = cases.failed[chosen]
        ranked = np.where(lost, np.where(own, -np.inf, np.inf), score[chosen])
        scored = make_cases(own, ranked, cases.patient[chosen], lost)
        yield replace(roc.auroc(scored, level, "adjacent_auroc"), subject=PAIR.join(pair))


def _expected_grade(cases: TaskColumns) -> Floats:
    """Mean grade by the answered probabilities, or the grade itself where there are none or they are all 0."""
    answers = np.nan_to_num(cases.answer)
    probability = answers[:, 1:]
    total = probability.sum(axis=1)
    if probability.shape[1] == 0:
        return np.asarray(answers[:, 0], dtype=np.float64)
    weighted = probability @ np.arange(probability.shape[1])
    return np.asarray(np.divide(weighted, total, out=answers[:, 0].copy(), where=total > 0), dtype=np.float64)


def _signed(error: Floats, cases: TaskColumns, protocol: Protocol) -> Estimate:
    """Mean signed error; a failed case counts as wrong by its size in the direction of the answered cases' mean."""
    answered = error[~cases.failed]
    direction = -1.0 if answered.size and answered.mean() < 0 else 1.0
    signed = np.where(cases.failed, direction * np.abs(error), error)
    top = len(_grades(protocol).names) - 1.0
    return _mean("mean_grade_error", signed, cases, protocol, low=-top, high=top)


def _cost(cost: Floats, cases: TaskColumns, protocol: Protocol) -> Estimate:
    if protocol.costs is None:
        basis = cases.basis(protocol.intervals.level)
        return undefined("expected_cost", basis, "none", "The protocol declares no costs.")
    return _mean("expected_cost", cost, cases, protocol, low=0.0, high=float(np.max(protocol.costs)))


def _mean(
    metric: str, values: Floats, cases: TaskColumns, protocol: Protocol, *, low: float, high: float
) -> Estimate:
    basis = cases.basis(protocol.intervals.level)
    if cases.n == 0:
        return undefined(metric, basis, "influence-normal", "There is no case.")
    value = float(values.mean())
    return from_influence(metric, value, (values - value) / cases.n, cases.patient, basis, low=low, high=high)


def _compared(asked: TaskColumns, counted: Bools, protocol: Protocol, _place: Place) -> tuple[Outcome, ...]:
    """What is compared between groups."""
    costs, size = cost_matrix(protocol), len(_grades(protocol).names)
    truth, given = asked.truth[:, 0].astype(np.int64), given_grades(asked, costs)
    error = (given - truth).astype(np.float64)

    top = size - 1.0
    found = [
        statistic(
            "quadratic_kappa",
            counted,
            kappa_statistic(truth, given, agreement_weights(size, size, "quadratic")),
            low=-1.0,
        ),
        rate("exact_agreement", counted, (error == 0) & ~asked.failed),
        rate("within_one_agreement", counted, (np.abs(error) <= 1) & ~asked.failed),
        # A failed case has no direction: which one it is given would differ from group to group.
        mean("answered_grade_error", ~asked.failed, error, low=-top, high=top),
        mean("mean_absolute_grade_error", counted, np.abs(error), high=top),
    ]
    if protocol.costs is not None:
        found.append(mean("expected_cost", counted, costs[truth, given], high=float(np.max(costs))))
    return tuple(found)


def _tables(cases: TaskColumns, protocol: Protocol, place: Place) -> tuple[CountTable, ...]:
    names = _grades(protocol).names
    answered = np.where(cases.failed, len(names), np.nan_to_num(cases.answer[:, 0])).astype(np.int64)
    counts = confusion(cases.truth[:, 0].astype(np.int64), answered, len(names))
    shown = counts if place.rule == "worst_case" else counts[:, :-1]
    return (
        CountTable(
            name="grades",
            title="True grade against given grade",
            row_title="Reference standard",
            column_title="Grade given by the algorithm",
            rows=names,
            columns=(*names, NO_ANSWER) if place.rule == "worst_case" else names,
            counts=tuple(tuple(row) for row in shown.tolist()),
            note="Grades in order; the diagonal is exact agreement, its neighbours agreement within one.",
            diagonal=True,
        ),
    )
