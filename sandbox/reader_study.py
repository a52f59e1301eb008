"""One finished evaluation against readers of the same cases; the look stands in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sandbox.comparing import labels_of, load_finished, note_use
from sandbox.errors import EvaluationRefusedError
from sandbox.readers_table import read_readings
from sandbox.scoring.comparison.answers import sort_answers
from sandbox.scoring.comparison.paired import Inferiority
from sandbox.scoring.mrmc.algorithm_against_readers import AlgorithmAgainstReaders, compare_with_readers
from sandbox.scoring.mrmc.design import make_study
from sandbox.scoring.mrmc.obuchowski_rockette import ReaderStudyResult, analyse
from sandbox.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstReaders:
    """The algorithm against the readers under one condition; ``verdict`` on the margin, if one was given."""

    condition: str
    result: AlgorithmAgainstReaders
    verdict: Inferiority | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderStudy:
    """Everything that the study found; ``left_out`` cases lack a reading of some reader."""

    evaluation: str
    vendor: str
    readers: tuple[str, ...]
    conditions: tuple[str, ...]
    against: tuple[AgainstReaders, ...]
    conditions_compared: ReaderStudyResult | None
    margin: float | None
    left_out: int
    notes: tuple[str, ...]


def study_readers(
    workspace: Workspace, identifier: str, path: Path, *, margin: float | None, level: float
) -> ReaderStudy:
    """Compare a finished evaluation with readers.

    Raises:
        UsageError: no such evaluation, or a table that cannot be read.
        EvaluationRefusedError: unfinished, or no case was read by every reader.
        ScoringError: fewer than two readers, or too few cases of a class.
    """
    loaded = load_finished(workspace, [identifier])
    case_ids, answers = sort_answers(labels_of(loaded), [each.table for each in loaded])
    readings = read_readings(path, case_ids)
    whole = ~np.isnan(readings.scores).any(axis=(0, 1))
    if not whole.any():
        raise EvaluationRefusedError(
            f"No case in {path} was read by every reader under every condition. Leave out who read few cases."
        )
    note_use(workspace, loaded, answers, "reader-study")
    truth, patient = answers.reference[whole], answers.patient[whole]
    scores = readings.scores[:, :, whole]
    against = []
    for index, condition in enumerate(readings.conditions):
        result = compare_with_readers(truth, answers.scores[0][whole], scores[index], patient, level=level)
        against.append(
            AgainstReaders(
                condition=condition, result=result, verdict=_verdict(result.low, result.high, margin)
            )
        )
    compared = None
    if len(readings.conditions) > 1:
        compared = analyse(make_study(truth, scores, patient), level=level)
    left_out = int(np.count_nonzero(~whole))
    return ReaderStudy(
        evaluation=loaded[0].evaluation.id,
        vendor=loaded[0].evaluation.vendor,
        readers=readings.readers,
        conditions=readings.conditions,
        against=tuple(against),
        conditions_compared=compared,
        margin=margin,
        left_out=left_out,
        notes=(
            f"{left_out} labelled cases lack a reading of some reader and are left out.",
            "Failed cases of the algorithm count as wrong at every threshold.",
        ),
    )


def _verdict(low: float, high: float, margin: float | None) -> Inferiority | None:
    if margin is None:
        return None
    if low > 0:
        return "superior"
    if low > -margin:
        return "non_inferior"
    return "inferior" if high < -margin else "cannot_tell"
