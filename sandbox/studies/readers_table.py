"""A table of readers' scores of an evaluation's cases, as an institution writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from sandbox.errors import UsageError
from sandbox.scoring.cases import Floats

MOST_BYTES = 512 * 2**20
SINGLE = "reading"
"""The condition of a table that has no such column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Scores of shape (conditions, readers, cases), NaN where a reader did not read a case."""

    conditions: tuple[str, ...]
    readers: tuple[str, ...]
    scores: Floats


def read_readings(path: Path, case_ids: Sequence[str]) -> Readings:
    """Read a table of readers' scores.

    Args:
        path: CSV with the columns ``case_id``, ``reader`` and ``score``, one row for each reading, and where
            readers read under several conditions (such as without and with the algorithm) ``condition``.
        case_ids: the cases, in the order of the result.

    Raises:
        UsageError: not such a table, a case that is none of these, or a reading given twice.
    """
    types = {"case_id": pa.string(), "reader": pa.string(), "score": pa.float64(), "condition": pa.string()}
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(
                f"{path} is larger than {MOST_BYTES // 2**20} MiB; it cannot be a table of readings."
            )
        table = pcsv.read_csv(path, convert_options=pcsv.ConvertOptions(column_types=types))
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path} cannot be read as CSV with numbers in the column score.") from error
    missing = [name for name in ("case_id", "reader", "score") if name not in table.column_names]
    if missing:
        raise UsageError(
            f"{path} lacks the columns {', '.join(missing)}. It needs case_id, reader and score."
        )
    if any(table[name].null_count for name in ("case_id", "reader", "score")):
        raise UsageError(
            f"{path} has a row without a case_id, a reader or a score. Leave out what was not read."
        )
    reader, readers = _codes(table["reader"])
    has_conditions = "condition" in table.column_names
    condition, conditions = (
        _codes(table["condition"]) if has_conditions else (np.zeros(reader.size, dtype=np.int64), (SINGLE,))
    )
    place = {case: index for index, case in enumerate(case_ids)}
    column = np.array([place.get(case, -1) for case in table["case_id"].to_pylist()], dtype=np.int64)
    if (column < 0).any():
        line = int(np.flatnonzero(column < 0)[0]) + 2
        raise UsageError(f"{path}, line {line}: the case is not one of the evaluation's labelled cases.")
    cell = (condition * len(readers) + reader) * len(place) + column
    if np.unique(cell).size < cell.size:
        raise UsageError(f"{path} has two scores of one reader for one case. Keep one.")
    scores = np.full((len(conditions), len(readers), len(place)), np.nan)
    scores[condition, reader, column] = table["score"].to_numpy()
    return Readings(conditions=conditions, readers=readers, scores=scores)


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    names, codes = np.unique(np.array(column.to_pylist(), dtype=object).astype(str), return_inverse=True)
    return codes.astype(np.int64), tuple(str(name) for name in names)
