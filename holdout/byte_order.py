"""Big endian files (a transfer syntax retired in 2006) to little endian, without loss (PS3.5, sections 6.2 and 7.3).

Both explicit encodings have the same lengths, so that every header and value is turned around in its place.
"""

from __future__ import annotations

import struct

from holdout.elements import EXPLICIT_BIG, EXPLICIT_LITTLE, LONG_VRS, UNDEFINED, PixelElement

_UNIT = (
    dict.fromkeys((b"AT", b"OW", b"SS", b"US"), 2)
    | dict.fromkeys((b"FL", b"OF", b"OL", b"SL", b"UL"), 4)
    | dict.fromkeys((b"FD", b"OD", b"OV", b"SV", b"UV"), 8)
)


class ByteOrderError(ValueError):
    """The file cannot be turned around: what its bytes mean is not certain."""


def as_little_endian(content: bytes, start: int, pixel: PixelElement, bits_allocated: int) -> bytes:
    """Return a file in Explicit VR Big Endian as one in Explicit VR Little Endian; it ends with the pixel data.

    Values of VR UN stay as they are: what they mean is not known.

    Args:
        content: the file, whose top level was walked.
        start: offset of the data set.
        pixel: its pixel data element.
        bits_allocated: of the image; words of VR OW are 16 bits wide, or as wide as a wider sample.

    Raises:
        ByteOrderError: the pixel data are encapsulated, or a nested element does not fit into its place.
    """
    if pixel.length is None or pixel.start + pixel.length > len(content):
        raise ByteOrderError("pixel data without an end")
    meta = content[:start].replace(EXPLICIT_BIG.encode("ascii"), EXPLICIT_LITTLE.encode("ascii"))
    made = bytearray(meta + content[start : pixel.start + pixel.length])
    position = start
    while position < pixel.start:
        vr, value, length = _turn_header(content, made, position, pixel.start)
        # What is inside a sequence or an item follows as if it stood beside it.
        position = value
        if vr not in (b"SQ", b"") and value != pixel.start:
            position += length
            if length == UNDEFINED or position > pixel.start:
                raise ByteOrderError("an element longer than its place")
            made[value:position] = _turned(content[value:position], _UNIT.get(vr, 1))
    if position != pixel.start:
        raise ByteOrderError("elements that do not meet the pixel data")
    words = max(2, bits_allocated // 8) if vr == b"OW" else 1
    made[pixel.start :] = _turned(content[pixel.start : pixel.start + pixel.length], words)
    return bytes(made)


def _turn_header(content: bytes, made: bytearray, position: int, end: int) -> tuple[bytes, int, int]:
    """Turn one element header; return its VR (b'' for items and delimiters), the value's offset and length."""
    if position + 8 > end:
        raise ByteOrderError("a header cut short")
    group, element = struct.unpack_from(">HH", content, position)
    struct.pack_into("<HH", made, position, group, element)
    vr = b"" if group == 0xFFFE else content[position + 4 : position + 6]
    place, wide = (position + 4, True) if not vr else (position + 6, False)
    if vr in LONG_VRS:
        place, wide = position + 8, True
    if place + (4 if wide else 2) > end:
        raise ByteOrderError("a header cut short")
    (length,) = struct.unpack_from(">I" if wide else ">H", content, place)
    struct.pack_into("<I" if wide else "<H", made, place, length)
    return vr, place + (4 if wide else 2), length


def _turned(value: bytes, unit: int) -> bytes:
    if len(value) % unit:
        raise ByteOrderError("a value that is no whole number of words")
    turned = bytearray(len(value))
    for place in range(unit):
        turned[place::unit] = value[unit - 1 - place :: unit]
    return bytes(turned)
