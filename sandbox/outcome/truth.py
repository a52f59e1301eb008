"""Reading the reference standard's columns as what the kind of task takes them for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ProtocolError
from sandbox.outcome.true_lesions import lesion_counts
from sandbox.outcome.true_masks import MASK_TRUTHS, true_masks
from sandbox.plan.protocol import Protocol

Bools = npt.NDArray[np.bool_]
TRUTH = "truth:"
"""Prefix of the column of one label, where a task has several."""
REFERENCE = "reference"


def truth_columns(protocol: Protocol) -> tuple[str, ...]:
    """Names under which :func:`read_truth` gives the labels, in their order."""
    if protocol.task.kind == "multilabel":
        return tuple(f"{TRUTH}{label}" for label in protocol.labels)
    return MASK_TRUTHS if protocol.output.mask is not None else (REFERENCE,)


def read_truth(reference: pa.Table, protocol: Protocol) -> dict[str, pa.ChunkedArray]:
    """Read the labels that the task is about, null where there is none.

    Returns:
        By the names of :func:`truth_columns`: 0/1 (binary, triage, each label of a multilabel task), the index of
        the class or grade in the answer's schema, the measured number, or the numbers of a mask.

    Raises:
        ProtocolError: a label is absent, or holds what its kind of task cannot take.
    """
    labels = [n for n in reference.column_names if n != "case_id" and not n.startswith("reference.")]
    found = {}
    names = truth_columns(protocol) if protocol.output.mask is None else (REFERENCE,)
    for name, label in zip(names, protocol.labels, strict=True):
        if label not in reference.column_names:
            where = "task.target" if protocol.task.target else "output.classes.names"
            raise ProtocolError(
                f"{where}: the reference standard has no label {label} (it has {listed(labels)})."
            )
        column = reference[label]
        if protocol.output.mask is not None:
            return true_masks(column, protocol)
        if protocol.output.findings is not None:
            return {REFERENCE: lesion_counts(reference, protocol)}
        if protocol.output.value is not None:
            found[name] = _numbers(column, protocol)
        elif protocol.task.target is not None and protocol.output.score is None:
            part = protocol.output.classes or protocol.output.grades
            assert part is not None
            found[name] = _indices(column, part.names, label)
        else:
            found[name] = _binary(column, label)
    return found


def binary_truth(known: pa.Table) -> Bools:
    """The reference standard of cases that have one, as booleans."""
    found: Bools = pc.cast(known[REFERENCE], pa.int8()).to_numpy().astype(bool)
    return found


def any_known(table: pa.Table, truths: Sequence[str]) -> pa.ChunkedArray:
    """Mark the cases for which any of the labels is known."""
    known = pc.is_valid(table[truths[0]])
    for name in truths[1:]:
        known = pc.or_(known, pc.is_valid(table[name]))
    return known


def _binary(column: pa.ChunkedArray, target: str) -> pa.ChunkedArray:
    """Read labels 0/1, as numbers, booleans or the texts of these, null where there is none."""
    wrong = f"task.target: {target} holds values other than 0, 1 and missing; a binary task needs these."
    try:
        values = pc.cast(pc.cast(column, pa.string()), pa.float64()) if _is_text(column.type) else column
        labels = pc.cast(pc.cast(values, pa.float64()), pa.int8())
    except pa.ArrowInvalid as error:
        raise ProtocolError(wrong) from error
    if pc.any(pc.invert(pc.is_in(labels.drop_null(), pa.array([0, 1], pa.int8())))).as_py():
        raise ProtocolError(wrong)
    return labels


def _indices(column: pa.ChunkedArray, names: Sequence[str], target: str) -> pa.ChunkedArray:
    """Read class or grade names as their index."""
    texts = pc.cast(column, pa.string())
    indices = pc.index_in(texts, pa.array(names, pa.string()))
    strange = pc.unique(texts.filter(pc.and_(pc.is_valid(texts), pc.is_null(indices)))).to_pylist()
    if strange:
        raise ProtocolError(
            f"task.target: {target} holds values that the protocol does not name: {listed(sorted(strange))}. "
            f"Name them in the output, or declare them unlabelled in the reference standard."
        )
    return pc.cast(indices, pa.int16())


def _numbers(column: pa.ChunkedArray, protocol: Protocol) -> pa.ChunkedArray:
    """Read measured numbers, each finite and within the declared range."""
    output = protocol.output.value
    assert output is not None
    try:
        numbers = pc.cast(column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ProtocolError(
            f"task.target: {protocol.subject} holds a value that is not a number; a measurement needs numbers."
        ) from error
    span = pc.min_max(numbers).as_py()
    bad = pc.any(pc.invert(pc.is_finite(numbers))).as_py()
    if bad or (
        span["min"] is not None and not output.minimum <= span["min"] <= span["max"] <= output.maximum
    ):
        low, high = (span["min"], span["max"]) if not bad else (math.nan, math.nan)
        raise ProtocolError(
            f"output.value: {protocol.subject} runs from {low:g} to {high:g} in the reference standard, beyond the "
            f"range {output.minimum:g} to {output.maximum:g}: a right answer would be refused. Widen the range."
        )
    return numbers


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def listed(names: Sequence[str]) -> str:
    """List names for a message, cut short, without characters that a terminal would obey."""
    clean = ["".join(c if c.isprintable() else "?" for c in name)[:60] for name in names]
    shown = ", ".join(clean[:12])
    return f"{shown} and {len(clean) - 12} more" if len(clean) > 12 else shown or "none"
