"""Stress of findings: figures of the curves over the same patients, clean and stressed, and how far one answer moved.

The figure that is judged is the wAFROC area, which counts what was found and what was called wrongly by one number
without a threshold (Chakraborty 2017, Observer Performance Methods for Diagnostic Imaging, chapter 14); sensitivity at
the declared rates of false positives where its margin is declared. Both sides of a difference are drawn on the same
resamples of patients; its standard error is the jackknife's (Efron and Tibshirani 1993, chapter 11).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from sandbox.outcome.results import Estimate
from sandbox.plan.protocol import Protocol
from sandbox.scoring.bootstrap import Seed, patient_weights, percentile_interval
from sandbox.scoring.cases import Floats, Integers, compact, count_patients
from sandbox.scoring.detection.compared import Figure
from sandbox.scoring.detection.marks import CaseMarks, Marks, make_marks
from sandbox.scoring.detection.matching import FALSE_POSITIVE
from sandbox.scoring.detection.task import WEIGHTS, case_marks, figures
from sandbox.scoring.estimates import Basis, estimate, undefined

METHOD = "bootstrap-percentile-patients"
JUDGED: Final = ("wafroc", "froc_sensitivity")
_BLOCK = 16 * 2**20
_LACK = "It needs lesions, and cases without any for what is held against these."
_FEW = "Too few resamples hold both lesions and cases without any."


def marks_of(table: pa.Table, truth: pa.Table) -> tuple[CaseMarks, ...]:
    """Findings of each case of a table of answers; a case without an answer is the worst that there is.

    Args:
        table: ``answer:ratings``, ``answer:matched`` and ``failure``.
        truth: scored cases in the same order, with the number of lesions and, where declared, their weights.
    """
    failure = [
        failure if failure is not None or ratings is not None else "not_compared"
        for failure, ratings in zip(
            table["failure"].to_pylist(), table["answer:ratings"].to_pylist(), strict=True
        )
    ]
    columns = {
        "reference": truth["reference"],
        "answer:ratings": table["answer:ratings"],
        "answer:matched": table["answer:matched"],
        "failure": pa.array(failure, pa.string()),
    }
    if WEIGHTS in truth.column_names:
        columns[WEIGHTS] = truth[WEIGHTS]
    return tuple(case_marks(pa.table(columns)))


def distance(one: CaseMarks, other: CaseMarks, protocol: Protocol) -> float:
    """How far two answers to a case are apart: the largest difference of what decides, as a share of the range.

    What decides is the rating of each lesion and that of the highest false positive; the lowest where there is none.
    """
    output = protocol.output.findings
    assert output is not None
    sides = [_deciding(each, output.minimum) for each in (one, other)]
    return float(np.abs(sides[0] - sides[1]).max() / (output.maximum - output.minimum))


def _deciding(case: CaseMarks, lowest: float) -> Floats:
    found = np.full(case.lesions + 1, lowest)
    hit = case.matched >= 0
    found[case.matched[hit]] = case.ratings[hit]
    false = case.ratings[case.matched == FALSE_POSITIVE]
    found[-1] = false.max() if false.size else lowest
    return found


def judged_figures(protocol: Protocol) -> list[tuple[str, str | None, Figure]]:
    """The figures of a protocol whose change is estimated: metric, subject, function of counts."""
    assert protocol.stress is not None
    margins = protocol.stress.margins.named
    return [each for each in figures(protocol) if each[0] == JUDGED[0] or each[0] in margins]


def clean_figures(
    clean: Sequence[CaseMarks],
    patient: Integers,
    asked: Sequence[tuple[str, str | None, Figure]],
    *,
    evaluation: str,
    level: float,
    replicates: int,
) -> Iterator[Estimate]:
    """Figures of the clean answers of the sample."""
    basis = _basis(clean, patient, level)
    marks, seed = make_marks(clean, patient), _seed(evaluation)
    drawn = _resampled([(marks, figure) for *_, figure in asked], patient, seed, replicates)
    for (metric, subject, figure), each in zip(asked, drawn, strict=True):
        value = float(figure(marks, marks.total())[0])
        yield replace(_made(metric, value, each, basis), subject=subject)


def changes(
    clean: Sequence[CaseMarks],
    stressed: Sequence[CaseMarks],
    patient: Integers,
    asked: Sequence[tuple[str, str | None, Figure]],
    *,
    evaluation: str,
    level: float,
    replicates: int,
) -> Iterator[tuple[Estimate, Floats | None]]:
    """Change of each figure, stressed minus clean, with what each case adds to it.

    Returns:
        Estimates of ``<metric>_change``, and the jackknife's contribution of each patient, whose squares add up to the
        variance; None where a patient cannot be left out. One case a patient, as stress samples them.
    """
    basis, seed = _basis(clean, patient, level), _seed(evaluation)
    sides = [make_marks(each, patient) for each in (stressed, clean)]
    pairs = [(marks, figure) for *_, figure in asked for marks in sides]
    drawn = _resampled(pairs, patient, seed, replicates)
    for index, (metric, subject, figure) in enumerate(asked):
        value = float(figure(sides[0], sides[0].total())[0] - figure(sides[1], sides[1].total())[0])
        found = _made(f"{metric}_change", value, drawn[2 * index] - drawn[2 * index + 1], basis)
        yield replace(found, subject=subject), _contribution(sides, figure, patient)


def _contribution(sides: Sequence[Marks], figure: Figure, patient: Integers) -> Floats | None:
    codes, patients = compact(patient)
    if patients < 2:
        return None
    left = np.ones((patients, patients)) - np.eye(patients)
    without = figure(sides[0], _counts(sides[0], left)) - figure(sides[1], _counts(sides[1], left))
    if np.isnan(without).any():
        return None
    each: Floats = (without.mean() - without) * math.sqrt((patients - 1) / patients)
    return each[codes]


def _resampled(
    asked: Sequence[tuple[Marks, Figure]], patient: Integers, seed: Seed, replicates: int
) -> list[Floats]:
    """Each figure on the same resamples of patients, shape (replicates,)."""
    _, patients = compact(patient)
    widest = max(int(marks.content.shape[1]) for marks, _ in asked)
    drawn: list[list[Floats]] = [[] for _ in asked]
    for weights in patient_weights(patients, seed, replicates, max(1, _BLOCK // (8 * (patients + widest)))):
        counts: dict[int, Floats] = {}
        for (marks, figure), kept in zip(asked, drawn, strict=True):
            if id(marks) not in counts:
                counts[id(marks)] = _counts(marks, weights)
            kept.append(figure(marks, counts[id(marks)]))
    return [np.concatenate(each) for each in drawn]


def _counts(marks: Marks, weights: Floats) -> Floats:
    return np.asarray((marks.content.T @ weights.T).T)


def _made(metric: str, value: float, drawn: Floats, basis: Basis) -> Estimate:
    if math.isnan(value):
        return undefined(metric, basis, METHOD, _LACK)
    interval = percentile_interval(drawn, basis.level)
    reason = None if np.isfinite(interval).all() else _FEW
    return estimate(metric, value, interval, basis, METHOD, reason=reason)


def _basis(cases: Sequence[CaseMarks], patient: Integers, level: float) -> Basis:
    return Basis(
        n=len(cases),
        positives=sum(case.lesions > 0 for case in cases),
        patients=count_patients(patient),
        level=level,
    )


def _seed(evaluation: str) -> Seed:
    # The same resamples for every perturbation: their differences are then not those of the draws.
    return Seed(evaluation=evaluation, metric="findings", purpose="stress")
