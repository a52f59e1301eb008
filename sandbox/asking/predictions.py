"""Typed predictions: what is kept of a container's answers, and nothing more.

Each number of an answer is reduced to one of the levels that the protocol's output schema declares, so the bits
that a container can pass on through it are counted: log2(levels) for each number of each case, plus its failure
code. Low bits hidden in a score do not survive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from runners.answers import Value
from sandbox.errors import PredictionError
from sandbox.plan.output_schema import FINDINGS, MASK, Number
from sandbox.plan.task_section import Output
from sandbox.tables import read_answers, write_table

SCHEMA = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("levels", pa.list_(pa.int32())),
        pa.field("failure", pa.string()),
        pa.field("seconds", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The typed outcome of one case: a level for each number of the answer, or a failure code; never both.

    ``seconds`` from delivery to answer are kept only where the task is about time.
    """

    case_id: str
    levels: tuple[int, ...] | None
    failure: str | None
    seconds: float | None = None


def level(value: float, number: Number) -> int:
    """Level of ``number`` nearest to ``value``, ties to even.

    Level k stands for the value ``minimum + k * (maximum - minimum) / (levels - 1)``.

    Raises:
        PredictionError: the value lies outside the range; such an answer is a failure, not a prediction.
    """
    if not number.minimum <= value <= number.maximum:
        raise PredictionError(
            "A number outside the protocol's range reached the predictions; this is a defect."
        )
    share = (value - number.minimum) / (number.maximum - number.minimum)
    return round(share * (number.levels - 1))


def typed(answer: Mapping[str, Value], numbers: Sequence[Number]) -> tuple[int, ...]:
    """Levels of the numbers of a checked answer, in the order of the output schema.

    Raises:
        PredictionError: a value lies outside its range, or is no number.
    """
    found = []
    for number in numbers:
        value = answer[number.name]
        if isinstance(value, tuple):
            raise PredictionError(
                "A mask reached the predictions in the place of a number; this is a defect."
            )
        found.append(level(value, number))
    return tuple(found)


def typed_answer(answer: Mapping[str, Value], output: Output) -> tuple[int, ...]:
    """What is kept of a checked answer: levels of its numbers, a mask, or findings, as whole numbers.

    Raises:
        PredictionError: a value lies outside its range.
    """
    if output.mask is None and output.findings is None:
        return typed(answer, output.numbers)
    listed = answer[MASK if output.mask is not None else FINDINGS]
    if not isinstance(listed, tuple):
        raise PredictionError("A number reached the predictions in the place of a list; this is a defect.")
    if output.findings is None:
        return tuple(map(int, listed))
    findings = output.findings
    score, parts, each = findings.score, findings.parts, findings.numbers_each
    return tuple(
        level(value, score) if index % each == each - 1 else round(parts * value)
        for index, value in enumerate(listed)
    )


def values(levels: pa.ChunkedArray | pa.Array, number: Number) -> pa.Array:
    """Values (float64, null where there is no level) of an integer array of levels of one number."""
    step = (number.maximum - number.minimum) / (number.levels - 1)
    return pc.add(pc.multiply(pc.cast(levels, pa.float64()), step), number.minimum)


def columns(answered: pa.Table, numbers: Sequence[Number]) -> list[pa.Array]:
    """Values of each number of the answers, null where the case failed, in the order of the rows.

    Raises:
        PredictionError: a case has another count of numbers than the output schema.
    """
    lists = answered["levels"].combine_chunks()
    found = lists.is_valid().to_numpy(zero_copy_only=False)
    if pc.any(pc.not_equal(pc.list_value_length(lists), len(numbers))).as_py():
        raise PredictionError(
            "The predictions were typed by another output schema; run the evaluation again."
        )
    flat = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, len(numbers))
    columns = []
    for index, number in enumerate(numbers):
        spread = np.zeros(len(lists), dtype=np.int32)
        spread[found] = flat[:, index]
        columns.append(values(pa.array(spread, pa.int32(), mask=~found), number))
    return columns


def write(predictions: Iterable[Prediction], path: Path) -> None:
    """Write predictions as Parquet, sorted by case: equal predictions give equal bytes."""
    ordered = sorted(predictions, key=lambda item: item.case_id)
    table = pa.table(
        {
            "case_id": [item.case_id for item in ordered],
            "levels": [item.levels for item in ordered],
            "failure": [item.failure for item in ordered],
            "seconds": [item.seconds for item in ordered],
        },
        schema=SCHEMA,
    )
    write_table(table, path)


def read(path: Path) -> pa.Table:
    """Read predictions back.

    Raises:
        PredictionError: the file is missing or not what :func:`write` makes.
    """
    return read_answers(path, SCHEMA)
