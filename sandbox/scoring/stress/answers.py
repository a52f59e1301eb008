"""The sampled cases with their clean answers, and the answers to each ask, as arrays in one order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ScoringError
from sandbox.predictions import values
from sandbox.protocol import Protocol
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.failures import worst_case_scores
from sandbox.scoring.strata import Levels, protocol_levels
from sandbox.truth import REFERENCE

Codes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The sampled cases, by case_id; parallel arrays of length n.

    ``score`` is NaN where the clean case has no answer.
    """

    reference: Bools
    score: Floats
    patient: Integers
    levels: tuple[Levels, ...]
    row: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """The answers to one perturbation at one severity, in the order of the sample.

    ``score`` is NaN where there is no answer; ``failure`` is the code or None; ``donor`` is the row of the donor, or
    -1.
    """

    score: Floats
    failure: Codes
    donor: Integers


def sample_of(table: pa.Table, asked: pa.Table, protocol: Protocol) -> Sample:
    """Take the sampled cases out of the evaluation's scored cases.

    Args:
        table: scored cases of the evaluation.
        asked: answers to the asks (``sandbox.stress_step.SCHEMA``).

    Raises:
        ScoringError: an ask is about a case that was not scored.
    """
    wanted = pc.unique(asked["case_id"].combine_chunks())
    chosen = table.filter(pc.is_in(table["case_id"], wanted)).sort_by("case_id").combine_chunks()
    if chosen.num_rows != len(wanted) or chosen[REFERENCE].null_count:
        raise ScoringError(
            "a stressed ask is about a case that was not scored; remove stress.parquet and run again"
        )
    patient = pc.dictionary_encode(chosen["patient_key"].combine_chunks()).indices.to_numpy()
    return Sample(
        reference=pc.cast(chosen[REFERENCE], pa.int8()).to_numpy().astype(bool),
        score=_numbers(chosen["score"]),
        patient=patient.astype(np.int64),
        levels=protocol_levels(chosen, protocol),
        row={case_id: index for index, case_id in enumerate(chosen["case_id"].to_pylist())},
    )


def put_of(asked: pa.Table, sample: Sample, protocol: Protocol) -> dict[tuple[str, int], Put]:
    """Answers by perturbation and severity.

    Raises:
        ScoringError: a sampled case was not asked, or asked twice.
    """
    number = protocol.output.numbers[0]
    lists = asked["levels"].combine_chunks()
    first = pc.list_element(pc.if_else(pc.is_valid(lists), lists, pa.scalar([0], lists.type)), 0)
    scores = _numbers(values(pc.if_else(pc.is_valid(lists), first, None), number))
    rows = np.array([sample.row[case_id] for case_id in asked["case_id"].to_pylist()], dtype=np.int64)
    donors = np.array(
        [-1 if donor is None else sample.row[donor] for donor in asked["donor"].to_pylist()], dtype=np.int64
    )
    codes = np.array(asked["failure"].to_pylist(), dtype=object)
    names = asked["perturbation"].to_pylist()
    cells: dict[tuple[str, int], list[int]] = {}
    for index, key in enumerate(zip(names, asked["severity"].to_pylist(), strict=True)):
        cells.setdefault(key, []).append(index)
    found = {}
    for key, chosen in cells.items():
        order = np.array(chosen)[np.argsort(rows[chosen], kind="stable")]
        if rows[order].tolist() != list(range(len(sample.row))):
            raise ScoringError("the stressed asks do not hold each sampled case once; remove stress.parquet")
        found[key] = Put(score=scores[order], failure=codes[order], donor=donors[order])
    return found


def ranked_scores(score: Floats, reference: Bools) -> Floats:
    """Scores in which a case without an answer is wrong at any threshold (-inf or +inf)."""
    return worst_case_scores(np.nan_to_num(score), reference, np.isnan(score))


def _numbers(column: pa.ChunkedArray | pa.Array) -> Floats:
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: Floats = pc.cast(flat, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return found
