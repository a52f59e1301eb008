"""What a compressed image says of itself: kind, size and precision from its first header, nothing decoded.

Markers: ITU-T T.81 (JPEG) annex B, T.87 (JPEG-LS) annex C, T.800 (JPEG 2000) annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """Compression family, told by the first bytes."""

    JPEG = "JPEG"
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """Size in pixels, bits and components as the codestream declares them."""

    family: Family
    rows: int
    columns: int
    precision: int
    components: int


SEARCHED_BYTES = 1 << 16
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_OTHER_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC5, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE})
_STANDALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_DCT_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 53, 55))
_LOSSLESS_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (57, 70))
_LS_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (80, 81))
_2000_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (90, 91, 92, 93, 201, 202, 203))


def expected_family(transfer_syntax_uid: str) -> Family | None:
    """Family that a transfer syntax promises; None for native, RLE, video and unknown ones."""
    if transfer_syntax_uid in _DCT_SYNTAXES:
        return Family.JPEG
    if transfer_syntax_uid in _LOSSLESS_SYNTAXES:
        return Family.JPEG_LOSSLESS
    if transfer_syntax_uid in _LS_SYNTAXES:
        return Family.JPEG_LS
    return Family.JPEG_2000 if transfer_syntax_uid in _2000_SYNTAXES else None


def describe(fragment: bytes) -> Codestream | None:
    """Read the first bytes of a frame; None when they are no codestream of a known family."""
    if fragment.startswith(b"\x00\x00\x00\x0cjP  "):
        # A JP2 file wrapper, which DICOM does not allow but encoders write; the codestream is inside.
        start = fragment.find(b"\xff\x4f\xff\x51")
        return _jpeg_2000(fragment[start:]) if start > 0 else None
    if fragment.startswith(b"\xff\x4f\xff\x51"):
        return _jpeg_2000(fragment)
    return _jpeg(fragment) if fragment.startswith(b"\xff\xd8") else None


def _jpeg_2000(data: bytes) -> Codestream | None:
    # SOC, SIZ marker, length, capabilities, then sizes and offsets of image and tiles (T.800 A.5.1).
    if len(data) < 43:
        return None
    width, height, left, top = struct.unpack_from(">4I", data, 8)
    components, first_precision = struct.unpack_from(">HB", data, 40)
    if left > width or top > height:
        return None
    return Codestream(
        family=Family.JPEG_2000,
        rows=height - top,
        columns=width - left,
        precision=(first_precision & 0x7F) + 1,
        components=components,
    )


def _jpeg(data: bytes) -> Codestream | None:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        length = struct.unpack_from(">H", data, position + 2)[0]
        if marker in _LOSSLESS_FRAMES or marker in _OTHER_FRAMES or marker == 0xF7:
            if position + 10 > len(data):
                return None
            precision, rows, columns, components = struct.unpack_from(">BHHB", data, position + 4)
            family = Family.JPEG_LOSSLESS if marker in _LOSSLESS_FRAMES else Family.JPEG
            if marker == 0xF7:
                family = Family.JPEG_LS
            return Codestream(
                family=family, rows=rows, columns=columns, precision=precision, components=components
            )
        position += 2 + length
    return None
