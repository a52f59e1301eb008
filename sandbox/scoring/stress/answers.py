"""The sampled cases with their clean answers, and the answers to each ask, as arrays in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.asking.predictions import columns
from sandbox.errors import ScoringError
from sandbox.outcome.kept_marks import DIGEST
from sandbox.outcome.truth import REFERENCE
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import MARKED_KINDS
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.detection.marks import CaseMarks
from sandbox.scoring.failures import worst_case_scores
from sandbox.scoring.strata import Levels, protocol_levels
from sandbox.scoring.stress.findings import distance, marks_of
from sandbox.scoring.stress.masks import MEASURES, worth_of

Codes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The sampled cases, by case_id; parallel arrays of length n.

    Attributes:
        score: NaN where the clean case has no answer; of a task with other answers than one score, the distance to
            the clean answer, which is 0 (also of findings); of one with masks, their Dice.
        numbers: the clean answer's numbers as shares of their ranges, shape (n, numbers), of such a task.
        worth: what each mask is worth, by measure; empty of other answers.
        marks: the findings of each case, where the answer is a list of them.
        digest: of each mask or list, None where there is none.
    """

    reference: Bools
    score: Floats
    numbers: Floats | None
    patient: Integers
    levels: tuple[Levels, ...]
    row: dict[str, int]
    worth: Mapping[str, Floats]
    digest: Codes | None
    truth: pa.Table
    marks: tuple[CaseMarks, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """The answers to one perturbation at one severity, in the order of the sample.

    ``score`` is NaN where there is no answer (see ``Sample``); ``failure`` is the code or None; ``donor`` is the row of
    the donor, or -1. ``flipped`` marks cases called another class or grade than without stress; None where there is
    no such call. ``worth`` is as in ``Sample``; ``altered`` marks masks that are not the clean one, of cases with both.
    """

    score: Floats
    flipped: Bools | None
    failure: Codes
    donor: Integers
    worth: Mapping[str, Floats]
    altered: Bools | None
    marks: tuple[CaseMarks, ...] = ()


def sample_of(table: pa.Table, asked: pa.Table, protocol: Protocol) -> Sample:
    """Take the sampled cases out of the evaluation's scored cases.

    Args:
        table: scored cases of the evaluation.
        asked: answers to the asks (``sandbox.outcome.stress_step.schema_of``).

    Raises:
        ScoringError: an ask is about a case that was not scored.
    """
    wanted = pc.unique(asked["case_id"].combine_chunks())
    chosen = table.filter(pc.is_in(table["case_id"], wanted)).sort_by("case_id").combine_chunks()
    scored = protocol.output.score is not None
    if chosen.num_rows != len(wanted) or (scored and chosen[REFERENCE].null_count):
        raise ScoringError(
            "a stressed ask is about a case that was not scored; remove stress.parquet and run again"
        )
    marked = protocol.task.kind in MARKED_KINDS
    worth = worth_of(chosen) if protocol.output.mask is not None else {}
    marks: tuple[CaseMarks, ...] = ()
    patient = pc.dictionary_encode(chosen["patient_key"].combine_chunks()).indices.to_numpy()
    if scored:
        reference = pc.cast(chosen[REFERENCE], pa.int8()).to_numpy().astype(bool)
        numbers, score = None, _numbers(chosen["score"])
    elif protocol.output.findings is not None:
        marks, numbers = marks_of(chosen, chosen), None
        reference = np.array([case.lesions > 0 for case in marks], dtype=bool)
        score = np.where(pc.is_valid(chosen[DIGEST]).to_numpy(), 0.0, np.nan)
    elif marked:
        reference, numbers, score = np.zeros(chosen.num_rows, dtype=bool), None, worth[MEASURES[0]]
    else:
        # Without a yes or no there are no classes to tell apart.
        reference = np.zeros(chosen.num_rows, dtype=bool)
        numbers = _shares([_numbers(chosen[name]) for name in protocol.answer_columns], protocol)
        score = numbers.sum(axis=1) * 0
    return Sample(
        reference=reference,
        score=score,
        numbers=numbers,
        patient=patient.astype(np.int64),
        levels=protocol_levels(chosen, protocol),
        row={case_id: index for index, case_id in enumerate(chosen["case_id"].to_pylist())},
        worth=worth,
        digest=np.array(chosen[DIGEST].to_pylist(), dtype=object) if marked else None,
        truth=chosen,
        marks=marks,
    )


def put_of(asked: pa.Table, sample: Sample, protocol: Protocol) -> dict[tuple[str, int], Put]:
    """Answers by perturbation and severity.

    Raises:
        ScoringError: a sampled case was not asked, or asked twice.
    """
    rows = np.array([sample.row[case_id] for case_id in asked["case_id"].to_pylist()], dtype=np.int64)
    donors = np.array(
        [-1 if donor is None else sample.row[donor] for donor in asked["donor"].to_pylist()], dtype=np.int64
    )
    given = _given(asked, rows, donors, sample, protocol)
    names = asked["perturbation"].to_pylist()
    cells: dict[tuple[str, int], list[int]] = {}
    for index, key in enumerate(zip(names, asked["severity"].to_pylist(), strict=True)):
        cells.setdefault(key, []).append(index)
    found = {}
    for key, chosen in cells.items():
        order = np.array(chosen)[np.argsort(rows[chosen], kind="stable")]
        if rows[order].tolist() != list(range(len(sample.row))):
            raise ScoringError("the stressed asks do not hold each sampled case once; remove stress.parquet")
        found[key] = Put(
            score=given.score[order],
            flipped=None if given.flipped is None else given.flipped[order],
            failure=given.failure[order],
            donor=given.donor[order],
            worth={name: values[order] for name, values in given.worth.items()},
            altered=None if given.altered is None else given.altered[order],
            marks=tuple(given.marks[index] for index in order) if given.marks else (),
        )
    return found


def _given(asked: pa.Table, rows: Integers, donors: Integers, sample: Sample, protocol: Protocol) -> Put:
    """The answers to all asks, in their own order; ``rows`` are those of their cases in the sample."""
    codes = np.array(asked["failure"].to_pylist(), dtype=object)
    if sample.digest is not None:
        digest = np.array(asked[DIGEST].to_pylist(), dtype=object)
        marks = marks_of(asked, sample.truth.take(rows)) if sample.marks else ()
        worth = worth_of(asked) if sample.worth else {}
        score = worth[MEASURES[0]] if sample.worth else _distances(marks, digest, rows, sample, protocol)
        both = ~np.isnan(score) & ~np.isnan(sample.score[rows])
        return Put(
            score=score,
            flipped=None,
            failure=codes,
            donor=donors,
            worth=worth,
            altered=np.asarray(both & (digest != sample.digest[rows]), dtype=bool),
            marks=marks,
        )
    answers = [_numbers(column) for column in columns(asked, protocol.output.numbers)]
    score, flipped = answers[0], None
    if sample.numbers is not None:
        given, clean = _shares(answers, protocol), sample.numbers[rows]
        # Where the clean case has no answer there is no distance, but the case was answered.
        score = np.where(np.isnan(clean[:, 0]), given[:, 0] * 0, np.abs(given - clean).max(axis=1))
        flipped = _flips(given, clean, protocol)
    return Put(score=score, flipped=flipped, failure=codes, donor=donors, worth={}, altered=None)


def _distances(
    marks: Sequence[CaseMarks], digest: Codes, rows: Integers, sample: Sample, protocol: Protocol
) -> Floats:
    """How far each list of findings is from the clean one; 0 where that is missing, NaN where there is no answer."""
    found = np.full(rows.size, np.nan)
    for index, row in enumerate(rows.tolist()):
        if digest[index] is not None:
            compared = not marks[index].failed and not np.isnan(sample.score[row])
            found[index] = distance(marks[index], sample.marks[row], protocol) if compared else 0.0
    return np.round(found, 9)


def ranked_scores(score: Floats, reference: Bools) -> Floats:
    """Scores in which a case without an answer is wrong at any threshold (-inf or +inf)."""
    return worst_case_scores(np.nan_to_num(score), reference, np.isnan(score))


def _shares(answers: Sequence[Floats], protocol: Protocol) -> Floats:
    """Numbers of each answer as shares of their ranges, shape (answers, numbers)."""
    parts = [
        (column - number.minimum) / (number.maximum - number.minimum)
        for column, number in zip(answers, protocol.output.numbers, strict=True)
    ]
    # Levels are far apart; equal ones must be equal whatever arithmetic they came through.
    return np.asarray(np.round(np.column_stack(parts), 9), dtype=np.float64)


def _flips(given: Floats, clean: Floats, protocol: Protocol) -> Bools | None:
    """Cases of which the class with the largest number, or the grade, is another one."""
    both = ~np.isnan(given[:, 0]) & ~np.isnan(clean[:, 0])
    if protocol.task.kind == "multiclass":
        given, clean = np.nan_to_num(given), np.nan_to_num(clean)
        return np.asarray(both & (given.argmax(axis=1) != clean.argmax(axis=1)))
    if protocol.task.kind == "ordinal":
        return np.asarray(both & (given[:, 0] != clean[:, 0]))
    return None


def _numbers(column: pa.ChunkedArray | pa.Array) -> Floats:
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: Floats = pc.cast(flat, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return found
