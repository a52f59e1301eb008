"""Parquet files that appear whole or not at all; equal tables give equal bytes."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sandbox.evidence.durable import write_durable


def write_table(table: pa.Table, path: Path) -> None:
    """Write ``table`` to ``path`` durably.

    Raises:
        OSError: the disk is full or refuses; ``path`` is as it was.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_durable(path, buffer.getvalue())
