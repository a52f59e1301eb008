"""Leakage: cases that stand where they must not, found by patient, UID, bytes, pixels, or declaration.

Equality of bytes or pixels finds copies, also after a change of header, of UID or of lossless compression. It
cannot find an image that was resized, cropped or lossily compressed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from holdout.bounded import Failure
from holdout.decoding import DecodingLimits, decoded_digests
from holdout.normalise import UNKNOWN
from holdout.pixel_equality import pixel_hashes, pixel_identities

Progress = Callable[[int, int | None], None]
Severity = Literal["refuse", "note"]

HOLDOUT = "holdout"
PATIENT = "patient_in_two_parts"
SOP_INSTANCE = "repeated_sop_instance_uid"
BYTE_EQUAL = "byte_equal"
PIXEL_EQUAL = "pixel_equal"
DECODED_EQUAL = "decoded_equal"
DECLARED = "declared_training"
NOT_COMPARED = "not_compared"

MOST_DECODED = 2000
_IDENTITY = ("path", "status", "patient_id", "sop_instance_uid", "sha256", "pixel_sample")
_ENCODING = ("transfer_syntax_uid",)
_GEOMETRY = ("rows", "columns", "number_of_frames", "samples_per_pixel", "bits_allocated")
_NOT_INSTANCES = frozenset({"empty", "not_dicom", "directory", "link", "not_a_file"})
_Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One finding.

    ``items`` are all paths concerned; ``excludable`` those of the hold-out that would have to go to end it
    (none for a note); ``sentence`` says it with one example.
    """

    kind: str
    severity: Severity
    items: tuple[str, ...]
    excludable: tuple[str, ...]
    sentence: str


def find_leaks(
    index: pa.Table,
    source: Path,
    *,
    parts: Sequence[str] | None = None,
    declared: Collection[str] = (),
    limits: DecodingLimits | None = None,
    most_decoded: int = MOST_DECODED,
    progress: Progress | None = None,
) -> list[Leak]:
    """Find leaks that touch the hold-out, in the order of kinds and paths.

    Args:
        index: an index, or several concatenated (each under its folder's prefix of ``path``).
        source: the folder of the files, read again where samples of pixels tie, where transfer syntaxes
            differ, and for ``declared``.
        parts: part of each row ('holdout', 'development', or another); all hold-out when None. Rows of part
            'unknown' are nowhere and leak nothing.
        declared: SHA-256 (hex) of files or of pixel data values that a vendor declares as training data.
        limits: bounds for decoding one file.
        most_decoded: most files that are decoded; a note says how many were left out.
        progress: called with (files read again, files to read again), from the start for each kind of reading.

    Raises:
        LeakageError: a file that must be read again is not what was ingested.
    """
    rows = _rows(index, parts)
    identities = pixel_identities(
        [row for row in rows if row["status"] not in _NOT_INSTANCES], source, progress=progress
    )
    for row in rows:
        row["pixels"] = identities.get(row["path"])
    leaks = [*_patients(rows), *_equal(rows, "sop_instance_uid", SOP_INSTANCE, "share a SOP Instance UID")]
    leaks += _equal(rows, "sha256", BYTE_EQUAL, "are equal byte for byte")
    distinct = "have equal pixels under different SOP Instance UIDs"
    leaks += _equal(rows, "pixels", PIXEL_EQUAL, distinct, distinct="sop_instance_uid")
    leaks += _declared(rows, frozenset(value.strip().lower() for value in declared), source, progress)
    leaks += _decoded(rows, source, limits, most_decoded, progress)
    return leaks


def _rows(index: pa.Table, parts: Sequence[str] | None) -> list[_Row]:
    chosen = list(parts) if parts is not None else [HOLDOUT] * index.num_rows
    table = index.select([*_IDENTITY, *_ENCODING, *_GEOMETRY]).append_column(
        "part", pa.array(chosen, pa.string())
    )
    rows = table.sort_by("path").to_pylist()
    return [row for row in rows if row["part"] != UNKNOWN]


def _patients(rows: Iterable[_Row]) -> Iterator[Leak]:
    """Patients of the hold-out who also stand in another part."""
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row["patient_id"] not in (None, "", UNKNOWN):
            groups[row["patient_id"]].append(row)
    for members in groups.values():
        parts = sorted({row["part"] for row in members})
        if HOLDOUT not in parts or len(parts) == 1:
            continue
        here = _paths(row for row in members if row["part"] == HOLDOUT)
        elsewhere = _paths(row for row in members if row["part"] != HOLDOUT)
        yield Leak(
            kind=PATIENT,
            severity="refuse",
            items=(*here, *elsewhere),
            excludable=here,
            sentence=(
                f"one patient stands in {' and '.join(parts)}: {len(here)} and {len(elsewhere)} files "
                f"(such as {here[0]} and {elsewhere[0]})"
            ),
        )


