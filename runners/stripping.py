"""A layer without set-user-id and set-group-id bits and without file capabilities, otherwise byte for byte the same.

No new privileges voids them already. Files that have none stay harmless should a flaw of the kernel or of the runtime
void that in turn. Headers are changed in place, so that every size and offset stays what it was.

Formats: POSIX.1-2017, ``pax`` interchange format; GNU tar's long names and sparse files; extended attributes as
``SCHILY.xattr`` records. What readers of tar take differently (Go's and Python's) is refused here.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from typing import IO, Protocol

from runners.refusals import ArchiveRefused, RefusalReason

_BLOCK = 512
_PIECE = 1 << 18
_END = bytes(_BLOCK)
_BITS = 0o6000
# Links, devices, folders and pipes have no content, whatever size they name.
_WITHOUT_CONTENT = b"123456"
_LARGEST_EXTENSION = 1 << 20
_ATTRIBUTE, _VOID = b"SCHILY.xattr.", b"PROCTOR.void."
_REMOVED = (b"security.", b"trusted.")


class Source(Protocol):
    """What is read forward."""

    def read(self, size: int = -1, /) -> bytes:
        """Read on."""
        ...


class Stripped:
    """A layer's tar as it is read, stripped; ``cleared`` counts what was taken away so far, ``hash`` is of the rest."""

    def __init__(self, source: Source | IO[bytes]) -> None:
        self._blocks = self._strip(source)
        self._ready = bytearray()
        self.cleared = 0
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read exactly ``size`` bytes unless the end comes first.

        Raises:
            ArchiveRefused: a header is damaged, or can be read in two ways.
        """
        wanted = _PIECE if size < 0 else size
        while len(self._ready) < wanted and (block := next(self._blocks, None)) is not None:
            self._ready += block
        piece = bytes(self._ready[:wanted])
        del self._ready[:wanted]
        self.hash.update(piece)
        return piece

    def _strip(self, source: Source | IO[bytes]) -> Iterator[bytes]:
        size: int | None = None
        extended = False
        while len(header := _exactly(source, _BLOCK)) == _BLOCK and header != _END:
            kind, stored = header[156:157], _number(header[124:136])
            if _checksum(header) != _number(header[148:156]):
                raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE)
            if kind in (b"x", b"g", b"X"):
                if extended or kind == b"X" or stored > _LARGEST_EXTENSION:
                    raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE)
                text = _exactly(source, _padded(stored))
                changed, size = self._extension(text[:stored])
                if kind == b"g" and size is not None:
                    raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE)
                extended = kind == b"x"
                yield header + changed + text[stored:]
                continue
            if kind in (b"L", b"K"):
                yield header
                yield from _pieces(source, _padded(stored))
                continue
            yield self._entry(header) if kind != tarfile.DIRTYPE else header
            if kind == tarfile.GNUTYPE_SPARSE:
                yield from _sparse_map(source, header)
            length = 0 if kind in _WITHOUT_CONTENT and kind else stored if size is None else size
            # An old way to write a folder, which has no content for some readers.
            if kind == tarfile.AREGTYPE and length and (extended or _name(header).endswith(b"/")):
                raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE)
            size, extended = None, False
            yield from _pieces(source, _padded(length))
        yield header
        while rest := source.read(_PIECE):
            yield rest

    def _entry(self, header: bytes) -> bytes:
        mode = _number(header[100:108])
        if not mode & _BITS:
            return header
        self.cleared += 1
        changed = header[:100] + b"%07o\0" % (mode & ~_BITS & 0o7777) + header[108:]
        return changed[:148] + b"%06o\0 " % _checksum(changed) + changed[156:]

    def _extension(self, text: bytes) -> tuple[bytes, int | None]:
        """Void the attributes that give rights; returns the text, as long as before, and the size that it names."""
        changed, size, at = bytearray(text), None, 0
        while at < len(text):
            digits, _, rest = text[at : at + 20].partition(b" ")
            length = int(digits) if digits.isdigit() else 0
            end = at + length
            if not len(digits) + 3 <= length <= len(text) - at or not rest or text[end - 1 : end] != b"\n":
                raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE)
            start = at + len(digits) + 1
            key, _, value = text[start : end - 1].partition(b"=")
            if key.startswith(_ATTRIBUTE) and key.removeprefix(_ATTRIBUTE).startswith(_REMOVED):
                changed[start : start + len(_ATTRIBUTE)] = _VOID
                self.cleared += 1
            elif key == b"size":
                if not value.isdigit():
                    raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE)
                size = int(value)
            at = end
        return bytes(changed), size


def _number(field: bytes) -> int:
    try:
        number = tarfile.nti(field)  # type: ignore[attr-defined]
    except tarfile.HeaderError:
        raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE) from None
    if number < 0:
        raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE)
    return int(number)


def _checksum(header: bytes) -> int:
    """Sum the header's bytes, its own field counted as eight spaces."""
    return sum(header[:148]) + 8 * ord(" ") + sum(header[156:])


def _name(header: bytes) -> bytes:
    return header[:100].partition(b"\0")[0]


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _sparse_map(source: Source | IO[bytes], header: bytes) -> Iterator[bytes]:
    more = header[482]
    while more:
        block = _exactly(source, _BLOCK)
        yield block
        more = block[504] if len(block) == _BLOCK else 0


def _exactly(source: Source | IO[bytes], size: int) -> bytes:
    return b"".join(_pieces(source, size))


def _pieces(source: Source | IO[bytes], size: int) -> Iterator[bytes]:
    """Read ``size`` bytes, or less when the end comes first: who reads the tar says so."""
    while size > 0 and (piece := source.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece
