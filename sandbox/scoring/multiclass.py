"""A task whose answer is one number for each of several classes that exclude each other.

A case is called the class with the highest answer; a tie goes to the class that the protocol names first. Under
``worst_case`` a failed case is wrong for every class: missed for its own, a false alarm for each other, below
every score for its own and above every score for the others. For kappa it is a call of a class of its own, which
no truth has; its Brier score is 2, the largest.

Sources: Hand and Till 2001 (Mach Learn 45:171) for M; Gorodkin 2004 (Comput Biol Chem 28:367) for Matthews'
correlation of several classes; Sokolova and Lapalme 2009 (Inf Process Manag 45:427) for macro means; Zou and Donner
2008 (Stat Med 27:1693) for the interval of a mean of rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from sandbox.outcome.result_figures import CountTable
from sandbox.outcome.results import Estimate
from sandbox.plan.protocol import Protocol
from sandbox.scoring import calibration, roc
from sandbox.scoring.agreement import agreement_weights, kappa
from sandbox.scoring.cases import Bools, Floats, Integers, ScoredCases, make_cases
from sandbox.scoring.class_auroc import hand_till_auroc, macro_auroc, micro_auroc
from sandbox.scoring.class_outcomes import class_outcomes
from sandbox.scoring.class_plots import class_plots
from sandbox.scoring.estimates import undefined
from sandbox.scoring.influence import from_influence, table_influence
from sandbox.scoring.mean_of_rates import mean_of_rates
from sandbox.scoring.outcomes import Outcome
from sandbox.scoring.proportions import proportion
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.task_analysis import Place, TaskParts, score_task
from sandbox.scoring.task_columns import TaskColumns, task_columns

NO_ANSWER = "no answer"
NOTES = (
    "A case is called the class with the highest answer; a tie goes to the class that the protocol names first.",
    "A failed case is wrong for every class: missed for its own and a false alarm for each other.",
)


def score_multiclass(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a task with classes that exclude each other.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    cases, levels = task_columns(labelled, protocol)
    parts = TaskParts(
        estimates=estimates,
        tables=_tables,
        plots=lambda entered, plan, _place: class_plots(_one_against_rest(entered), _names(plan), plan),
        compared=_compared,
        worst_by=(("accuracy", False), ("balanced_accuracy", False), ("macro_auroc", False)),
        notes=NOTES,
    )
    return score_task(cases, levels, parts, protocol, evaluation)


def _compared(asked: TaskColumns, counted: Bools, protocol: Protocol, _place: Place) -> tuple[Outcome, ...]:
    truth = asked.truth[:, 0].astype(np.int64)
    return class_outcomes(_names(protocol), counted, truth, called_classes(asked), ranked_answers(asked))


def called_classes(cases: TaskColumns) -> Integers:
    """Index of the class that each case is called, the number of classes where it failed."""
    answers = np.where(cases.failed[:, None], -np.inf, cases.answer)
    best = np.argmax(answers, axis=1)
    return np.asarray(np.where(cases.failed, cases.answer.shape[1], best), dtype=np.int64)


def ranked_answers(cases: TaskColumns) -> Floats:
    """Answers with failed cases at their worst: below all for their own class, above all for the others."""
    own = np.arange(cases.answer.shape[1])[None, :] == cases.truth
    return np.where(cases.failed[:, None], np.where(own, -np.inf, np.inf), cases.answer)


def estimates(cases: TaskColumns, protocol: Protocol, _place: Place) -> tuple[Estimate, ...]:
    """Every estimate of a multiclass task over the given cases."""
    names, level, method = _names(protocol), protocol.intervals.level, protocol.intervals.proportion
    basis, classes = cases.basis(level), len(names)
    truth, called = cases.truth[:, 0].astype(np.int64), called_classes(cases)
    right = called == truth
    ranked = ranked_answers(cases)
    rate = partial(proportion, level=level, method=method)
    above = (ranked >= np.take_along_axis(ranked, truth[:, None], axis=1)).sum(axis=1)
    found = [
        rate("accuracy", right, cases.patient, positives=None, empty="There is no case."),
    ]
    found += [
        rate(f"top_{k}_accuracy", above <= k, cases.patient, positives=None, empty="There is no case.")
        for k in (2, 3)
        if k < classes
    ]
    sensitivities, by_class = [], []
    for index, name in enumerate(names):
        own = truth == index
        # A failed case is a false alarm for every class but its own.
        alarm = (called == index) | (cases.failed & ~own)
        sensitivity = rate(
            "sensitivity",
            right[own],
            cases.patient[own],
            positives=int(own.sum()),
            empty=f"There is no case of {name}.",
        )
        sensitivities.append(sensitivity)
        specificity = rate(
            "specificity", ~alarm[~own], cases.patient[~own], positives=0, empty=f"Every case is {name}."
        )
        precision = rate(
            "ppv",
            own[alarm],
            cases.patient[alarm],
            positives=int(own[alarm].sum()),
            empty=f"No case is called {name}.",
        )
        scored = make_cases(own, ranked[:, index], cases.patient, cases.failed)
        by_class += [
            replace(each, subject=name)
            for each in (
                roc.auroc(scored, level),
                sensitivity,
                specificity,
                precision,
                *_calibrated(scored, protocol),
            )
        ]
    members = [np.flatnonzero(truth == index) for index in range(classes)]
    found.append(
        mean_of_rates("balanced_accuracy", sensitivities, [right[each] for each in members],
                      [cases.patient[each] for each in members], basis, method)
    )  # fmt: skip
    found += _of_table(cases, truth, called, protocol)
    found.append(
        kappa(
            "cohen_kappa",
            truth,
            called,
            cases.patient,
            agreement_weights(classes, classes + 1, "none"),
            basis,
        )
    )
    found += [
        macro_auroc(ranked, truth, cases.patient, names, basis),
        micro_auroc(ranked, truth, cases.patient, basis),
        hand_till_auroc(ranked, truth, cases.patient, names, basis),
        _brier(cases, truth, protocol),
    ]
    return (*found, *by_class)


def _names(protocol: Protocol) -> tuple[str, ...]:
    assert protocol.output.classes is not None
    return protocol.output.classes.names


def _calibrated(scored: ScoredCases, protocol: Protocol) -> Iterator[Estimate]:
    """Brier score and calibration intercept of one class against the rest, where answers are probabilities."""
    classes, level = protocol.output.classes, protocol.intervals.level
    assert classes is not None
    if (classes.minimum, classes.maximum) == (0, 1):
        yield calibration.brier(scored, level)
        yield calibration.intercept(scored, level, 0.5 / (classes.levels - 1))


def _brier(cases: TaskColumns, truth: Integers, protocol: Protocol) -> Estimate:
    """Mean over cases of the squared distance of the answers to the truth, summed over classes."""
    classes = protocol.output.classes
    assert classes is not None
    basis = cases.basis(protocol.intervals.level)
    metric = "multiclass_brier"
    if (classes.minimum, classes.maximum) != (0, 1):
        reason = "The protocol does not declare the answers as probabilities (range 0 to 1)."
        return undefined(metric, basis, "none", reason)
    if cases.n == 0:
        return undefined(metric, basis, "mean-t", "There is no case.")
    own = np.arange(len(classes.names))[None, :] == truth[:, None]
    # Answers need not sum to one, so that a miss may cost more than 2; 2 is the most of a set that does.
    error = np.where(
        cases.failed, 2.0, np.minimum(2.0, ((np.nan_to_num(cases.answer) - own) ** 2).sum(axis=1))
    )
    return from_influence(
        metric,
        float(error.mean()),
        (error - error.mean()) / cases.n,
        cases.patient,
        basis,
        low=0.0,
        high=2.0,
        method="influence-normal",
    )


def _of_table(cases: TaskColumns, truth: Integers, called: Integers, protocol: Protocol) -> list[Estimate]:
    """Macro PPV, macro F1 and Matthews' correlation from the confusion matrix."""
    basis, classes = cases.basis(protocol.intervals.level), len(_names(protocol))
    counts = confusion(truth, called, classes).astype(np.float64)
    statistics: tuple[tuple[str, Callable[[Floats], float], float], ...] = (
        ("macro_ppv", _macro_ppv, 0.0),
        ("macro_f1", _macro_f1, 0.0),
        ("mcc", _matthews, -1.0),
    )
    found = []
    for metric, statistic, low in statistics:
        if cases.n == 0 or (counts.sum(axis=1) == 0).any():
            absent = [name for name, row in zip(_names(protocol), counts, strict=True) if row.sum() == 0]
            reason = f"There is no case of {', '.join(absent)}; the mean over classes needs each."
            found.append(undefined(metric, basis, "influence-normal", reason))
            continue
        value = statistic(counts)
        if math.isnan(value):
            reason = "All cases are called alike: the correlation is undefined."
            found.append(undefined(metric, basis, "influence-normal", reason))
            continue
        influence = table_influence(statistic, counts)[truth, called]
        found.append(
            from_influence(
                metric, value, influence - influence.mean(), cases.patient, basis, low=low, high=1.0
            )
        )
    return found


