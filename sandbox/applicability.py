"""Whether a protocol can be carried out on a hold-out: before the run, while nothing has been spent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ProtocolError, ScoringError
from sandbox.protocol import Protocol
from sandbox.scoring.cases import Bools
from sandbox.scoring.strata import UNKNOWN, Levels, protocol_levels

MAXIMUM_LEVELS = 100
REFERENCE_PREFIX = "reference."


def check_against(protocol: Protocol, cases: pa.Table, reference: pa.Table) -> tuple[str, ...]:
    """Check a protocol against a hold-out's cases and opened reference standard.

    Args:
        protocol: the protocol.
        cases: one row a case: ``case_id`` and the attributes that may be strata.
        reference: ``case_id``, the labels (0, 1 or null), and columns named ``reference.<column>``.

    Returns:
        Warnings, a sentence each: levels without positives or without negatives, cases without truth.

    Raises:
        ProtocolError: the target or an attribute is absent, nothing is positive or nothing negative, an
            attribute is unknown for every case or has too many levels, or a criterion names a level that does
            not occur or holds no positive or no negative case.
    """
    table = join_strata(protocol, cases, reference)
    known = table.filter(pc.is_valid(table["reference"]))
    truth = pc.cast(known["reference"], pa.int8()).to_numpy().astype(bool)
    target = protocol.task.target
    if not truth.any() or truth.all():
        kind = "negative" if truth.size and truth.all() else "positive"
        raise ProtocolError(
            f"task.target: no case of this hold-out is {kind} for {target}; choose another target."
        )
    try:
        strata = protocol_levels(known, protocol)
    except ScoringError as error:
        raise ProtocolError(f"strata: {error}. Correct the stratum, or choose another hold-out.") from error
    refused = [text for levels in strata for text in _stratum_refusals(levels, protocol)]
    refused += _criterion_refusals(protocol, strata, truth)
    if refused:
        raise ProtocolError("\n".join(refused))
    warnings = []
    if known.num_rows < table.num_rows:
        lost = table.num_rows - known.num_rows
        warnings.append(f"{lost} of {table.num_rows} cases have no reference standard for {target}.")
    for levels in strata:
        warnings += _one_sided(levels, truth)
    return tuple(warnings)


def join_strata(protocol: Protocol, cases: pa.Table, reference: pa.Table) -> pa.Table:
    """Join what scoring needs, one row a case in the order of ``cases``.

    Returns:
        ``case_id``, ``patient_key`` where ``cases`` has it, ``reference`` (the target, or null), and
        every stratum's column, from ``cases`` or, for ``reference.<column>``, from ``reference``.

    Raises:
        ProtocolError: the target or an attribute is absent; or the target is not 0, 1 or missing.
    """
    target = protocol.task.target
    if target not in reference.column_names:
        labels = [n for n in reference.column_names if n != "case_id" and not n.startswith(REFERENCE_PREFIX)]
        raise ProtocolError(
            f"task.target: the reference standard has no label {target} (it has {_listed(labels)})."
        )
    absent = [
        name
        for name in protocol.stratum_attributes
        if name not in (reference if name.startswith(REFERENCE_PREFIX) else cases).column_names
    ]
    if absent:
        offered = [name for name in cases.column_names if name not in ("case_id", "patient_key", "files")]
        offered += [name for name in reference.column_names if name.startswith(REFERENCE_PREFIX)]
        raise ProtocolError(
            f"strata: this hold-out has no attribute {', '.join(absent)}. It has {_listed(sorted(offered))}."
        )
    row = pc.index_in(cases["case_id"], pa.array(reference["case_id"].to_pylist(), cases["case_id"].type))
    joined = {"case_id": cases["case_id"]}
    if "patient_key" in cases.column_names:
        joined["patient_key"] = cases["patient_key"]
    joined["reference"] = _binary(reference[target], target).take(row)
    for name in protocol.stratum_attributes:
        source = reference[name].take(row) if name.startswith(REFERENCE_PREFIX) else cases[name]
        joined[name] = source
    return pa.table(joined)


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


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _stratum_refusals(levels: Levels, protocol: Protocol) -> list[str]:
    if levels.names == (UNKNOWN,):
        return [f"strata: {levels.name} is unknown for every case of this hold-out; remove this stratum."]
    if len(levels.names) > MAXIMUM_LEVELS and protocol.bands(levels.name) is None:
        return [
            f"strata: {levels.name} has {len(levels.names)} levels (at most {MAXIMUM_LEVELS}); "
            "give bands when it is a number, or choose a coarser attribute."
        ]
    return []


def _criterion_refusals(protocol: Protocol, strata: Sequence[Levels], truth: Bools) -> list[str]:
    found = []
    for index, criterion in enumerate(protocol.acceptance):
        if criterion.stratum is None:
            continue
        levels = next(part for part in strata if part.name == criterion.stratum.attribute)
        place, level = f"acceptance[{index}].stratum", criterion.stratum.level
        if level not in levels.names:
            found.append(f"{place}: no case has this level of {levels.name}. It has {_listed(levels.names)}.")
            continue
        members = truth[levels.codes == levels.names.index(level)]
        if criterion.metric not in ("specificity", "failure_rate") and not members.any():
            found.append(f"{place}: {levels.name} = {level} holds no positive case to judge.")
        if criterion.metric not in ("sensitivity", "failure_rate") and members.all():
            found.append(f"{place}: {levels.name} = {level} holds no negative case to judge.")
    return found


def _one_sided(levels: Levels, truth: Bools) -> list[str]:
    size = len(levels.names)
    positives = np.bincount(levels.codes[truth], minlength=size)
    negatives = np.bincount(levels.codes[~truth], minlength=size)
    found = []
    for kind, counts in (("positive", positives), ("negative", negatives)):
        empty = [name for name, count in zip(levels.names, counts.tolist(), strict=True) if count == 0]
        if empty:
            found.append(f"{levels.name}: no {kind} case in {_listed(empty)}.")
    return found


def _listed(names: Sequence[str]) -> str:
    """List names for a message, cut short, without characters that a terminal would obey."""
    clean = ["".join(c if c.isprintable() else "?" for c in name)[:60] for name in names]
    shown = ", ".join(clean[:12])
    return f"{shown} and {len(clean) - 12} more" if len(clean) > 12 else shown or "none"
