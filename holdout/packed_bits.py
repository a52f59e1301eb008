"""Frames of one bit a pixel in transfer syntaxes that pydicom does not decode: RLE, and deflated image frames.

Sources: PS3.5 8.1.1 (bits are packed from the least significant on; an encapsulated frame ends at a whole byte),
annex G (RLE), RFC 1951 (deflate).
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.errors import DecodingError

RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
_RLE_HEADER = struct.Struct("<16L")


def is_packed(dataset: Any, syntax: str) -> bool:
    """Whether the frames of a dataset are of this kind."""
    return syntax in (RLE, DEFLATED_FRAME) and int(dataset.get("BitsAllocated") or 0) == 1


def packed_frame(dataset: Any, syntax: str, index: int) -> npt.NDArray[np.uint8]:
    """Frame ``index`` (from 0) as zeros and ones, shape (rows, columns).

    Raises:
        DecodingError: it is damaged, or holds less than a frame.
    """
    from pydicom.encaps import get_frame

    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size = (rows * columns + 7) // 8
    try:
        frames = int(dataset.get("NumberOfFrames") or 1)
        coded = get_frame(dataset.PixelData, index, number_of_frames=frames)
        plain = _inflated(coded, size) if syntax == DEFLATED_FRAME else _expanded(coded, size)
    except (ValueError, IndexError, struct.error, zlib.error) as error:
        raise DecodingError("a packed frame is damaged") from error
    if len(plain) < size:
        raise DecodingError("a packed frame is cut off")
    bits = np.unpackbits(np.frombuffer(plain, np.uint8, count=size), bitorder="little")
    return bits[: rows * columns].reshape(rows, columns)


def _inflated(coded: bytes, size: int) -> bytes:
    return zlib.decompressobj(wbits=-15).decompress(coded, size)


def _expanded(coded: bytes, size: int) -> bytes:
    """Undo the runs of the one segment of a frame (PS3.5 G.3.1)."""
    segments, start, *_ = _RLE_HEADER.unpack_from(coded)
    if segments != 1:
        raise ValueError("segments")
    plain = bytearray()
    at = start
    while at < len(coded) and len(plain) < size:
        length = coded[at]
        if length < 128:
            plain += coded[at + 1 : at + 2 + length]
            at += 2 + length
        elif length > 128:
            plain += coded[at + 1 : at + 2] * (257 - length)
            at += 2
        else:
            at += 1
    return bytes(plain)
