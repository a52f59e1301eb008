"""Whether a protocol can be carried out on a hold-out: before the run, while nothing has been spent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ProtocolError, ScoringError
from sandbox.outcome.truth import REFERENCE, any_known, binary_truth, listed, read_truth, truth_columns
from sandbox.plan.metric_catalogue import PAIR, SCORED_KINDS
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Bools
from sandbox.scoring.strata import UNKNOWN, Levels, protocol_levels

MAXIMUM_LEVELS = 100
REFERENCE_PREFIX = "reference."


def check_against(protocol: Protocol, cases: pa.Table, reference: pa.Table) -> tuple[str, ...]:
    """Check a protocol against a hold-out's cases and opened reference standard.

    Args:
        protocol: the protocol.
        cases: one row a case: ``case_id`` and the attributes that may be strata.
        reference: ``case_id``, the labels (0/1, text or null), and columns named ``reference.<column>``.

    Returns:
        Warnings, a sentence each: levels without positives or without negatives, classes without a case, cases
        without truth.

    Raises:
        ProtocolError: the target or an attribute is absent, there are not two kinds of truth to tell apart, an
            attribute is unknown for every case or has too many levels, or a criterion names a level or a class
            that does not occur.
    """
    table = join_strata(protocol, cases, reference)
    truths = truth_columns(protocol)
    known = table.filter(any_known(table, truths))
    warnings = _truth_warnings(protocol, known)
    try:
        strata = protocol_levels(known, protocol)
    except ScoringError as error:
        raise ProtocolError(f"strata: {error}. Correct the stratum, or choose another hold-out.") from error
    truth = binary_truth(known) if protocol.task.kind in SCORED_KINDS else None
    refused = [text for levels in strata for text in _stratum_refusals(levels, protocol)]
    refused += _criterion_refusals(protocol, strata, truth)
    refused += _subject_refusals(protocol, known)
    if refused:
        raise ProtocolError("\n".join(refused))
    if known.num_rows < table.num_rows:
        lost = table.num_rows - known.num_rows
        warnings.insert(
            0, f"{lost} of {table.num_rows} cases have no reference standard for {protocol.subject}."
        )
    if truth is not None:
        for levels in strata:
            warnings += _one_sided(levels, truth)
    return tuple(warnings)


def _truth_warnings(protocol: Protocol, known: pa.Table) -> list[str]:
    """Refuse a truth that does not vary, and say which classes or labels have no case."""
    task, target = protocol.task, protocol.subject
    if task.kind in SCORED_KINDS:
        truth = binary_truth(known)
        if not truth.any() or truth.all():
            kind = "negative" if truth.size and truth.all() else "positive"
            raise ProtocolError(
                f"task.target: no case of this hold-out is {kind} for {target}; choose another target."
            )
        return []
    if task.kind == "multilabel":
        one_sided = [
            label
            for name, label in zip(truth_columns(protocol), protocol.labels, strict=True)
            if pc.count_distinct(known[name]).as_py() < 2
        ]
        if len(one_sided) == len(protocol.labels):
            raise ProtocolError("output.classes: no label has both a positive and a negative case.")
        return [f"{label}: every case is alike; what needs both kinds is undefined." for label in one_sided]
    found = set(pc.unique(known[REFERENCE]).to_pylist())
    if task.kind in ("segmentation", "detection"):
        if not any(found):
            raise ProtocolError(f"task.target: {target} is empty for every case; there is nothing to find.")
        return []
    if len(found) < 2:
        raise ProtocolError(f"task.target: all cases of this hold-out have the same {target}.")
    part = protocol.output.classes or protocol.output.grades
    if part is None:
        return []
    absent = [name for index, name in enumerate(part.names) if index not in found]
    return [f"{target}: no case is {name}; means over all of them are undefined." for name in absent]


def _subject_refusals(protocol: Protocol, known: pa.Table) -> list[str]:
    """Say which criteria are about a class or grade that no case has."""
    part = protocol.output.classes or protocol.output.grades
    if part is None or protocol.task.kind == "multilabel":
        return []
    found = set(pc.unique(known[REFERENCE]).to_pylist())
    return [
        f"acceptance[{index}].subject: no case of this hold-out is {name}."
        for index, criterion in enumerate(protocol.acceptance)
        for name in (criterion.subject or "").split(PAIR)
        if name in part.names and part.names.index(name) not in found
    ]


def join_strata(protocol: Protocol, cases: pa.Table, reference: pa.Table) -> pa.Table:
    """Join what scoring needs, one row a case in the order of ``cases``.

    Returns:
        ``case_id``, ``patient_key`` where ``cases`` has it, the truth (:func:`sandbox.outcome.truth.truth_columns`),
        and every stratum's column, from ``cases`` or, for ``reference.<column>``, from ``reference``.

    Raises:
        ProtocolError: a label or an attribute is absent, or a label holds what the task cannot take.
    """
    truth = read_truth(reference, protocol)
    repeats = (protocol.task.repeats,) if protocol.task.repeats else ()
    attributes = tuple(dict.fromkeys((*protocol.stratum_attributes, *repeats)))
    absent = [
        name
        for name in attributes
        if name not in (reference if name.startswith(REFERENCE_PREFIX) else cases).column_names
    ]
    if absent:
        offered = [name for name in cases.column_names if name not in ("case_id", "patient_key", "files")]
        offered += [name for name in reference.column_names if name.startswith(REFERENCE_PREFIX)]
        raise ProtocolError(
            f"strata: this hold-out has no attribute {', '.join(absent)}. It has {listed(sorted(offered))}."
        )
    row = pc.index_in(cases["case_id"], pa.array(reference["case_id"].to_pylist(), cases["case_id"].type))
    joined = {"case_id": cases["case_id"]}
    if "patient_key" in cases.column_names:
        joined["patient_key"] = cases["patient_key"]
    joined |= {name: column.take(row) for name, column in truth.items()}
    for name in attributes:
        source = reference[name].take(row) if name.startswith(REFERENCE_PREFIX) else cases[name]
        joined[name] = source
    return pa.table(joined)


def _stratum_refusals(levels: Levels, protocol: Protocol) -> list[str]:
    if levels.names == (UNKNOWN,):
        return [f"strata: {levels.name} is unknown for every case of this hold-out; remove this stratum."]
    if len(levels.names) > MAXIMUM_LEVELS and protocol.bands(levels.name) is None:
        return [
            f"strata: {levels.name} has {len(levels.names)} levels (at most {MAXIMUM_LEVELS}); "
            "give bands when it is a number, or choose a coarser attribute."
        ]
    return []


def _criterion_refusals(protocol: Protocol, strata: Sequence[Levels], truth: Bools | None) -> list[str]:
    found = []
    for index, criterion in enumerate(protocol.acceptance):
        if criterion.stratum is None:
            continue
        levels = next(part for part in strata if part.name == criterion.stratum.attribute)
        place, level = f"acceptance[{index}].stratum", criterion.stratum.level
        if level not in levels.names:
            found.append(f"{place}: no case has this level of {levels.name}. It has {listed(levels.names)}.")
            continue
        if truth is None:
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
            found.append(f"{levels.name}: no {kind} case in {listed(empty)}.")
    return found
