"""The software bill of materials: what the package databases inside an image's layers say is installed.

Read as the layers stream by, without unpacking: Debian (``/var/lib/dpkg``), Alpine (``/lib/apk/db``), RPM
(``rpmdb.sqlite``) and Python (``*.dist-info``, ``*.egg-info``). It is the image's own word: whatever was copied in
without a package manager is not in it. This runs in the child process of :mod:`runners.archive_process`.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_PACKAGES = 20_000
DATABASE_BYTES = 64 << 20
"""Bytes that one package database may have; a larger one is left aside, with a warning."""

_METADATA_BYTES = 16 << 10
_PYTHON = re.compile(r".*(?:\.dist-info/METADATA|\.egg-info/PKG-INFO|\.egg-info)")
_DEBIAN = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+)")
_ALPINE = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_RPM = ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite")
_RPM_OLD = re.compile(r"(?:var/lib/rpm|usr/lib/sysimage/rpm)/(?:Packages|Packages\.db)")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:~^-]{0,127}")
_RPM_NAME, _RPM_VERSION, _RPM_RELEASE, _RPM_STRING = 1000, 1001, 1002, 6


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One installed package; ``kind`` is ``deb``, ``apk``, ``rpm`` or ``python``."""

    kind: str
    name: str
    version: str


class NotReadError(Exception):
    """A package database is there, but is of a kind or size that is not read."""


def is_database(path: str) -> bool:
    """Tell whether ``path`` (relative to the image's root) is a package database."""
    return bool(
        path in _ALPINE
        or path in _RPM
        or _DEBIAN.fullmatch(path)
        or _RPM_OLD.fullmatch(path)
        or _PYTHON.fullmatch(path)
    )


def bytes_wanted(path: str, size: int) -> int:
    """How much of a database is to be read.

    Raises:
        NotReadError: more than is read of any.
    """
    if _PYTHON.fullmatch(path):
        return min(size, _METADATA_BYTES)
    if size > DATABASE_BYTES or _RPM_OLD.fullmatch(path):
        raise NotReadError
    return size


def read_packages(path: str, content: bytes) -> tuple[Package, ...]:
    """Read one database; names and versions that are not plain text of the usual form are left out.

    Raises:
        NotReadError: it is damaged.
    """
    if path in _RPM:
        found = [("rpm", *item) for item in _rpm(content)]
    elif path in _ALPINE:
        found = [("apk", *item) for item in _paragraphs(content, "P:", "V:")]
    elif _DEBIAN.fullmatch(path):
        found = [("deb", *item) for item in _paragraphs(content, "Package:", "Version:", only="Status:")]
    else:
        found = [("python", *item) for item in _paragraphs(content, "Name:", "Version:")][:1]
    return tuple(
        Package(kind=kind, name=name, version=version)
        for kind, name, version in found[:MOST_PACKAGES]
        if _PLAIN.fullmatch(name) and _PLAIN.fullmatch(version)
    )


def _paragraphs(
    content: bytes, name: str, version: str, only: str | None = None
) -> Iterator[tuple[str, str]]:
    """Read paragraphs of ``Field: value`` lines (RFC 822, and Alpine's one-letter fields)."""
    fields: dict[str, str] = {}
    for line in (*content.decode("utf-8", "replace").split("\n"), ""):
        if not line.strip():
            # A removed Debian package keeps its paragraph, as "deinstall ok config-files".
            installed = only is None or only not in fields or fields[only].endswith(" installed")
            if name in fields and version in fields and installed:
                yield fields[name], fields[version]
            fields = {}
        else:
            for field in (name, version, only):
                if field is not None and line.startswith(field):
                    fields.setdefault(field, line[len(field) :].strip())


def _rpm(content: bytes) -> list[tuple[str, str]]:
    """Read the header of every package of an RPM database in SQLite."""
    if not content.startswith(b"SQLite format 3\0") or len(content) < 512:
        raise NotReadError
    # A database with a write-ahead log cannot be opened in memory; without its log it is an ordinary one.
    plain = content[:18] + b"\1\1" + content[20:]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.deserialize(plain)
            connection.execute("PRAGMA trusted_schema = OFF")
            rows = connection.execute("SELECT blob FROM Packages LIMIT ?", (MOST_PACKAGES,)).fetchall()
            return [found for (blob,) in rows if isinstance(blob, bytes) and (found := _rpm_header(blob))]
        except (sqlite3.Error, struct.error, OverflowError):
            raise NotReadError from None


def _rpm_header(blob: bytes) -> tuple[str, str] | None:
    """Read name and version-release (RPM file format, header structure without its lead-in)."""
    entries, size = struct.unpack_from(">II", blob)
    store = 8 + entries * 16
    if entries > 4096 or store + size > len(blob):
        return None
    texts: dict[int, str] = {}
    for index in range(entries):
        tag, kind, offset, _ = struct.unpack_from(">IIII", blob, 8 + index * 16)
        if tag in (_RPM_NAME, _RPM_VERSION, _RPM_RELEASE) and kind == _RPM_STRING and offset < size:
            end = blob.find(b"\0", store + offset, store + size)
            texts[tag] = blob[store + offset : end].decode("ascii", "replace") if end > 0 else ""
    if not {_RPM_NAME, _RPM_VERSION, _RPM_RELEASE} <= texts.keys():
        return None
    return texts[_RPM_NAME], f"{texts[_RPM_VERSION]}-{texts[_RPM_RELEASE]}"


def merged(
    layers: Iterable[tuple[dict[str, tuple[Package, ...]], set[str]]],
) -> tuple[list[Package], bool]:
    """Put layers together from bottom to top, each (packages by database, removed paths).

    Returns the packages, sorted, each once, and whether some had to be left out for their number.
    """
    known: dict[str, tuple[Package, ...]] = {}
    for databases, removed in layers:
        if removed:
            known = {path: found for path, found in known.items() if not _is_removed(path, removed)}
        known |= databases
    packages = sorted({package for found in known.values() for package in found})
    return packages[:MOST_PACKAGES], len(packages) > MOST_PACKAGES


def _is_removed(path: str, removed: set[str]) -> bool:
    parts = path.split("/")
    return any("/".join(parts[:count]) in removed for count in range(1, len(parts) + 1))
