"""The labelled cases of a task with several numbers to an answer, as arrays in the order of case_id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.outcome.results import FailureRule
from sandbox.outcome.truth import truth_columns
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Bools, Floats, Integers, count_patients
from sandbox.scoring.estimates import Basis
from sandbox.scoring.failures import analysed
from sandbox.scoring.strata import Levels, protocol_levels


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskColumns:
    """Cases as parallel arrays of length n.

    Attributes:
        truth: shape (n, labels): class or grade index, measured number, or 0/1 for each label; NaN: not known.
        answer: shape (n, numbers), in the order of the output schema; NaN where the case failed.
        failed: True where the container gave no usable answer.
        patient: code of the patient, from 0.
        repeats: code of the thing measured, where the task declares repeats; else the case's own number.
    """

    truth: Floats
    answer: Floats
    failed: Bools
    patient: Integers
    repeats: Integers

    @property
    def n(self) -> int:
        """Number of cases."""
        return int(self.failed.size)

    @property
    def patients(self) -> int:
        """Number of distinct patients."""
        return count_patients(self.patient)

    def where(self, chosen: Bools | Integers) -> TaskColumns:
        """Return the chosen cases."""
        return TaskColumns(
            truth=self.truth[chosen],
            answer=self.answer[chosen],
            failed=self.failed[chosen],
            patient=self.patient[chosen],
            repeats=self.repeats[chosen],
        )

    def entered(self, rule: FailureRule) -> TaskColumns:
        """Return the cases that enter the analysis under ``rule``."""
        return self.where(analysed(rule, self.failed))

    def basis(self, level: float, positives: int | None = None) -> Basis:
        """Basis of an estimate over all of these cases."""
        return Basis(n=self.n, positives=positives, patients=self.patients, level=level)


def task_columns(
    labelled: pa.Table, protocol: Protocol, answers: tuple[str, ...] | None = None
) -> tuple[TaskColumns, tuple[Levels, ...]]:
    """Read the labelled cases and their levels in each stratum.

    ``answers`` names the columns of the answer where they are not the protocol's.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    n = labelled.num_rows
    own = np.arange(n, dtype=np.int64)
    repeats = own if protocol.task.repeats is None else _repeats(labelled[protocol.task.repeats])
    return (
        TaskColumns(
            truth=_matrix(labelled, truth_columns(protocol)),
            answer=_matrix(labelled, answers or protocol.answer_columns),
            failed=labelled["failure"].is_valid().to_numpy().astype(bool),
            patient=_codes(labelled["patient_key"]),
            repeats=repeats,
        ),
        protocol_levels(labelled, protocol),
    )


def _matrix(table: pa.Table, names: tuple[str, ...]) -> Floats:
    columns = [pc.fill_null(pc.cast(table[name], pa.float64()), float("nan")).to_numpy() for name in names]
    return np.column_stack(columns).astype(np.float64)


def _codes(column: pa.ChunkedArray) -> Integers:
    codes = pc.dictionary_encode(column.combine_chunks()).indices.to_numpy(zero_copy_only=False)
    return np.asarray(codes, dtype=np.int64)


def _repeats(column: pa.ChunkedArray) -> Integers:
    """Codes of equal values; a missing value is a thing of its own."""
    known = column.is_valid().to_numpy().astype(bool)
    codes = _codes(pc.fill_null(pc.cast(column, pa.string()), ""))
    lonely = np.arange(codes.size, dtype=np.int64) + (int(codes.max()) + 1 if codes.size else 0)
    return np.where(known, codes, lonely)
