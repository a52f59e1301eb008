"""The answers of several submissions to the same cases, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.failures import worst_case_scores

_COLUMNS = ("case_id", "patient_key", "reference", "score", "failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Scores of each submission for the labelled cases, by case_id.

    Attributes:
        names: the submissions, as printed.
        reference: shape (n,).
        scores: shape (submissions, n); a failed case counts as wrong at any threshold (-inf or +inf).
        failed: shape (submissions, n).
        patient: compact codes, shape (n,).
        patients: how many.
    """

    names: tuple[str, ...]
    reference: Bools
    scores: Floats
    failed: Bools
    patient: Integers
    patients: int

    def answered_by_all(self) -> Answers:
        """Only the cases that every submission answered."""
        kept = ~self.failed.any(axis=0)
        codes, patients = compact(self.patient[kept])
        return Answers(
            names=self.names,
            reference=self.reference[kept],
            scores=self.scores[:, kept],
            failed=self.failed[:, kept],
            patient=codes,
            patients=patients,
        )


def join_answers(names: Sequence[str], tables: Sequence[pa.Table]) -> Answers:
    """Join scored cases of several evaluations by case.

    Args:
        names: one for each table.
        tables: as an evaluation's ``scored.parquet``: ``case_id``, ``patient_key``, ``reference`` (0, 1 or null),
            ``score`` and ``failure`` (one of both null).

    Raises:
        ScoringError: other cases, patients or labels in one table than in another.
    """
    if len(tables) < 2:
        raise ScoringError("a comparison needs at least two evaluations")
    return sort_answers(names, tables)[1]


def sort_answers(names: Sequence[str], tables: Sequence[pa.Table]) -> tuple[tuple[str, ...], Answers]:
    """Sort the labelled cases of evaluations by case_id, and join them; arguments as :func:`join_answers`.

    Returns:
        The case ids in the order of the answers, and the answers.

    Raises:
        ScoringError: other cases, patients or labels in one table than in another.
    """
    if not tables or len(tables) != len(names):
        raise ScoringError("each evaluation needs a name")
    sorted_ = []
    for table in tables:
        missing = [name for name in _COLUMNS if name not in table.column_names]
        if missing:
            raise ScoringError(
                f"the scored cases lack the columns {', '.join(missing)}; score the evaluation again"
            )
        sorted_.append(table.select(_COLUMNS).sort_by("case_id").combine_chunks())
    first = sorted_[0]
    if pc.count_distinct(first["case_id"]).as_py() != first.num_rows or first["case_id"].null_count:
        raise ScoringError(
            "a case_id is missing or occurs twice in the scored cases; score the evaluation again"
        )
    for table in sorted_[1:]:
        if any(not table[name].equals(first[name]) for name in ("case_id", "patient_key", "reference")):
            raise ScoringError(
                "the evaluations differ in their cases, patients or labels; only evaluations of the same version of "
                "the same hold-out and the same target can be compared"
            )
    kept = pc.is_valid(first["reference"])
    labelled = [table.filter(kept) for table in sorted_]
    if not labelled[0].num_rows:
        raise ScoringError("no case has a reference standard; there is nothing to compare")
    reference = pc.cast(labelled[0]["reference"], pa.int8()).to_numpy().astype(bool)
    patient = pc.dictionary_encode(labelled[0]["patient_key"].combine_chunks()).indices.to_numpy()
    codes, patients = compact(patient.astype(np.int64))
    scores, failed = [], []
    for table in labelled:
        lost = table["failure"].is_valid().to_numpy().astype(bool)
        values = pc.fill_null(pc.cast(table["score"], pa.float64()), 0.0).to_numpy()
        scores.append(worst_case_scores(values, reference, lost))
        failed.append(lost)
    return tuple(labelled[0]["case_id"].to_pylist()), Answers(
        names=tuple(names),
        reference=reference,
        scores=np.stack(scores),
        failed=np.stack(failed),
        patient=codes,
        patients=patients,
    )
