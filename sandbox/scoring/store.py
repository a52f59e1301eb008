"""From the table of scored cases, which comes from outside, to checked columns sorted once by score."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ScoringError
from sandbox.outcome.truth import any_known, truth_columns
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Bools, Floats, Integers, ScoredCases
from sandbox.scoring.failures import worst_case_scores
from sandbox.scoring.strata import Levels, protocol_levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The labelled cases in order of worst-case score, equal scores by case_id, and their levels."""

    reference: Bools
    score: Floats
    failed: Bools
    patient: Integers
    levels: tuple[Levels, ...]

    @property
    def cases(self) -> ScoredCases:
        """All cases under the rule ``worst_case``."""
        return ScoredCases(
            reference=self.reference, score=self.score, failed=self.failed, patient=self.patient
        )


def labelled_cases(table: pa.Table, protocol: Protocol) -> tuple[pa.Table, int]:
    """Check ``table`` and keep the cases that have a reference standard, by case_id.

    Returns:
        Those cases, and the number of cases without a reference standard.

    Raises:
        ScoringError: the table does not have the form that :func:`score.score` describes.
    """
    truths, answers = truth_columns(protocol), protocol.answer_columns
    repeats = (protocol.task.repeats,) if protocol.task.repeats else ()
    wanted = ("case_id", "patient_key", *truths, *answers, "failure", *protocol.stratum_attributes, *repeats)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise ScoringError(f"the scored cases lack the columns {', '.join(missing)}; join them first")
    if pc.count_distinct(table["case_id"]).as_py() != table.num_rows or table["case_id"].null_count:
        raise ScoringError("a case_id is missing or occurs twice in the scored cases; join them again")
    if table["patient_key"].null_count:
        raise ScoringError("a scored case has no patient_key; every case belongs to one patient")
    for name in truths:
        _check_truth(table[name].drop_null(), protocol)
    labelled = table.filter(any_known(table, truths)).sort_by("case_id")
    if labelled.num_rows == 0:
        raise ScoringError(
            "no scored case has a reference standard; check the target that the protocol names"
        )
    if protocol.output.mask is not None or protocol.output.findings is not None:
        # Made by the host from the masks; an overlap of two empty masks may be left out by rule.
        return labelled, table.num_rows - labelled.num_rows
    failed = pc.is_valid(labelled["failure"])
    for name, number in zip(answers, protocol.output.numbers, strict=True):
        if pc.any(pc.invert(pc.xor(pc.is_valid(labelled[name]), failed))).as_py():
            raise ScoringError("a case must have either a score or a failure code, never both or neither")
        values = pc.cast(labelled[name], pa.float64())
        if pc.any(pc.is_nan(values)).as_py():
            raise ScoringError("a score is NaN; an answer that is not a number is a failure")
        span = pc.min_max(values).as_py()
        if span["min"] is not None and not number.minimum <= span["min"] <= span["max"] <= number.maximum:
            raise ScoringError(
                "a score lies outside the range that the protocol declares; type the answers first"
            )
    return labelled, table.num_rows - labelled.num_rows


def _check_truth(known: pa.ChunkedArray, protocol: Protocol) -> None:
    """Refuse a truth that is not what the kind of task takes; null stands for no truth and is left out."""
    numbers = pc.cast(known, pa.float64())
    if protocol.output.value or protocol.output.mask or protocol.output.findings:
        if not pc.all(pc.is_finite(numbers)).as_py() and len(known):
            raise ScoringError(
                "the reference standard of a measurement, masks or findings must be finite numbers or missing"
            )
        return
    part = protocol.output.classes or protocol.output.grades
    count = 2 if part is None or protocol.task.kind == "multilabel" else len(part.names)
    allowed = pa.array([float(index) for index in range(count)])
    if pc.any(pc.invert(pc.is_in(numbers, allowed))).as_py():
        texts = "0, 1" if count == 2 else f"0 to {count - 1}"
        raise ScoringError(
            f"the reference standard of a {protocol.task.kind} task must be {texts} or missing"
        )


def make_store(table: pa.Table, protocol: Protocol) -> Store:
    """Sort the labelled cases once, for every metric and stratum.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    reference = pc.cast(table["reference"], pa.int8()).to_numpy().astype(bool)
    failed = table["failure"].is_valid().to_numpy().astype(bool)
    answered = pc.fill_null(pc.cast(table["score"], pa.float64()), 0.0).to_numpy()
    values = worst_case_scores(answered, reference, failed)
    patient = pc.dictionary_encode(table["patient_key"].combine_chunks()).indices.to_numpy()
    order = np.argsort(values, kind="stable")
    return Store(
        reference=reference[order],
        score=values[order],
        failed=failed[order],
        patient=patient[order].astype(np.int64),
        levels=tuple(
            replace(levels, codes=levels.codes[order]) for levels in protocol_levels(table, protocol)
        ),
    )
