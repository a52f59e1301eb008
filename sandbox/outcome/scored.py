"""Scored cases: predictions joined with the reference standard and the strata; this table never leaves."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.asking.predictions import columns
from sandbox.errors import PredictionError
from sandbox.outcome.compared_masks import compare_masks
from sandbox.outcome.matched_findings import match_findings
from sandbox.plan.applicability import join_strata
from sandbox.plan.protocol import Protocol


def scored_cases(cases: pa.Table, reference: pa.Table, answered: pa.Table, protocol: Protocol) -> pa.Table:
    """Join one evaluation's predictions with the truth and the attributes that the protocol names.

    Args:
        cases: the hold-out's case table; its rows and order are the result's.
        reference: the opened reference standard: ``case_id``, the labels, ``reference.*`` columns.
        answered: predictions (``case_id``, ``levels``, ``failure``).
        protocol: the registered protocol.

    Returns:
        Columns ``case_id``, ``patient_key``, the truth (:func:`.truth.truth_columns`), one for each stratum attribute,
        one for each number of the answer (``score``, or ``answer:`` and its name; null where the case
        failed), ``failure`` (code or null), and ``seconds`` where they were kept.

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
    ordered = answered.take(row)
    if protocol.output.mask is not None:
        order = pc.index_in(
            cases["case_id"], pa.array(reference["case_id"].to_pylist(), cases["case_id"].type)
        )
        compared = compare_masks(reference[protocol.subject].take(order), ordered, protocol)
        for name, column in compared.columns.items():
            joined = joined.append_column(name, column)
        return joined.append_column("failure", compared.failure)
    if protocol.output.findings is not None:
        order = pc.index_in(
            cases["case_id"], pa.array(reference["case_id"].to_pylist(), cases["case_id"].type)
        )
        found = match_findings(reference.take(order), ordered, protocol)
        for name, column in found.items():
            joined = joined.append_column(name, column)
        return joined.append_column("failure", ordered["failure"])
    answers = columns(ordered, protocol.output.numbers)
    for name, column in zip(protocol.answer_columns, answers, strict=True):
        joined = joined.append_column(name, column)
    joined = joined.append_column("failure", ordered["failure"])
    if ordered["seconds"].null_count < ordered.num_rows:
        joined = joined.append_column("seconds", ordered["seconds"])
    return joined
