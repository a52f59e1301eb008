"""The index of an ingested folder: a Parquet file with one row a file, written once and atomically."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from holdout.attributes import BY_COLUMN, Kind, row_columns
from holdout.errors import HoldoutIndexError

INDEX_VERSION = "proctor/index/2"
ROWS_PER_GROUP = 20_000
ROWS_PER_STEP = 500
_VERSION_KEY = b"proctor"
_SPECIAL_TYPES = {"size": pa.int64(), "preamble": pa.bool_()}


def schema() -> pa.Schema:
    """Arrow schema of the index; the order is that of ``attributes.row_columns()``."""
    fields = [pa.field(column, _type_of(column)) for column in row_columns()]
    return pa.schema(fields, metadata={_VERSION_KEY: INDEX_VERSION.encode()})


def _type_of(column: str) -> pa.DataType:
    if column in _SPECIAL_TYPES:
        return _SPECIAL_TYPES[column]
    attribute = BY_COLUMN.get(column)
    if attribute is None:
        return pa.string()
    if attribute.kind is Kind.INTEGER:
        return pa.int64()
    return pa.float64() if attribute.kind in (Kind.AGE, Kind.NUMBER) else pa.string()


def table_of(rows: Sequence[Sequence[object]]) -> pa.Table:
    """Make a table of rows in the order of ``attributes.row_columns()``."""
    layout = schema()
    columns = zip(*rows, strict=True) if rows else [[] for _ in layout]
    arrays = [pa.array(values, type=field.type) for field, values in zip(layout, columns, strict=True)]
    return pa.Table.from_arrays(arrays, schema=layout)


@contextmanager
def writing(path: Path) -> Iterator[pq.ParquetWriter]:
    """Open a writer whose file appears at ``path`` only when the block ends without an error.

    Raises:
        HoldoutIndexError: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise HoldoutIndexError(f"The index cannot be written to {path.parent}: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with pq.ParquetWriter(stream, schema(), compression="zstd") as writer:
                yield writer
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise HoldoutIndexError(f"The index {path} cannot be written: {error.strerror or error}.") from error
    finally:
        Path(name).unlink(missing_ok=True)


def write_index(rows: Iterable[Sequence[object]], path: Path) -> None:
    """Write rows (in the order of ``attributes.row_columns()``) as an index, a group at a time.

    Raises:
        HoldoutIndexError: the place cannot be written.
    """
    remaining = iter(rows)
    with writing(path) as writer:
        # Columns are made while the next rows are still being read, and take less memory than rows.
        while steps := list(islice(_steps(remaining), ROWS_PER_GROUP // ROWS_PER_STEP)):
            writer.write_table(pa.concat_tables(steps))


def _steps(rows: Iterator[Sequence[object]]) -> Iterator[pa.Table]:
    while step := list(islice(rows, ROWS_PER_STEP)):
        yield table_of(step)


def read_index(path: Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read an index, or some of its columns.

    Raises:
        HoldoutIndexError: the file is missing, damaged, or not an index of this version.
    """
    check_index(path)
    try:
        return pq.ParquetFile(path).read(columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise HoldoutIndexError(f"The index {path} is damaged; ingest the folder again.") from error


def check_index(path: Path) -> None:
    """Check that a file is an index of this version.

    Raises:
        HoldoutIndexError: it is not.
    """
    try:
        found = pq.read_schema(path)
    except FileNotFoundError as error:
        raise HoldoutIndexError(f"There is no index at {path}; ingest a folder first.") from error
    except (OSError, pa.ArrowException) as error:
        raise HoldoutIndexError(f"{path} is not a readable index; ingest the folder again.") from error
    version = (found.metadata or {}).get(_VERSION_KEY)
    if version != INDEX_VERSION.encode() or not found.equals(schema()):
        raise HoldoutIndexError(
            f"{path} is not an index of version {INDEX_VERSION}; ingest the folder again."
        )
