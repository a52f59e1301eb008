"""TIFF files, written only: plain strips, not compressed, a page for each slice.

Source: TIFF Revision 6.0 (Adobe, 1992), sections 2 to 6, 8 and 19 (SampleFormat). What the format cannot say is left
out: a place in the patient's coordinates, and the distance of slices.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from runners.contracts.metaimage import Volume

_SHORT, _LONG, _RATIONAL = 3, 4, 5
_FORMATS = {"u": 1, "i": 2, "f": 3}
_CENTIMETRE = 3
_HEAD = 8
_ENTRY = 12
_LARGEST = 2**32 - 1


def write_tiff(volume: Volume, path: Path) -> None:
    """Write ``volume`` to ``path``, little endian; resolution is pixels a centimetre.

    Raises:
        ValueError: it is neither grey nor RGB of plain numbers, or larger than the format can say (4 GiB).
    """
    array = volume.array
    pages = array if array.ndim == (4 if volume.colour else 3) else array[np.newaxis]
    samples = 3 if volume.colour else 1
    if pages.ndim != (4 if volume.colour else 3) or array.dtype.kind not in _FORMATS:
        raise ValueError("a TIFF holds pages of plain numbers, grey or RGB")
    size = pages[0].nbytes
    if _HEAD + len(pages) * (size + 1024) > _LARGEST:
        raise ValueError("a TIFF holds at most 4 GiB")
    height, width = pages.shape[1:3]
    with path.open("xb") as file:
        # Pixels of a page first, then its directory, which names the place of the next one.
        file.write(struct.pack("<2sHI", b"II", 42, _HEAD + size + size % 2))
        for number, page in enumerate(pages, start=1):
            start = file.tell()
            content = np.ascontiguousarray(page, page.dtype.newbyteorder("<")).tobytes()
            file.write(content + b"\0" * (size % 2))
            last = number == len(pages)
            entries = {
                256: (_LONG, (width,)),
                257: (_LONG, (height,)),
                258: (_SHORT, (8 * array.dtype.itemsize,) * samples),
                259: (_SHORT, (1,)),
                262: (_SHORT, (2 if volume.colour else 1,)),
                273: (_LONG, (start,)),
                277: (_SHORT, (samples,)),
                278: (_LONG, (height,)),
                279: (_LONG, (size,)),
                282: (_RATIONAL, _resolution(volume.spacing[0])),
                283: (_RATIONAL, _resolution(volume.spacing[1])),
                296: (_SHORT, (_CENTIMETRE,)),
                339: (_SHORT, (_FORMATS[array.dtype.kind],) * samples),
            }
            file.write(_directory(entries, file.tell(), 0 if last else size + size % 2))


def _directory(entries: dict[int, tuple[int, tuple[int, ...]]], start: int, next_pixels: int) -> bytes:
    """Make an image file directory that lies at ``start``, before ``next_pixels`` bytes of the next page (0: none)."""
    place = start + 2 + _ENTRY * len(entries) + 4
    rows, values = b"", b""
    for tag, (kind, numbers) in entries.items():
        packed = struct.pack(f"<{len(numbers)}{'H' if kind == _SHORT else 'I'}", *numbers)
        if len(packed) > 4:
            packed, values = (
                struct.pack("<I", place + len(values)),
                values + packed + b"\0" * (len(packed) % 4),
            )
        count = len(numbers) // 2 if kind == _RATIONAL else len(numbers)
        rows += struct.pack("<HHI4s", tag, kind, count, packed)
    following = place + len(values) + next_pixels if next_pixels else 0
    return struct.pack("<H", len(entries)) + rows + struct.pack("<I", following) + values


def _resolution(millimetres: float) -> tuple[int, int]:
    """Say pixels a centimetre as a fraction."""
    return 1_000_000, max(1, min(_LARGEST, round(millimetres * 100_000)))
