"""Parquet files that appear whole or not at all; equal tables give equal bytes."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sandbox.errors import PredictionError
from sandbox.evidence.durable import write_durable


def write_table(table: pa.Table, path: Path) -> None:
    """Write ``table`` to ``path`` durably.

    Raises:
        OSError: the disk is full or refuses; ``path`` is as it was.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_durable(path, buffer.getvalue())


def read_answers(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a table of answers back.

    Raises:
        PredictionError: the file is missing, or does not hold a table of this schema.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise PredictionError(
            f"{path} cannot be read. Remove it and run the same evaluation again."
        ) from error
    if not table.schema.equals(schema):
        raise PredictionError(
            f"{path} does not hold the answers that it should. Remove it and run the same evaluation again."
        )
    return table