def confusion(truth: Integers, called: Integers, classes: int) -> Integers:
    """Counts by true class (rows) and called class (columns; the last is no answer)."""
    flat = np.bincount(truth * (classes + 1) + called, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1).astype(np.int64)


def _hits_alarms(shares: Floats) -> tuple[Floats, Floats]:
    """Share of hits, and of calls, of each class; a failed case is a call for every class but its own."""
    classes = shares.shape[0]
    failed = shares[:, classes]
    calls = shares[:, :classes].sum(axis=0) + failed.sum() - failed
    return np.diagonal(shares[:, :classes]), calls


def _macro_ppv(shares: Floats) -> float:
    hits, calls = _hits_alarms(shares)
    return float(np.divide(hits, calls, out=np.zeros_like(hits), where=calls > 0).mean())


def _macro_f1(shares: Floats) -> float:
    hits, calls = _hits_alarms(shares)
    return float((2 * hits / (calls + shares.sum(axis=1))).mean())


def _matthews(shares: Floats) -> float:
    """Gorodkin's correlation of call and truth; no answer is a call that no truth has."""
    classes, total = shares.shape[0], shares.sum()
    by_row, by_column = shares.sum(axis=1), shares.sum(axis=0)
    above = np.trace(shares[:, :classes]) * total - by_row @ by_column[:classes]
    below = (total**2 - by_row @ by_row) * (total**2 - by_column @ by_column)
    return float(above / math.sqrt(below)) if below > 0 else math.nan


def _one_against_rest(cases: TaskColumns) -> Iterator[ScoredCases]:
    """The cases as those of a binary task, for each class against the rest."""
    ranked = ranked_answers(cases)
    for index in range(ranked.shape[1]):
        own: Bools = cases.truth[:, 0] == index
        yield make_cases(own, ranked[:, index], cases.patient, cases.failed)


def _tables(cases: TaskColumns, protocol: Protocol, place: Place) -> tuple[CountTable, ...]:
    names = _names(protocol)
    counts = confusion(cases.truth[:, 0].astype(np.int64), called_classes(cases), len(names))
    shown = counts if place.rule == "worst_case" else counts[:, :-1]
    return (
        CountTable(
            name="confusion",
            title="Truth against call",
            row_title="Reference standard",
            column_title="Called by the algorithm",
            rows=names,
            columns=(*names, NO_ANSWER) if place.rule == "worst_case" else names,
            counts=tuple(tuple(row) for row in shown.tolist()),
            note=NOTES[0],
            diagonal=True,
        ),
    )
