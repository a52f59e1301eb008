"""Tables that people keep beside images, joined to the index by whatever key they have.

A key is one of: SOP, Series or Study Instance UID, Patient ID with accession number, Patient ID alone, or a
file (its path below the ingested folder, or its name where that is unique).
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, model_validator

from holdout.errors import HoldoutError

MAXIMUM_BYTES = 1_000_000_000
UNKNOWN = "unknown"


class Key(BaseModel):
    """Which columns of a table say what a row is about; the field names are the index's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sop_instance_uid: str | None = None
    series_instance_uid: str | None = None
    study_instance_uid: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = set(self.parts)
        allowed = (
            {"sop_instance_uid"},
            {"series_instance_uid"},
            {"study_instance_uid"},
            {"patient_id", "accession_number"},
            {"patient_id"},
            {"file"},
        )
        if given not in allowed:
            raise ValueError(
                "give exactly one of sop_instance_uid, series_instance_uid, study_instance_uid, file, "
                "patient_id, or patient_id with accession_number"
            )
        return self

    @property
    def parts(self) -> dict[str, str]:
        """Index attribute to column of the table."""
        return {name: column for name, column in self.model_dump().items() if column is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row of a keyed table: its line (1-based), its key as written, and its cells by column."""

    line: int
    key: tuple[str, ...]
    cells: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A table joined to the index.

    ``by_row`` gives, for each row of the index, the rows of the table about it. ``unmatched`` are rows of the
    table that no file answers to; ``repeated`` are keys that stand more than once; ``ambiguous`` are file
    names that several files have.
    """

    by_row: list[list[TableRow]]
    unmatched: tuple[TableRow, ...]
    repeated: tuple[tuple[TableRow, ...], ...]
    ambiguous: tuple[TableRow, ...]


def table_bytes(path: Path, error: type[Exception]) -> bytes:
    """Content of a file that an operator gives.

    Raises:
        error: it cannot be read, or is larger than 1 GB.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise error(f"{path}: cannot be read ({exc.strerror or type(exc).__name__})") from exc
    if len(content) > MAXIMUM_BYTES:
        raise error(f"{path}: larger than {MAXIMUM_BYTES} bytes")
    return content


def read_table(path: Path, key: Key, columns: Sequence[str], error: type[HoldoutError]) -> list[TableRow]:
    """Read a CSV file with the key's columns and ``columns``.

    Raises:
        error: unreadable, not UTF-8, not CSV, a column is missing, or a row has more cells than the header.
    """
    content = table_bytes(path, error)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise error(f"{path}: is not UTF-8 text (byte {exc.start}); save it as UTF-8") from exc
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[TableRow] = []
    try:
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise error(f"{path}: a column name stands twice in the first line")
        missing = sorted({*key.parts.values(), *columns} - set(header))
        if missing:
            raise error(f"{path}: has no column {', '.join(missing)} (it has: {', '.join(header)})")
        places = {column: header.index(column) for column in {*key.parts.values(), *columns}}
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise error(
                    f"{path}: line {reader.line_num} has {len(cells)} cells, the header {len(header)}"
                )
            picked = {column: cells[place].strip() for column, place in places.items()}
            rows.append(
                TableRow(
                    line=reader.line_num,
                    key=tuple(picked[column] for column in key.parts.values()),
                    cells=picked,
                )
            )
    except csv.Error as exc:
        raise error(f"{path}: line {reader.line_num}: not valid CSV ({exc})") from exc
    return rows


def match(index: pa.Table, key: Key, rows: Sequence[TableRow]) -> Matched:
    """Join ``rows`` to the files of ``index``."""
    places = _Places(index, key)
    grouped: dict[tuple[str, ...], list[TableRow]] = defaultdict(list)
    for row in rows:
        grouped[row.key].append(row)
    by_row: list[list[TableRow]] = [[] for _ in range(index.num_rows)]
    unmatched: list[TableRow] = []
    ambiguous: list[TableRow] = []
    for value, members in grouped.items():
        found, several = places(value)
        if several:
            ambiguous.extend(members)
        elif not found:
            unmatched.extend(members)
        for position in found if not several else ():
            by_row[position].extend(members)
    return Matched(
        by_row=by_row,
        unmatched=tuple(sorted(unmatched, key=lambda row: row.line)),
        repeated=tuple(tuple(members) for members in grouped.values() if len(members) > 1),
        ambiguous=tuple(sorted(ambiguous, key=lambda row: row.line)),
    )


class _Places:
    """Index rows for a key: (positions, whether a file name is ambiguous)."""

    def __init__(self, index: pa.Table, key: Key) -> None:
        self._files = "file" in key.parts
        self._names: dict[str, list[int]] = defaultdict(list)
        self._known: dict[tuple[str, ...], list[int]] = defaultdict(list)
        columns = ["path"] if self._files else list(key.parts)
        values = [index.column(column).to_pylist() for column in columns]
        for position, parts in enumerate(zip(*values, strict=True)):
            if any(part is None or part == UNKNOWN for part in parts):
                continue
            self._known[parts].append(position)
            if self._files:
                self._names[PurePosixPath(parts[0]).name].append(position)

    def __call__(self, value: tuple[str, ...]) -> tuple[list[int], bool]:
        found = self._known.get(value, [])
        if found or not self._files or "/" in value[0]:
            return found, False
        named = self._names.get(value[0], [])
        return named, len(named) > 1
