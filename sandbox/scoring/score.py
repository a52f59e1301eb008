"""The single entry of scoring: a table of scored cases and a protocol in, results out.

A pure function: no clock, no disk, no chance beyond streams seeded by the evaluation's identity, and the same
results for the same rows in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sandbox.outcome.results import Flow, Results
from sandbox.outcome.truth import binary_truth
from sandbox.plan.metric_catalogue import TaskKind
from sandbox.plan.protocol import Protocol
from sandbox.scoring import acceptance, failures
from sandbox.scoring.binary import score_binary
from sandbox.scoring.cases import Bools, count_patients
from sandbox.scoring.detection.task import score_detection
from sandbox.scoring.measurement import score_measurement
from sandbox.scoring.multiclass import score_multiclass
from sandbox.scoring.multilabel import score_multilabel
from sandbox.scoring.ordinal import score_ordinal
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.segmentation.task import score_segmentation
from sandbox.scoring.store import labelled_cases
from sandbox.scoring.strata import composition
from sandbox.scoring.triage import score_triage

_SCORERS: Mapping[TaskKind, Callable[[pa.Table, Protocol, str], ScoredTask]] = {
    "binary": score_binary,
    "multiclass": score_multiclass,
    "multilabel": score_multilabel,
    "ordinal": score_ordinal,
    "measurement": score_measurement,
    "triage": score_triage,
    "segmentation": score_segmentation,
    "detection": score_detection,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCounts:
    """How many cases reached each step before scoring; None where the evaluation does not tell."""

    locked: int | None = None
    staged: int | None = None
    asked: int | None = None


def score(table: pa.Table, protocol: Protocol, evaluation: str, steps: StepCounts | None = None) -> Results:
    """Score one evaluation.

    Args:
        table: one row a case: ``case_id`` (text, unique), ``patient_key`` (text), the truth
            (:func:`sandbox.outcome.truth.truth_columns`; null: no reference standard), ``score`` for a task with one
            score, else ``answer:<name>`` for each number of the answer (null where the case failed), ``failure``
            (text or null; null exactly where there is an answer), and a column for each attribute in
            ``protocol.stratum_attributes``.
        protocol: the registered protocol.
        evaluation: the evaluation's identifier; it seeds every random stream.
        steps: counts of the steps before.

    Raises:
        ScoringError: the table does not have this form, or no case has a reference standard.
    """
    labelled, unlabelled = labelled_cases(table, protocol)
    scored = _SCORERS[protocol.task.kind](labelled, protocol, evaluation)
    codes = labelled["failure"].to_pylist()
    chosen = next(analysis for analysis in scored.analyses if analysis.failure_rule == protocol.failures)
    criteria = acceptance.judge(chosen, protocol)
    steps = steps or StepCounts()
    cases = scored.failed.size
    positives = None if scored.reference is None else int(np.count_nonzero(scored.reference))
    return Results(
        evaluation=evaluation,
        protocol_name=protocol.name,
        protocol_digest=protocol.digest,
        task=protocol.task.kind,
        target=protocol.subject,
        unit=protocol.task.unit,
        level=protocol.intervals.level,
        flow=Flow(
            locked=steps.locked,
            staged=steps.staged,
            asked=steps.asked,
            answered=int(np.count_nonzero(~scored.failed)),
            failed=int(np.count_nonzero(scored.failed)),
            # In the order of the table, as the codes are; the scorer may have sorted its columns.
            failures=failures.count_failures(codes, _positive(labelled, scored)),
            unlabelled=unlabelled,
            cases=cases,
            patients=count_patients(scored.patient),
            positives=positives,
            negatives=None if positives is None else cases - positives,
            most_cases=int(np.unique(scored.patient, return_counts=True)[1].max()),
        ),
        composition=composition(scored.levels, scored.reference, scored.patient),
        chosen=protocol.failures,
        analyses=scored.analyses,
        acceptance=criteria,
        verdict=acceptance.overall_verdict(criteria),
        notes=_notes(scored, unlabelled),
        measure_unit=scored.measure_unit,
    )


def _positive(labelled: pa.Table, scored: ScoredTask) -> Bools | None:
    """Truth of the labelled cases of a binary task, in the order of the table."""
    return None if scored.reference is None else binary_truth(labelled)


def _notes(scored: ScoredTask, unlabelled: int) -> tuple[str, ...]:
    notes = list(scored.notes)
    if any(analysis.sampling == "clustered" for analysis in scored.analyses):
        notes.append("Some patients have several cases; intervals named clustered allow for that.")
    if unlabelled:
        notes.append(f"{unlabelled} cases have no reference standard and enter no analysis.")
    return tuple(notes)
