"""From the table of scored cases, which comes from outside, to checked columns sorted once by score."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ScoringError
from sandbox.protocol import Protocol
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
    wanted = ("case_id", "patient_key", "reference", "score", "failure", *protocol.stratum_attributes)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise ScoringError(f"the scored cases lack the columns {', '.join(missing)}; join them first")
    if pc.count_distinct(table["case_id"]).as_py() != table.num_rows or table["case_id"].null_count:
        raise ScoringError("a case_id is missing or occurs twice in the scored cases; join them again")
    if table["patient_key"].null_count:
        raise ScoringError("a scored case has no patient_key; every case belongs to one patient")
    reference = table["reference"].drop_null()
    if pc.any(pc.invert(pc.is_in(pc.cast(reference, pa.float64()), pa.array([0.0, 1.0])))).as_py():
        raise ScoringError("the reference standard of a binary task must be 0, 1 or missing")
    labelled = table.filter(pc.is_valid(table["reference"])).sort_by("case_id")
    if labelled.num_rows == 0:
        raise ScoringError(
            "no scored case has a reference standard; check the target that the protocol names"
        )
    answered, failed = pc.is_valid(labelled["score"]), pc.is_valid(labelled["failure"])
    if pc.any(pc.invert(pc.xor(answered, failed))).as_py():
        raise ScoringError("a case must have either a score or a failure code, never both or neither")
    values = pc.cast(labelled["score"], pa.float64())
    if pc.any(pc.is_nan(values)).as_py():
        raise ScoringError("a score is NaN; an answer that is not a number is a failure")
    output, span = protocol.output.score, pc.min_max(values).as_py()
    if span["min"] is not None and not output.minimum <= span["min"] <= span["max"] <= output.maximum:
        raise ScoringError(
            "a score lies outside the range that the protocol declares; type the answers first"
        )
    return labelled, table.num_rows - labelled.num_rows


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
