"""Ingest: a folder of foreign files to an index, in parallel, streaming, in child processes that may die.

Every file and every link becomes a row. No link is followed: one that leads out of the folder would bring in
data that nobody chose, one that stays inside would bring in the same file twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from holdout import normalise
from holdout.attributes import ATTRIBUTES, FILE_COLUMNS, NUMERIC, Kind, row_columns
from holdout.bounded import BoundedPool, Failure
from holdout.errors import IngestError
from holdout.headers import STATUSES, ReadLimits, Row, defect_row, read_found
from holdout.index import write_index
from holdout.listing import Found, entries

Progress = Callable[[int, int | None], None]

_FAILURE_SENTENCES = {
    "timeout": "Reading took longer than the limit ({detail}).",
    "memory": "Reading needs more memory than the limit ({detail}).",
    "crash": "Reading crashed the reader ({detail}).",
    "exception": "The reader failed ({detail}).",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSummary:
    """What became of a folder: rows by status, unknown values by column (among 'ok' rows), bytes, seconds."""

    files: int
    by_status: dict[str, int]
    unknown_by_column: dict[str, int]
    bytes: int
    seconds: float


def ingest(
    folder: Path,
    index_path: Path,
    *,
    limits: ReadLimits | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> IngestSummary:
    """Read every file below ``folder`` and write the index; rows stand in the order of their paths.

    Args:
        folder: the folder of DICOM (and other) files; nothing is written to it.
        index_path: where the Parquet index appears, complete or not at all.
        limits: bounds for one file.
        processes: reading processes; one for each usable processor when None.
        progress: called with (files done, files found so far).

    Raises:
        IngestError: the folder is missing, not a folder, or cannot be listed.
        HoldoutIndexError: the index cannot be written.
    """
    if not folder.is_dir():
        raise IngestError(f"There is no folder at {folder}; give the folder that holds the DICOM files.")
    limits = limits or ReadLimits()
    started = time.monotonic()
    counts = _Counts()
    write_index(_rows(folder.resolve(), index_path, limits, processes, progress, counts), index_path)
    return IngestSummary(
        files=sum(counts.by_status.values()),
        by_status=dict(sorted(counts.by_status.items())),
        unknown_by_column={name: counts.unknown[name] for name in _COUNTED_NAMES if counts.unknown[name]},
        bytes=counts.bytes,
        seconds=time.monotonic() - started,
    )


_NOTHING = type(None)
_COLUMNS = row_columns()
_COUNTED = tuple((_COLUMNS.index(a.column), a.column, a.kind in NUMERIC) for a in ATTRIBUTES)
_COUNTED_NAMES = tuple(name for _, name, _ in _COUNTED)
_SPECIAL_TYPES: dict[str, tuple[type, ...]] = {"size": (int, _NOTHING), "preamble": (bool,)} | {
    attribute.column: (int, _NOTHING) if attribute.kind is Kind.INTEGER else (float, _NOTHING)
    for attribute in ATTRIBUTES
    if attribute.kind in NUMERIC
}
_TYPES = tuple(_SPECIAL_TYPES.get(column, (str, _NOTHING)) for column in _COLUMNS)
_STATUS = FILE_COLUMNS.index("status")
_SIZE = FILE_COLUMNS.index("size")


class _Counts:
    """Running totals of an ingest."""

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.bytes = 0

    def add(self, row: Row) -> None:
        """Count one row."""
        status, size = row[_STATUS], row[_SIZE]
        self.by_status[str(status)] += 1
        self.bytes += size if isinstance(size, int) else 0
        if status == "ok":
            for position, name, numeric in _COUNTED:
                if row[position] is None if numeric else row[position] == normalise.UNKNOWN:
                    self.unknown[name] += 1


def _rows(
    folder: Path,
    index_path: Path,
    limits: ReadLimits,
    processes: int | None,
    progress: Progress | None,
    counts: _Counts,
) -> Iterator[Row]:
    found = 0

    def counted() -> Iterator[Found]:
        nonlocal found
        for entry in entries(folder, index_path.absolute()):
            found += 1
            yield entry

    reader = partial(read_found, str(folder), limits)
    pool: BoundedPool[Found, Row] = BoundedPool(
        reader,
        processes=processes,
        memory_bytes=limits.memory_bytes,
        seconds_per_task=limits.seconds_per_file,
    )
    with pool:
        for done, (entry, result) in enumerate(pool.map(counted(), ordered=True), start=1):
            row = _failed(folder, entry, result) if isinstance(result, Failure) else _checked(entry, result)
            counts.add(row)
            if progress is not None:
                progress(done, found)
            yield row


def _failed(folder: Path, entry: Found, failure: Failure) -> Row:
    status = "unreadable" if failure.code == "exception" else failure.code
    try:
        size = (folder / entry.path).lstat().st_size
    except OSError:
        size = None
    return defect_row(
        entry.path, size, status, _FAILURE_SENTENCES[failure.code].format(detail=failure.detail)
    )


def _checked(entry: Found, row: Row) -> Row:
    """Accept a row from a child only in the index's shape and under the path that was asked for."""
    shaped = isinstance(row, tuple) and len(row) == len(_COLUMNS) and row[0] == entry.path
    if shaped and all(map(isinstance, row, _TYPES)) and row[_STATUS] in STATUSES:
        return row
    return defect_row(entry.path, None, "crash", "The reader answered with something that is not a row.")