def _equal(
    rows: Iterable[_Row], column: str, kind: str, what: str, *, distinct: str | None = None
) -> Iterator[Leak]:
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        # Files of no bytes, or that could not be read, are equal to each other and mean nothing.
        if row[column] not in (None, "", UNKNOWN) and row["status"] not in _NOT_INSTANCES:
            groups[row[column]].append(row)
    for members in groups.values():
        if distinct is None or len({row[distinct] for row in members}) > 1:
            yield from _group_leak(members, kind, what)


def _group_leak(members: list[_Row], kind: str, what: str) -> Iterator[Leak]:
    """Report files that are the same; with one in another part all here must go, else all but one."""
    here = _paths(row for row in members if row["part"] == HOLDOUT)
    elsewhere = _paths(row for row in members if row["part"] != HOLDOUT)
    if not here or len(members) < 2:
        return
    example = elsewhere[0] if elsewhere else here[1]
    where = f", {len(elsewhere)} of them outside the hold-out" if elsewhere else ""
    yield Leak(
        kind=kind,
        severity="refuse",
        items=(*here, *elsewhere),
        excludable=here if elsewhere else here[1:],
        sentence=f"{len(members)} files {what}{where} (such as {here[0]} and {example})",
    )


def _declared(
    rows: Iterable[_Row], declared: frozenset[str], source: Path, progress: Progress | None
) -> Iterator[Leak]:
    if not declared:
        return
    here = [row for row in rows if row["part"] == HOLDOUT]
    unknown = [row["path"] for row in here if row["pixels"] is not None and row["sha256"] not in declared]
    hashes = pixel_hashes(unknown, source, progress=progress)
    for row in here:
        by_file, by_pixels = row["sha256"] in declared, hashes.get(row["path"]) in declared
        if by_file or by_pixels:
            what = "file" if by_file else "image's pixel data"
            yield Leak(
                kind=DECLARED,
                severity="refuse",
                items=(row["path"],),
                excludable=(row["path"],),
                sentence=f"the {what} was declared as training data ({row['path']})",
            )


def _decoded(
    rows: Sequence[_Row],
    source: Path,
    limits: DecodingLimits | None,
    most_decoded: int,
    progress: Progress | None,
) -> Iterator[Leak]:
    """Compare decoded pixels among images of one geometry and several transfer syntaxes."""
    candidates = _candidates(rows)
    if not candidates:
        return
    chosen = candidates[:most_decoded]
    by_digest: dict[tuple[Any, ...], list[_Row]] = defaultdict(list)
    failed: list[_Row] = []
    if chosen:
        results = decoded_digests((source / row["path"] for row in chosen), limits)
        for done, (row, (_, result)) in enumerate(zip(chosen, results, strict=True), start=1):
            if isinstance(result, Failure):
                failed.append(row)
            else:
                by_digest[(result.shape, result.dtype, result.sha256)].append(row)
            if progress is not None:
                progress(done, len(chosen))
    for members in by_digest.values():
        if len({row["pixels"] for row in members}) > 1:
            what = "have equal decoded pixels under different transfer syntaxes"
            yield from _group_leak(members, DECODED_EQUAL, what)
    left = [*failed, *candidates[len(chosen) :]]
    if left:
        yield Leak(
            kind=NOT_COMPARED,
            severity="note",
            items=_paths(left),
            excludable=(),
            sentence=f"the decoded pixels of {len(left)} files were not compared (such as {left[0]['path']})",
        )


def _candidates(rows: Iterable[_Row]) -> list[_Row]:
    """Return a file for each distinct pixel value of a geometry that several transfer syntaxes share."""
    groups: dict[tuple[Any, ...], dict[tuple[str, str], _Row]] = defaultdict(dict)
    for row in rows:
        if row["status"] == "ok" and row["pixels"] is not None:
            geometry = tuple(row[column] or 0 for column in _GEOMETRY)
            # Equal values are known already; what stands for them is the hold-out's file where there is one.
            key = (row["pixels"], row["part"])
            groups[geometry].setdefault(key, row)
    chosen = [
        row
        for members in groups.values()
        if len({row["transfer_syntax_uid"] for row in members.values()}) > 1
        and any(row["part"] == HOLDOUT for row in members.values())
        for row in members.values()
    ]
    return sorted(chosen, key=lambda row: row["path"])


def _paths(rows: Iterable[_Row]) -> tuple[str, ...]:
    return tuple(row["path"] for row in rows)
