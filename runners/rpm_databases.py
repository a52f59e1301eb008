"""RPM's package databases in all three of its formats, read without its library: SQLite, ndb and Berkeley DB.

Each holds one header a package as a blob. Fedora, RHEL 9 and later write ``rpmdb.sqlite``; SUSE writes ndb
(``Packages.db``); RHEL 8, CentOS 7 and older write a Berkeley DB hash file (``Packages``). Everything here parses a
stranger's bytes, so it runs in the child process of :mod:`runners.archive_process`, and every offset is checked.

Sources: rpm 4.17, ``lib/backend/ndb/rpmpkg.c``; Berkeley DB 5.3, ``src/dbinc/db_page.h``; RPM file format 4, header
structure.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections.abc import Iterable, Iterator

MOST_HEADERS = 20_000

_SQLITE = b"SQLite format 3\0"
_NAME, _VERSION, _RELEASE, _EPOCH, _STRING, _INT32 = 1000, 1001, 1002, 1003, 6, 4
_MOST_ENTRIES = 4096

_NDB, _NDB_SLOT, _NDB_BLOB = b"RpmP", b"Slot", b"BlbS"
_NDB_HEADER, _NDB_ENTRY, _NDB_PAGE = 32, 16, 4096

_BERKELEY_HASH = 0x061561
_BERKELEY_META, _BERKELEY_PAGE_HEADER = 72, 26
_HASH_UNSORTED, _OVERFLOW, _HASH = 2, 7, 13
_KEY_DATA, _OFF_PAGE = 1, 3


class DamagedDatabaseError(Exception):
    """A database is not of the format that its name says, or contradicts itself."""


def rpm_packages(content: bytes) -> list[tuple[str, str]]:
    """Read (name, [epoch:]version-release) of every package; the format is told by the content.

    Raises:
        DamagedDatabaseError: it is none of the three, or damaged.
    """
    try:
        if content.startswith(_SQLITE):
            blobs: Iterable[bytes] = _sqlite_blobs(content)
        elif content.startswith(_NDB):
            blobs = _ndb_blobs(content)
        else:
            blobs = _berkeley_blobs(content)
        return [found for blob in blobs if (found := _header(blob))]
    except (sqlite3.Error, struct.error, OverflowError, IndexError, ValueError):
        raise DamagedDatabaseError from None


def _header(blob: bytes) -> tuple[str, str] | None:
    """Read one package's header; a public key, which is kept as a package too, is none."""
    entries, size = struct.unpack_from(">II", blob)
    store = 8 + entries * 16
    if entries > _MOST_ENTRIES or store + size > len(blob):
        return None
    texts: dict[int, str] = {}
    epoch = ""
    for index in range(entries):
        tag, kind, offset, _ = struct.unpack_from(">IIII", blob, 8 + index * 16)
        if tag in (_NAME, _VERSION, _RELEASE) and kind == _STRING and offset < size:
            end = blob.find(b"\0", store + offset, store + size)
            texts[tag] = blob[store + offset : end].decode("ascii", "replace") if end > 0 else ""
        elif tag == _EPOCH and kind == _INT32 and offset + 4 <= size:
            epoch = f"{struct.unpack_from('>I', blob, store + offset)[0]}:"
    if not {_NAME, _VERSION, _RELEASE} <= texts.keys() or texts[_NAME] == "gpg-pubkey":
        return None
    return texts[_NAME], f"{epoch}{texts[_VERSION]}-{texts[_RELEASE]}"


def _sqlite_blobs(content: bytes) -> list[bytes]:
    if len(content) < 512:
        raise DamagedDatabaseError
    # A database with a write-ahead log cannot be opened in memory; without its log it is an ordinary one.
    plain = content[:18] + b"\1\1" + content[20:]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(plain)
        connection.execute("PRAGMA trusted_schema = OFF")
        rows = connection.execute("SELECT blob FROM Packages LIMIT ?", (MOST_HEADERS,)).fetchall()
    return [blob for (blob,) in rows if isinstance(blob, bytes)]


def _ndb_blobs(content: bytes) -> Iterator[bytes]:
    """Follow the slots, which begin where the first page's header ends; a slot without a package is free."""
    version, _, pages = struct.unpack_from("<III", content, 4)
    end = pages * _NDB_PAGE
    if version != 0 or not 0 < end <= len(content):
        raise DamagedDatabaseError
    for at in range(_NDB_HEADER, end, _NDB_ENTRY):
        magic, package, block = struct.unpack_from("<4sII", content, at)
        if magic != _NDB_SLOT:
            raise DamagedDatabaseError
        if package:
            start = block * _NDB_ENTRY
            magic, owner, _, size = struct.unpack_from("<4sIII", content, start)
            if magic != _NDB_BLOB or owner != package or start + 16 + size > len(content):
                raise DamagedDatabaseError
            yield content[start + 16 : start + 16 + size]


def _berkeley_blobs(content: bytes) -> Iterator[bytes]:
    """Read the values of a hash file, page by page, in either byte order."""
    if len(content) < _BERKELEY_META:
        raise DamagedDatabaseError
    order = next(
        (sign for sign in "<>" if struct.unpack_from(f"{sign}I", content, 12)[0] == _BERKELEY_HASH), ""
    )
    if not order:
        raise DamagedDatabaseError
    page_size, encrypted = struct.unpack_from(f"{order}IB", content, 20)
    if encrypted or page_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
        raise DamagedDatabaseError
    for start in range(page_size, len(content) - page_size + 1, page_size):
        page = content[start : start + page_size]
        if page[25] not in (_HASH, _HASH_UNSORTED):
            continue
        (count,) = struct.unpack_from(f"{order}H", page, 20)
        offsets = struct.unpack_from(f"{order}{count}H", page, _BERKELEY_PAGE_HEADER)
        # Keys and values alternate, and are stored from the page's end towards its beginning.
        for key, value in zip(offsets[::2], offsets[1::2], strict=True):
            if not _BERKELEY_PAGE_HEADER <= value < key <= page_size:
                raise DamagedDatabaseError
            if page[value] == _KEY_DATA:
                blob = page[value + 1 : key]
            elif page[value] == _OFF_PAGE:
                first, size = struct.unpack_from(f"{order}II", page, value + 4)
                blob = _overflow(content, order, page_size, first, size)
            else:
                raise DamagedDatabaseError
            # The first record only counts the packages.
            if len(blob) > 8:
                yield blob


def _overflow(content: bytes, order: str, page_size: int, first: int, size: int) -> bytes:
    """Join a value that takes pages of its own; a chain longer than the value needs is a loop."""
    room = page_size - _BERKELEY_PAGE_HEADER
    if size > len(content):
        raise DamagedDatabaseError
    whole = bytearray()
    number = first
    while number and len(whole) < size:
        start = number * page_size
        following, _, used = struct.unpack_from(f"{order}IHH", content, start + 16)
        if content[start + 25] != _OVERFLOW or not 0 < used <= room:
            raise DamagedDatabaseError
        whole += content[start + _BERKELEY_PAGE_HEADER : start + _BERKELEY_PAGE_HEADER + used]
        number = following
    if len(whole) != size:
        raise DamagedDatabaseError
    return bytes(whole)
