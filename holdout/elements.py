"""Walk the top level of a DICOM data set over raw bytes, keeping a few wanted values (PS3.5, section 7).

Only what is beyond doubt is walked. Anything odd (tags out of order, an unknown VR, a length past the end, a
command group) raises ``OddDataSetError``, and pydicom, the reader of record, reads that file instead.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass

Buffer = bytes | mmap.mmap
Values = dict[int, tuple[str, bytes]]
"""Tag to (VR as written, '' in implicit VR; raw value bytes)."""

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPIP_DEFLATED = "1.2.840.10008.1.2.4.95"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})
PRIVATE_GE = "1.2.840.113619.5.2"

PREFIX_OFFSET = 128
META_OFFSET = 132
UNDEFINED = 0xFFFFFFFF
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
SHARED_GROUPS, PER_FRAME_GROUPS, PIXEL_MEASURES = 0x52009229, 0x52009230, 0x00289110
DEEPEST_NESTING = 256

_FIRST_PIXEL_TAG = min(PIXEL_TAGS)
# Groups below 8 are commands and file meta information.
_LAST_BEFORE_DATA_SET = 0x0007FFFF

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"}
    | {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_WANTED_SEQUENCES = frozenset({SHARED_GROUPS, PER_FRAME_GROUPS, PIXEL_MEASURES})
_MAY_BE_UNDEFINED = frozenset({b"SQ", b"UN", b"OB", b"OW"})
_WALKED_META = frozenset({0x00020002, 0x00020003, 0x00020010})


class OddDataSetError(Exception):
    """The bytes are not a plain data set.

    ``past_end``: it ends inside an element. ``unknown_vr``: what follows an element can only be guessed.
    """

    def __init__(self, reason: str, *, past_end: bool = False, unknown_vr: bool = False) -> None:
        super().__init__(reason)
        self.past_end = past_end
        self.unknown_vr = unknown_vr


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelElement:
    """Where the pixel data element's value starts, and its declared length (None: encapsulated)."""

    tag: int
    start: int
    length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What the top level says: file meta UIDs, wanted values, pixel element, and how it is really encoded."""

    meta: dict[int, str]
    values: Values
    pixel: PixelElement | None
    big_endian: bool
    implicit: bool


def has_prefix(buffer: Buffer) -> bool:
    """Whether 'DICM' stands after a preamble of 128 bytes (PS3.10, section 7.1)."""
    return buffer[PREFIX_OFFSET:META_OFFSET] == b"DICM"


def declared_encoding(transfer_syntax_uid: str) -> tuple[bool, bool]:
    """(implicit, big endian) that a transfer syntax promises."""
    return transfer_syntax_uid == IMPLICIT_LITTLE, transfer_syntax_uid == EXPLICIT_BIG


def walk_file(buffer: Buffer, wanted: Collection[int]) -> DataSet:
    """Walk a PS3.10 file that is not deflated.

    Raises:
        OddDataSetError: this walker does not take responsibility for the file.
    """
    if not has_prefix(buffer):
        raise OddDataSetError("no DICM prefix")
    meta, start = walk_meta(buffer)
    syntax = meta.get(0x00020010, "")
    if not syntax or syntax in (DEFLATED, JPIP_DEFLATED, PRIVATE_GE):
        raise OddDataSetError("no transfer syntax that can be walked as it stands")
    implicit, big_endian = declared_encoding(syntax)
    values, pixel = walk_data_set(buffer, start, wanted, implicit=implicit, big_endian=big_endian)
    return DataSet(meta=meta, values=values, pixel=pixel, big_endian=big_endian, implicit=implicit)


def walk_meta(buffer: Buffer) -> tuple[dict[int, str], int]:
    """Walk the file meta information; return its UIDs and the offset of the data set.

    Raises:
        OddDataSetError: it is not plain Explicit VR Little Endian.
    """
    unpack = struct.Struct("<HH2sH").unpack_from
    position, end, last = META_OFFSET, len(buffer), 0
    meta: dict[int, str] = {}
    while position + 8 <= end:
        group, element, vr, length = unpack(buffer, position)
        if group != 2:
            break
        tag = group << 16 | element
        if tag <= last:
            raise OddDataSetError("file meta elements out of order")
        last = tag
        position += 8
        if vr in LONG_VRS:
            if position + 4 > end:
                raise OddDataSetError("ends inside the file meta information", past_end=True)
            length = int.from_bytes(buffer[position : position + 4], "little")
            position += 4
        elif vr not in _SHORT_VRS:
            raise OddDataSetError("unknown VR in the file meta information")
        if position + length > end:
            raise OddDataSetError("ends inside the file meta information", past_end=True)
        if tag in _WALKED_META:
            raw = buffer[position : position + length]
            if vr != b"UI" or not raw.isascii():
                raise OddDataSetError("a file meta UID is not a UID")
            meta[tag] = raw.decode("ascii").rstrip(" \0")
        position += length
    return meta, position


def walk_data_set(
    buffer: Buffer, position: int, wanted: Collection[int], *, implicit: bool, big_endian: bool
) -> tuple[Values, PixelElement | None]:
    """Walk top-level elements from ``position`` to the pixel data or the end.

    Raises:
        OddDataSetError: something is not plainly a data set of this encoding.
    """
    order = ">" if big_endian else "<"
    unpack = struct.Struct(order + ("HHI" if implicit else "HH2sH")).unpack_from
    unpack_length = struct.Struct(order + "I").unpack_from
    # This loop runs hundreds of times for a file: it asks for no more than each element needs.
    end, last = len(buffer), _LAST_BEFORE_DATA_SET
    last_header = end - 8
    values: Values = {}
    vr = b""
    # In implicit VR two capital letters here mean that the data set is explicit after all.
    if (
        implicit
        and buffer[position + 4 : position + 6].isalpha()
        and buffer[position + 4 : position + 6].isupper()
    ):
        raise OddDataSetError("explicit VR under an implicit transfer syntax")
    while position <= last_header:
        if implicit:
            group, element, length = unpack(buffer, position)
            position += 8
        else:
            group, element, vr, length = unpack(buffer, position)
            position += 8
            if vr not in _SHORT_VRS:
                if vr not in LONG_VRS:
                    raise OddDataSetError("unknown VR", unknown_vr=True)
                if position + 4 > end:
                    raise OddDataSetError("ends inside an element header", past_end=True)
                length = unpack_length(buffer, position)[0]
                position += 4
        tag = group << 16 | element
        if tag <= last:
            raise OddDataSetError("elements out of order")
        last = tag
        if tag >= _FIRST_PIXEL_TAG and tag in PIXEL_TAGS:
            value_length = None if length == UNDEFINED else length
            return values, PixelElement(tag=tag, start=position, length=value_length)
        start = position
        if length == UNDEFINED:
            if (tag in wanted and tag not in _WANTED_SEQUENCES) or not (implicit or vr in _MAY_BE_UNDEFINED):
                raise OddDataSetError("undefined length where none is allowed")
            position = _skip_nested(buffer, position, implicit=implicit or vr == b"UN", big_endian=big_endian)
        else:
            position += length
            if position > end:
                raise OddDataSetError("ends inside an element", past_end=True)
        if tag in wanted:
            values[tag] = (vr.decode("ascii"), buffer[start:position])
    if position != end:
        raise OddDataSetError("ends inside an element header", past_end=True)
    return values, None


def ends_inside_element(buffer: Buffer, position: int, *, implicit: bool, big_endian: bool) -> bool:
    """Whether what follows the pixel data (padding, signatures) is cut off, as far as it can be walked."""
    if position >= len(buffer):
        return False
    try:
        walk_data_set(buffer, position, (), implicit=implicit, big_endian=big_endian)
    except OddDataSetError as error:
        return error.past_end
    return False


def first_item(sequence: bytes, *, implicit: bool, big_endian: bool) -> bytes:
    """Return the elements of the first item of a sequence's value; b'' when it has no item.

    Raises:
        OddDataSetError: what is there is no item, or its end is missing.
    """
    if len(sequence) < 8:
        return b""
    group, element, length = struct.unpack_from(">HHI" if big_endian else "<HHI", sequence)
    tag = group << 16 | element
    if tag == _SEQUENCE_END:
        return b""
    if tag != _ITEM:
        raise OddDataSetError("no item where one must be")
    if length == UNDEFINED:
        end = _skip_nested(sequence, 8, implicit=implicit, big_endian=big_endian, inside_item=True)
        return sequence[8 : end - 8]
    if 8 + length > len(sequence):
        raise OddDataSetError("an item ends behind its sequence")
    return sequence[8 : 8 + length]


def _skip_nested(
    buffer: Buffer, position: int, *, implicit: bool, big_endian: bool, inside_item: bool = False
) -> int:
    """Return the offset behind a sequence (or fragments, or an item) of undefined length, from its first byte.

    Nesting is followed on an explicit stack: a hostile file may nest deeper than Python can recurse.
    """
    order = ">" if big_endian else "<"
    unpack_tag = struct.Struct(order + "HHI").unpack_from
    unpack_vr = struct.Struct(order + "HH2sH").unpack_from
    unpack_length = struct.Struct(order + "I").unpack_from
    end = len(buffer)
    # Each entry is (inside an item, implicit VR).
    stack = [(inside_item, implicit)]
    while True:
        if position + 8 > end:
            raise OddDataSetError("ends inside a sequence", past_end=True)
        group, element, length = unpack_tag(buffer, position)
        tag = group << 16 | element
        position += 8
        if not inside_item:
            if tag == _ITEM:
                if length == UNDEFINED:
                    inside_item = True
                    stack.append((True, implicit))
                else:
                    position += length
            elif tag == _SEQUENCE_END:
                stack.pop()
                if not stack:
                    return position
                inside_item, implicit = stack[-1]
            else:
                raise OddDataSetError("no item where one must be")
        elif tag == _ITEM_END:
            stack.pop()
            if not stack:
                return position
            inside_item, implicit = stack[-1]
        elif group == 0xFFFE:
            raise OddDataSetError("a delimiter where none may be")
        else:
            nested_implicit = implicit
            if not implicit:
                _, _, vr, length = unpack_vr(buffer, position - 8)
                if vr in LONG_VRS:
                    if position + 4 > end:
                        raise OddDataSetError("ends inside a sequence", past_end=True)
                    length = unpack_length(buffer, position)[0]
                    position += 4
                    if length == UNDEFINED and vr not in _MAY_BE_UNDEFINED:
                        raise OddDataSetError("undefined length where none is allowed")
                    nested_implicit = vr == b"UN"
                elif vr not in _SHORT_VRS:
                    raise OddDataSetError("unknown VR in a sequence")
            if length == UNDEFINED:
                if len(stack) > DEEPEST_NESTING:
                    raise OddDataSetError("sequences nested too deep")
                inside_item, implicit = False, nested_implicit
                stack.append((False, implicit))
            else:
                position += length
        if position > end:
            raise OddDataSetError("ends inside a sequence", past_end=True)
