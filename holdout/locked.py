"""A locked hold-out on disk: opening it, and reading what stands in it.

Layout of the folder (all read-only)::

    lock.json          format, root, where the images are, hash of the sealed reference standard
    manifest.jsonl     every file with its role, size and SHA-256 (see holdout.manifest)
    statement.json     name, version, unit, labels, counts
    cases.parquet      one row a case, by pseudonym
    index.parquet      the index rows of the locked images
    flow.jsonl         every file that was left out, with the reason
    commitments.jsonl  commitments to the truth of each case
    reference.sealed   the reference standard, encrypted

Everything but lock.json and reference.sealed is under the manifest's root; the seal is bound to the root.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785

from holdout import manifest, sealing
from holdout.cases import Unit
from holdout.errors import LockError, SealError, VerificationError
from holdout.reference_declaration import DETAILS, FROM_OBJECTS

LOCK_FORMAT = "proctor-lock/1"
STATEMENT_FORMAT = "proctor-holdout/1"
LOCK_FILE = "lock.json"
SEALED_FILE = "reference.sealed"
COVERED: Mapping[str, manifest.Role] = {
    "statement.json": "statement",
    "cases.parquet": "cases",
    "index.parquet": "index",
    "commitments.jsonl": "commitments",
    "flow.jsonl": "flow",
}
"""Files of the lock's folder that the root covers, with their role."""

