"""Streams of an image archive, decompressed as they are read: plain, gzip and Zstandard."""

from __future__ import annotations

import gzip
from typing import IO

from runners.refusals import ArchiveRefused, RefusalReason

ZSTANDARD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b"
_OTHERS = (b"BZh", b"\xfd7zXZ", b"\x04\x22\x4d\x18")
_BLOCK = 1 << 18


def decompressed(source: IO[bytes], start: bytes) -> IO[bytes]:
    """Return what a stream holds; ``start`` is how it begins, and ``source`` still stands at its beginning.

    Raises:
        ArchiveRefused: it is compressed in another way.
    """
    if start.startswith(_OTHERS):
        raise ArchiveRefused(RefusalReason.COMPRESSION)
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=source)  # type: ignore[return-value]
    if start.startswith(ZSTANDARD):
        return _Zstandard(source)  # type: ignore[return-value]
    return source


class _Zstandard:
    """A Zstandard stream of any number of frames, read forward."""

    def __init__(self, source: IO[bytes]) -> None:
        # Loaded only when needed: it takes a tenth of the memory that the reading of an archive is given.
        try:
            import pyarrow as pa
        except ImportError:
            raise ArchiveRefused(RefusalReason.COMPRESSION) from None
        self._stream = pa.CompressedInputStream(pa.PythonFile(_Bytes(source), mode="r"), "zstd")

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._stream.read(_BLOCK if size < 0 else size))
        except OSError as error:
            # The library tells an early end and damage apart by wording only.
            cut = "truncated" in str(error).lower()
            raise ArchiveRefused(RefusalReason.TRUNCATED if cut else RefusalReason.NOT_AN_ARCHIVE) from None


class _Bytes:
    """What the library asks of a file: reading, and being closed."""

    closed = False

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        return self._source.read(size)

    def close(self) -> None:
        """Leave the source to its owner."""
