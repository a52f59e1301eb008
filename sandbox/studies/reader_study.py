"""One finished evaluation against readers of the same cases; the look stands in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sandbox.errors import EvaluationRefusedError, UsageError
from sandbox.institution.workspace import Workspace
from sandbox.scoring.cases import count_patients
from sandbox.scoring.comparison.answers import sort_answers
from sandbox.scoring.comparison.paired import Inferiority
from sandbox.scoring.mrmc.algorithm_against_readers import AlgorithmAgainstReaders, compare_with_readers
from sandbox.scoring.mrmc.covariances import CovarianceMethod
from sandbox.scoring.mrmc.design import FactorialStudy, make_study
from sandbox.scoring.mrmc.dorfman_berbaum_metz import PseudovalueAnalysis, analyse_pseudovalues
from sandbox.scoring.mrmc.obuchowski_rockette import ReaderStudyResult, analyse
from sandbox.scoring.mrmc.u_statistics import AveragesCompared, compare_averages
from sandbox.studies.comparing import labels_of, load_finished, note_use
from sandbox.studies.readers_table import read_readings

ReaderMethod = Literal["obuchowski-rockette", "dbm", "u-statistics"]
_COVARIANCES: dict[ReaderMethod, CovarianceMethod] = {
    "obuchowski-rockette": "delong",
    # With jackknife covariances it is the analysis of pseudovalues (Hillis et al. 2005, Stat Med 24:1579).
    "dbm": "jackknife",
    "u-statistics": "unbiased",
}


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
    conditions_compared: ReaderStudyResult | PseudovalueAnalysis | AveragesCompared | None
    margin: float | None
    left_out: int
    notes: tuple[str, ...]


def study_readers(
    workspace: Workspace,
    identifier: str,
    path: Path,
    *,
    margin: float | None,
    level: float,
    method: ReaderMethod = "obuchowski-rockette",
) -> ReaderStudy:
    """Compare a finished evaluation with readers.

    ``method`` chooses the covariances of the algorithm's comparison, and the analysis of the conditions.

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
    truth, patient = answers.reference[whole], answers.patient[whole]
    if method != "obuchowski-rockette" and count_patients(patient) < patient.size:
        raise UsageError(
            f"--method {method} takes cases as independent, but patients have several. Leave it out: "
            "obuchowski-rockette allows for that."
        )
    note_use(workspace, loaded, answers, "reader-study")
    scores = readings.scores[:, :, whole]
    against = []
    for index, condition in enumerate(readings.conditions):
        result = compare_with_readers(
            truth,
            answers.scores[0][whole],
            scores[index],
            patient,
            covariances=_COVARIANCES[method],
            level=level,
        )
        against.append(
            AgainstReaders(
                condition=condition, result=result, verdict=_verdict(result.low, result.high, margin)
            )
        )
    compared = None
    if len(readings.conditions) > 1:
        compared = _compared(make_study(truth, scores, patient), method, level)
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


def _compared(
    study: FactorialStudy, method: ReaderMethod, level: float
) -> ReaderStudyResult | PseudovalueAnalysis | AveragesCompared:
    if method == "dbm":
        return analyse_pseudovalues(study, level)
    return compare_averages(study, level) if method == "u-statistics" else analyse(study, level=level)


def _verdict(low: float, high: float, margin: float | None) -> Inferiority | None:
    if margin is None:
        return None
    if low > 0:
        return "superior"
    if low > -margin:
        return "non_inferior"
    return "inferior" if high < -margin else "cannot_tell"
