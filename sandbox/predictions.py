"""Typed predictions: what is kept of a container's answers, and nothing more.

An answer is reduced to one of the levels that the protocol's output schema declares, so the bits that a container
can pass on through it are counted: log2(levels) for each case, plus its failure code. Low bits hidden in a score
do not survive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sandbox.errors import PredictionError
from sandbox.protocol import ScoreOutput
from sandbox.tables import write_table

SCHEMA = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("level", pa.int32()),
        pa.field("failure", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The typed outcome of one case: a level of the output schema, or a failure code; never both."""

    case_id: str
    level: int | None
    failure: str | None


def level(score: float, output: ScoreOutput) -> int:
    """Level of ``output`` nearest to ``score``, ties to even.

    Level k stands for the score ``minimum + k * (maximum - minimum) / (levels - 1)``.

    Raises:
        PredictionError: the score lies outside the range; such an answer is a failure, not a prediction.
    """
    if not output.minimum <= score <= output.maximum:
        raise PredictionError(
            "A score outside the protocol's range reached the predictions; this is a defect."
        )
    share = (score - output.minimum) / (output.maximum - output.minimum)
    return round(share * (output.levels - 1))


def scores(levels: pa.ChunkedArray | pa.Array, output: ScoreOutput) -> pa.Array:
    """Scores (float64, null where there is no level) of an integer array of levels."""
    step = (output.maximum - output.minimum) / (output.levels - 1)
    return pc.add(pc.multiply(pc.cast(levels, pa.float64()), step), output.minimum)


def write(predictions: Iterable[Prediction], path: Path) -> None:
    """Write predictions as Parquet, sorted by case: equal predictions give equal bytes."""
    ordered = sorted(predictions, key=lambda item: item.case_id)
    table = pa.table(
        {
            "case_id": [item.case_id for item in ordered],
            "level": [item.level for item in ordered],
            "failure": [item.failure for item in ordered],
        },
        schema=SCHEMA,
    )
    write_table(table, path)


def read(path: Path) -> pa.Table:
    """Read predictions back.

    Raises:
        PredictionError: the file is missing or not what :func:`write` makes.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise PredictionError(
            f"{path} cannot be read. Remove it and run the same evaluation again."
        ) from error
    if table.schema != SCHEMA:
        raise PredictionError(
            f"{path} does not hold predictions. Remove it and run the same evaluation again."
        )
    return table
