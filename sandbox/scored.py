"""Scored cases: predictions joined with the reference standard and the strata; this table never leaves."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.applicability import join_strata
from sandbox.errors import PredictionError
from sandbox.predictions import scores
from sandbox.protocol import Protocol


def scored_cases(cases: pa.Table, reference: pa.Table, answered: pa.Table, protocol: Protocol) -> pa.Table:
    """Join one evaluation's predictions with the truth and the attributes that the protocol names.

    Args:
        cases: the hold-out's case table; its rows and order are the result's.
        reference: the opened reference standard: ``case_id``, the target, ``reference.*`` columns.
        answered: predictions (``case_id``, ``level``, ``failure``).
        protocol: the registered protocol.

    Returns:
        Columns ``case_id``, ``patient_key``, ``reference`` (0, 1 or null), one for each stratum attribute,
        ``score`` (float or null) and ``failure`` (code or null).

    Raises:
        PredictionError: a case has no prediction, or two, or a prediction belongs to no case.
    """
    # A silent left join would turn a lost case into an unscored one, and a doubled one into two patients.
    if sorted(answered["case_id"].to_pylist()) != sorted(cases["case_id"].to_pylist()):
        raise PredictionError(
            "The predictions do not hold exactly one row for each case of the hold-out. "
            "Remove predictions.parquet from the evaluation's folder and run the same command again."
        )
    row = pc.index_in(cases["case_id"], pa.array(answered["case_id"].to_pylist(), cases["case_id"].type))
    joined = join_strata(protocol, cases, reference)
    joined = joined.append_column("score", scores(answered["level"].take(row), protocol.output.score))
    return joined.append_column("failure", answered["failure"].take(row))
