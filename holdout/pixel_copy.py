"""Pixel data from a source file to a staged file: unchanged, not decoded, and nothing beside them.

Native pixel data are cut to the length that the image has, so that nothing rides behind them. Of compressed
data the fragments are copied; offset tables are kept only when they say what the fragments say, and what lies
after the end of the sequence is not copied. Inside a codestream, comments and application segments (a
camera's EXIF block, an encoder's note) are dropped where ``drop_notes`` is set: they are text beside the
image, and no coefficient depends on them.
"""

from __future__ import annotations

import re
import struct

from holdout.jpeg import COM, EOI, JpegError, segments

UNDEFINED = 0xFFFFFFFF
MOST_FRAGMENTS = 1_000_000
_ITEM = struct.Struct("<HHI")
_DELIMITER = _ITEM.pack(0xFFFE, 0xE0DD, 0)
_PIXEL_DATA = struct.pack("<HH", 0x7FE0, 0x0010)
# After 0xFF, entropy-coded data hold 0x00, a restart marker, or (JPEG-LS) a byte below 0x80.
_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_DECODING_SEGMENTS = (b"JFIF\0", b"Adobe", b"mrfx", b"SPIFF\0")


class PixelCopyError(ValueError):
    """The pixel data are not what the header says; the message is a failure code."""


def native(content: bytes, start: int, length: int, expected: int, bits_allocated: int) -> bytes:
    """Write the pixel data element around ``expected`` bytes of ``content`` from ``start``.

    Raises:
        PixelCopyError: there are fewer.
    """
    if length < expected or start + expected > len(content):
        raise PixelCopyError("pixel_data_inconsistent")
    vr = b"OW" if bits_allocated > 8 else b"OB"
    padding = b"\0" * (expected % 2)
    head = _PIXEL_DATA + vr + struct.pack("<HI", 0, expected + len(padding))
    return head + content[start : start + expected] + padding


def encapsulated(content: bytes, start: int, frames: int, *, drop_notes: bool) -> bytes:
    """Write the pixel data element around the fragments that start at ``start`` (PS3.5 annex A.4).

    Raises:
        PixelCopyError: the fragments are not whole, or fewer than the frames.
    """
    items = _items(content, start)
    if len(items) < 2 or len(items) - 1 < frames:
        raise PixelCopyError("pixel_data_inconsistent")
    table, fragments = items[0], items[1:]
    if drop_notes:
        fragments = [without_notes(fragment) for fragment in fragments]
    parts = [_PIXEL_DATA, b"OB\0\0", struct.pack("<I", UNDEFINED)]
    offsets = _offsets(table, items[1:], fragments, frames)
    parts += [_ITEM.pack(0xFFFE, 0xE000, len(offsets)), offsets]
    for fragment in fragments:
        padding = b"\0" * (len(fragment) % 2)
        parts += [_ITEM.pack(0xFFFE, 0xE000, len(fragment) + len(padding)), fragment, padding]
    parts.append(_DELIMITER)
    return b"".join(parts)


def _items(content: bytes, position: int) -> list[bytes]:
    items: list[bytes] = []
    while True:
        if position + 8 > len(content):
            raise PixelCopyError("pixel_data_inconsistent")
        group, element, length = _ITEM.unpack_from(content, position)
        position += 8
        if (group, element) == (0xFFFE, 0xE0DD):
            return items
        if (group, element) != (0xFFFE, 0xE000) or length == UNDEFINED or len(items) > MOST_FRAGMENTS:
            raise PixelCopyError("pixel_data_inconsistent")
        if position + length > len(content):
            raise PixelCopyError("pixel_data_inconsistent")
        items.append(content[position : position + length])
        position += length


def _offsets(table: bytes, before: list[bytes], after: list[bytes], frames: int) -> bytes:
    """Make the basic offset table for the copied fragments; empty unless the source's was true."""
    if len(table) != 4 * frames or frames < 2:
        return b""
    given = struct.unpack(f"<{frames}I", table)
    old, new, place = {}, [], 0
    for number, fragment in enumerate(before):
        old[place] = number
        place += 8 + len(fragment)
    place = 0
    for fragment in after:
        new.append(place)
        place += 8 + len(fragment) + len(fragment) % 2
    if given[0] != 0 or any(value not in old for value in given) or list(given) != sorted(set(given)):
        return b""
    moved = [new[old[value]] for value in given]
    return struct.pack(f"<{frames}I", *moved) if moved[-1] <= UNDEFINED else b""


def without_notes(fragment: bytes) -> bytes:
    """Drop comments, application segments and what follows the end of a JPEG or JPEG-LS image.

    A fragment that is no such image, or has nothing to drop, comes back as it is.
    """
    if fragment[:2] != b"\xff\xd8":
        return fragment
    kept: list[bytes] = [fragment[:2]]
    try:
        position = 2
        for marker, start, end in segments(fragment):
            if not _is_note(marker, fragment[start + 4 : end]):
                kept.append(fragment[start:end])
            position = end
    except JpegError:
        return fragment
    # Further scans have headers of their own; notes between them are rare and stay with the scan data's end.
    finish = _end_of_image(fragment, position)
    kept.append(fragment[position:finish])
    result = b"".join(kept)
    return fragment if len(result) + len(result) % 2 == len(fragment) else result


def _is_note(marker: int, body: bytes) -> bool:
    if marker == COM:
        return True
    if not 0xE0 <= marker <= 0xEF:
        return False
    # JFIF of 14 bytes has no thumbnail, Adobe of 12 only flags: both tell how to decode, not what it shows.
    return not (body.startswith(_DECODING_SEGMENTS) and len(body) <= 34)


def _end_of_image(fragment: bytes, position: int) -> int:
    """Find the offset behind the end-of-image marker after ``position``; the fragment's end without one."""
    while (match := _MARKER.search(fragment, position)) is not None:
        marker = fragment[match.start() + 1]
        if marker == EOI:
            return match.end()
        length = int.from_bytes(fragment[match.end() : match.end() + 2], "big")
        position = match.end() + max(length, 2)
    return len(fragment)