FILES = frozenset({*COVERED, LOCK_FILE, SEALED_FILE, manifest.FILE_NAME})


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedHoldout:
    """A locked, versioned set of cases.

    ``cases`` has a row for each case: ``case_id``, ``patient_key``, ``files`` (paths below ``source``),
    ``instances``, the index attributes usable as strata, and ``site.<column>``. ``flow`` counts the files
    left out by reason.
    """

    name: str
    version: str
    root: str
    path: Path
    source: Path
    unit: Unit
    labels: tuple[str, ...]
    binary: tuple[str, ...]
    cases: pa.Table
    patients: int
    instances: int
    bytes: int
    flow: tuple[tuple[str, str, int], ...]
    """(code, reason, files)"""
    notes: tuple[str, ...]
    """What the leakage guard could not compare."""

    @property
    def binding(self) -> sealing.Binding:
        """What the sealed reference standard is bound to."""
        return sealing.Binding(name=self.name, version=self.version, root=self.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRecord:
    """lock.json."""

    root: str
    source: str
    sealed_sha256: str

    def encode(self) -> bytes:
        """Bytes of lock.json, its one possible form; ``check`` makes accidental damage show by itself."""
        content = {
            "format": LOCK_FORMAT,
            "root": self.root,
            "sealed_sha256": self.sealed_sha256,
            "source": self.source,
        }
        check = hashlib.sha256(rfc8785.dumps(content)).hexdigest()
        return rfc8785.dumps(content | {"check": check})


def read_record(path: Path) -> LockRecord:
    """Read lock.json of the hold-out in ``path``.

    Raises:
        LockError: there is none.
        VerificationError: it is not in its one possible form.
    """
    try:
        content = (path / LOCK_FILE).read_bytes()
    except OSError as exc:
        raise LockError(f"{path}: is not a locked hold-out (no readable {LOCK_FILE})") from exc
    try:
        given = json.loads(content)
        record = LockRecord(root=given["root"], source=given["source"], sealed_sha256=given["sealed_sha256"])
        if record.encode() != content:
            raise ValueError("not canonical")
    except (ValueError, KeyError, TypeError, RecursionError, rfc8785.CanonicalizationError) as exc:
        raise VerificationError(f"{path / LOCK_FILE}: was altered") from exc
    return record


def read_manifest(path: Path) -> list[manifest.Entry]:
    """Entries of the manifest of the hold-out in ``path``.

    Raises:
        VerificationError: missing or altered in form.
    """
    try:
        content = (path / manifest.FILE_NAME).read_bytes()
    except OSError as exc:
        raise VerificationError(f"{path / manifest.FILE_NAME}: is missing") from exc
    return manifest.decode(content)


def read_covered(path: Path, entries: list[manifest.Entry], name: str) -> bytes:
    """Content of one of the lock's own files, when it is what the manifest says.

    Raises:
        VerificationError: it is missing or altered.
    """
    expected = {entry.path: entry for entry in entries}.get(manifest.LOCK_PREFIX + name)
    try:
        content = (path / name).read_bytes()
    except OSError as exc:
        raise VerificationError(f"{path / name}: is missing") from exc
    if expected is None or hashlib.sha256(content).hexdigest() != expected.sha256:
        raise VerificationError(f"{path / name}: is not what was locked; restore it from a backup")
    return content


def open_locked(path: Path, *, source: Path | None = None) -> LockedHoldout:
    """Open a locked hold-out, checking everything but the images and the sealed reference standard.

    ``source`` says where the images are now, when the folder was moved since the lock.

    Raises:
        LockError: no locked hold-out there.
        VerificationError: one of the lock's own files is not what was locked.
    """
    record = read_record(path)
    entries = read_manifest(path)
    if manifest.root(entries) != record.root:
        raise VerificationError(
            f"{path}: manifest and root do not belong together; restore the folder from a backup"
        )
    statement = read_statement(read_covered(path, entries, "statement.json"), path)
    cases = pq.read_table(io.BytesIO(read_covered(path, entries, "cases.parquet")))
    flow = Counter(
        (row["code"], row["reason"])
        for row in map(json.loads, read_covered(path, entries, "flow.jsonl").splitlines())
    )
    counts = statement["counts"]
    return LockedHoldout(
        name=statement["name"],
        version=statement["version"],
        root=record.root,
        path=path,
        source=source or Path(record.source),
        unit=statement["unit"],
        labels=tuple(statement["labels"]),
        binary=tuple(statement["binary"]),
        cases=cases,
        patients=counts["patients"],
        instances=counts["instances"],
        bytes=counts["bytes"],
        notes=tuple(statement["notes"]),
        flow=tuple((code, reason, count) for (code, reason), count in sorted(flow.items())),
    )


def read_statement(content: bytes, path: Path) -> dict[str, Any]:
    """Read statement.json.

    Raises:
        VerificationError: of another format.
    """
    statement: dict[str, Any] = json.loads(content)
    if statement.get("format") != STATEMENT_FORMAT:
        raise VerificationError(f"{path}: statement.json has a format that this version does not read")
    return statement


def read_index(locked: LockedHoldout) -> pa.Table:
    """Index rows of the locked images, sorted by path."""
    content = read_covered(locked.path, read_manifest(locked.path), "index.parquet")
    return pq.read_table(io.BytesIO(content))


def open_reference(locked: LockedHoldout, reference_key: bytes) -> pa.Table:
    """Decrypt the reference standard, in memory only.

    A row for each case: ``case_id``, the labels (int64 1/0 where binary, else text; null where unlabelled),
    ``reference.method``, ``reference.readers``, ``reference.date``; where truth was read from objects also
    ``reference.objects`` (SHA-256 of their files) and ``reference.resampled`` (yes or no).

    Raises:
        SealError: wrong key, or altered.
        VerificationError: the truth of a case is not the one that was committed to at the lock.
    """
    try:
        content = (locked.path / SEALED_FILE).read_bytes()
    except OSError as exc:
        raise SealError(f"{locked.path / SEALED_FILE}: cannot be read") from exc
    opened = sealing.unseal(content, reference_key, locked.binding)
    committed = read_covered(locked.path, read_manifest(locked.path), "commitments.jsonl")
    wrong = sorted({*opened.broken, *sealing.broken_commitments(committed, opened.truths, reference_key)})
    if wrong:
        raise VerificationError(
            f"the truth of {len(wrong)} cases is not what was locked (first: {wrong[0]}); run verify"
        )
    ids = sorted(opened.truths)
    columns: dict[str, pa.Array] = {"case_id": pa.array(ids, type=pa.string())}
    for label in locked.labels:
        values = [opened.truths[case_id][label] for case_id in ids]
        if label in locked.binary:
            columns[label] = pa.array(
                [None if value is None else int(value) for value in values], type=pa.int64()
            )
        else:
            columns[label] = pa.array(values, type=pa.string())
    known = {name for truth in opened.truths.values() for name in truth}
    for detail in (*DETAILS, *(name for name in FROM_OBJECTS if f"reference.{name}" in known)):
        columns[f"reference.{detail}"] = pa.array(
            [opened.truths[case_id][f"reference.{detail}"] for case_id in ids], type=pa.string()
        )
    return pa.table(columns)
