"""Second check of a staged file: nothing in it may stand in the standard's own list of what identifies.

The view is built from an allow-list; this module knows nothing of how. It reads the finished file and asks,
with the table of PS3.15 annex E (Table E.1-1, Basic Application Level Confidentiality Profile, as the package
dicom-anonymizer carries its 2026c edition), for every attribute that the profile would remove or replace. Two
independent errors are then needed before an identifier passes.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from functools import cache

from pydicom.datadict import tag_for_keyword

from holdout.elements import OddDataSetError, walk_meta

EDITION = "2026c"
PIXEL_DATA = 0x7FE00010
_ITEM = struct.Struct("<HHI")
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_FREE_TEXT = frozenset({b"LO", b"LT", b"PN", b"SH", b"ST", b"UC", b"UR", b"UT", b"AE", b"UN", b"OB"})
_FILE_META = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})
_FRESH_UIDS = frozenset({0x00080018, 0x0020000D, 0x0020000E, 0x00200052})
_PSEUDONYMS = frozenset({0x00100010, 0x00100020})
# Texts that are the same in every staged file, or enumerated.
_FIXED_TEXT = frozenset({0x00120063, 0x00080100, 0x00080102, 0x00080104, 0x00281054, 0x00283004})


@cache
def profile_tags() -> frozenset[int]:
    """Tags that the Basic Profile removes, empties or replaces (repeating groups aside)."""
    table = importlib.import_module(f"dicomanonymizer.dicom_anonymization_databases.dicomfields_{EDITION}")
    return frozenset(tag[0] << 16 | tag[1] for tag in table.ALL_TAGS if len(tag) == 2)


def violations(content: bytes, *, pseudonym: str, retained: tuple[str, ...] = ()) -> list[str]:
    """List what in a staged file the profile would not let through; empty when nothing.

    ``retained`` are keywords that the protocol names, kept under one of the profile's options. Each violation
    names a tag, never a value.
    """
    if content[:128] != bytes(128):
        return ["preamble is not empty"]
    try:
        start = walk_meta(content)[1]
        found = [
            f"file meta {tag:08X} is not expected"
            for tag in _meta_tags(content, start)
            if tag not in _FILE_META
        ]
        kept = {tag_for_keyword(keyword) or 0 for keyword in retained}
        for tag, vr, value in _elements(content, start, len(content)):
            found += _violations_of(tag, vr, value, pseudonym.encode("ascii"), kept)
    except (OddDataSetError, struct.error, ValueError):
        return ["is not a plain Explicit VR Little Endian data set"]
    return found


def _violations_of(tag: int, vr: bytes, value: bytes, pseudonym: bytes, kept: set[int]) -> list[str]:
    group = tag >> 16
    name = f"({group:04X},{tag & 0xFFFF:04X})"
    if group % 2:
        return [f"{name} is private"]
    if 0x5000 <= group <= 0x501E or 0x6000 <= group <= 0x601E:
        return [f"{name} is a curve or overlay"]
    if vr == b"SQ":
        nested = (part for item in _items(value) for part in _elements(item, 0, len(item)))
        return [found for part in nested for found in _violations_of(*part, pseudonym, kept)]
    text = value.rstrip(b" \0")
    if not text:
        return []
    if tag in _PSEUDONYMS:
        return [] if text == pseudonym else [f"{name} is not the pseudonym"]
    if tag in _FRESH_UIDS:
        return [] if text.startswith(b"2.25.") else [f"{name} is not a fresh UID"]
    if tag in kept or tag in _FIXED_TEXT or tag == PIXEL_DATA:
        return []
    if tag in profile_tags():
        return [f"{name} is removed or replaced by the profile"]
    return [f"{name} can hold free text"] if vr in _FREE_TEXT else []


def _meta_tags(content: bytes, end: int) -> list[int]:
    return [tag for tag, _, _ in _elements(content, 132, end)]


def _elements(content: bytes, position: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Elements of an explicit VR little endian data set; the value of pixel data is left out."""
    last = -1
    while position < end:
        group, number, vr, length = struct.unpack_from("<HH2sH", content, position)
        position += 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<I", content, position)
            position += 4
        tag = group << 16 | number
        if tag <= last or not vr.isalpha():
            raise ValueError("out of order")
        last = tag
        if tag == PIXEL_DATA:
            behind = _behind_fragments(content, position) if length == 0xFFFFFFFF else position + length
            if behind != end:
                raise ValueError("something stands behind the pixel data")
            return
        if position + length > end:
            raise ValueError("past the end")
        yield tag, vr, content[position : position + length]
        position += length


def _items(value: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(value):
        group, number, length = _ITEM.unpack_from(value, position)
        position += 8
        if (group, number) != (0xFFFE, 0xE000) or position + length > len(value):
            raise ValueError("not an item")
        yield value[position : position + length]
        position += length


def _behind_fragments(content: bytes, position: int) -> int:
    while True:
        group, number, length = _ITEM.unpack_from(content, position)
        position += 8
        if (group, number) == (0xFFFE, 0xE0DD):
            return position
        if (group, number) != (0xFFFE, 0xE000):
            raise ValueError("not an item")
        position += length
