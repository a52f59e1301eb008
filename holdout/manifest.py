"""The manifest: what a locked hold-out consists of, and the one hash that stands for it.

``manifest.jsonl`` has one line a file, sorted by path (by code point)::

    {"path":"source/ab/x.dcm","role":"image","sha256":"<hex>","size":1234}

Each line is the RFC 8785 (canonical JSON) form of the entry, ended by one newline. The leaf of an entry is
SHA-256(0x00 || line without its newline), the root that of the RFC 9162 tree over these leaves. Paths are
posix; ``source/`` stands for the folder with the images, ``lock/`` for the lock's own folder.

Roles: ``image`` (a DICOM file of a case), ``statement`` (name, version, unit, labels, counts), ``cases``,
``index``, ``commitments`` (to the reference standard), ``flow`` (what was left out, and why).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from holdout import merkle
from holdout.canonical import canonical_record
from holdout.errors import VerificationError

Role = Literal["image", "statement", "cases", "index", "commitments", "flow"]
FILE_NAME = "manifest.jsonl"
SOURCE_PREFIX = "source/"
LOCK_PREFIX = "lock/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a locked hold-out."""

    path: str
    role: Role
    size: int
    sha256: str

    def line(self) -> bytes:
        """Canonical JSON of the entry: the bytes that the leaf hash covers."""
        return canonical_record(
            {"path": self.path, "role": self.role, "sha256": self.sha256, "size": self.size}
        )


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """Sort entries as a manifest has them.

    Raises:
        VerificationError: a path stands twice.
    """
    result = sorted(entries, key=lambda entry: entry.path)
    for first, second in pairwise(result):
        if first.path == second.path:
            raise VerificationError(f"the manifest names {first.path} twice")
    return result


def encode(entries: Iterable[Entry]) -> bytes:
    """Bytes of ``manifest.jsonl``."""
    return b"".join(entry.line() + b"\n" for entry in ordered(entries))


def decode(content: bytes) -> list[Entry]:
    """Read ``manifest.jsonl``, accepting its one possible form only.

    Raises:
        VerificationError: a line is not the canonical form of an entry, or the lines are out of order.
    """
    entries: list[Entry] = []
    lines = content.split(b"\n")
    if lines.pop() != b"":
        raise VerificationError("the manifest does not end with a newline: it was cut or added to")
    for number, line in enumerate(lines, start=1):
        try:
            given = json.loads(line)
            entry = Entry(path=given["path"], role=given["role"], size=given["size"], sha256=given["sha256"])
            sound = (
                isinstance(entry.path, str)
                and entry.role in get_args(Role)
                and type(entry.size) is int
                and entry.line() == line
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            sound = False
        if not sound:
            raise VerificationError(f"manifest line {number} is not a canonical entry: it was altered")
        if entries and entries[-1].path >= entry.path:
            raise VerificationError(f"manifest line {number} is out of order: it was altered")
        entries.append(entry)
    return entries


def root(entries: Iterable[Entry]) -> str:
    """Merkle root over the entries in the manifest's order, in hex."""
    return merkle.root(merkle.leaf_hash(entry.line()) for entry in ordered(entries)).hex()
