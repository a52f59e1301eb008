"""The pixel data value of a file where it lies: sampled at ingest, hashed in full where the sample is not enough.

Hashing each byte twice, once for the file and once for its pixels, would cost more than reading the header of
a CT slice. So the index holds a sample: equal values have equal samples, and only files whose samples are
equal must be hashed in full to know whether their pixels are (``pixel_equality``).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from holdout.elements import Buffer
from holdout.pixel_element import Peek

SAMPLED_BLOCKS = 32
BLOCK_BYTES = 128
_HASHED_AT_ONCE = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelValue:
    """``length`` bytes from ``start``: in ``data`` as far as it reaches, in the open file beyond it."""

    data: Buffer
    descriptor: int | None
    start: int
    length: int

    def sha256(self) -> str:
        """SHA-256 (hex) of the whole value."""
        return digest(self.data, self.descriptor, self.start, self.length)

    def sample(self) -> str:
        """SHA-256 (hex) of the length (8 bytes, little endian) and of evenly spaced blocks of the value.

        Block i of n begins at floor(i * (length - size of a block) / (n - 1)); a value no longer than the
        blocks together is taken whole.
        """
        peek = bytes_at(self.data, self.descriptor)
        parts = [self.length.to_bytes(8, "little")]
        last = self.length - BLOCK_BYTES
        if self.length <= SAMPLED_BLOCKS * BLOCK_BYTES:
            parts.append(peek(self.start, self.length))
        else:
            parts += [
                peek(self.start + block * last // (SAMPLED_BLOCKS - 1), BLOCK_BYTES)
                for block in range(SAMPLED_BLOCKS)
            ]
        return hashlib.sha256(b"".join(parts)).hexdigest()


def bytes_at(data: Buffer, descriptor: int | None) -> Peek:
    """(offset, count) to the bytes there, from ``data`` where it reaches and from the open file beyond."""

    def peek(offset: int, count: int) -> bytes:
        if offset + count <= len(data) or descriptor is None:
            return data[offset : offset + count]
        return os.pread(descriptor, count, offset)

    return peek


def digest(data: Buffer, descriptor: int | None, start: int, length: int) -> str:
    """SHA-256 (hex) of ``length`` bytes, from ``data`` where it reaches and from the open file beyond."""
    hashed = hashlib.sha256()
    end = start + length
    with memoryview(data) as view:
        for offset in range(start, min(end, len(data)), _HASHED_AT_ONCE):
            hashed.update(view[offset : min(offset + _HASHED_AT_ONCE, end)])
    position = max(start, len(data))
    while descriptor is not None and position < end:
        part = os.pread(descriptor, min(_HASHED_AT_ONCE, end - position), position)
        if not part:
            break
        hashed.update(part)
        position += len(part)
    return hashed.hexdigest()
