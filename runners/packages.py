"""The software bill of materials: what the package databases inside an image's layers say is installed.

Read as the layers stream by, without unpacking: Debian (``/var/lib/dpkg``; ``status.d`` in distroless images), Alpine
(``/lib/apk/db``), RPM (:mod:`runners.rpm_databases`) and Python (``*.dist-info``, ``*.egg-info``). It is the image's
own word: whatever was copied in without a package manager is not in it. This runs in the child process of
:mod:`runners.archive_process`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runners.rpm_databases import DamagedDatabaseError, rpm_packages

MOST_PACKAGES = 20_000
DATABASE_BYTES = 128 << 20
"""Bytes that one package database may have; a larger one is left aside, with a warning."""

_METADATA_BYTES = 16 << 10
_PYTHON = re.compile(r".*(?:\.dist-info/METADATA|\.egg-info/PKG-INFO|\.egg-info)")
_DEBIAN = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+)")
_ALPINE = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_RPM = re.compile(r"(?:var/lib/rpm|usr/lib/sysimage/rpm)/(?:rpmdb\.sqlite|Packages\.db|Packages)")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:~^-]{0,127}")


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
    return bool(path in _ALPINE or _RPM.fullmatch(path) or _DEBIAN.fullmatch(path) or _PYTHON.fullmatch(path))


def bytes_wanted(path: str, size: int) -> int:
    """How much of a database is to be read.

    Raises:
        NotReadError: more than is read of any.
    """
    if _PYTHON.fullmatch(path):
        return min(size, _METADATA_BYTES)
    if size > DATABASE_BYTES:
        raise NotReadError
    return size


def read_packages(path: str, content: bytes) -> tuple[Package, ...]:
    """Read one database; names and versions that are not plain text of the usual form are left out.

    Raises:
        NotReadError: it is damaged.
    """
    if _RPM.fullmatch(path):
        try:
            found = [("rpm", *item) for item in rpm_packages(content)]
        except DamagedDatabaseError:
            raise NotReadError from None
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
