"""The pixel data element against what attributes and transfer syntax claim (PS3.3 C.7.6.3; PS3.5 8 and A.4).

Nothing is decoded. A file that is shorter than it says is ``truncated``; one that contradicts itself is
``inconsistent``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdout import codestream
from holdout.elements import NATIVE, UNDEFINED, PixelElement

Peek = Callable[[int, int], bytes]
"""(offset, count) to the bytes there, fewer at the end of the data."""

LARGEST_EXCESS = 0.001
_BITS_ALLOCATED = frozenset({1, 8, 16, 24, 32, 64})
_ONE_SAMPLE = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_THREE_SAMPLES = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"}) | {
    "YBR_ICT",
    "YBR_RCT",
}
_FLOAT_BITS = {0x7FE00008: 32, 0x7FE00009: 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFinding:
    """Length of the value in bytes (None: its end is missing) and the defect, if any: (status, sentence)."""

    length: int | None
    defect: tuple[str, str] | None


def examine(
    pixel: PixelElement,
    size: int,
    peek: Peek,
    *,
    transfer_syntax_uid: str,
    numbers: Mapping[str, int | None],
    photometric_interpretation: str,
    big_endian: bool,
) -> PixelFinding:
    """Check a pixel data element in data of ``size`` bytes; ``numbers`` holds the integer index columns."""
    geometry = _geometry_defect(pixel, numbers, photometric_interpretation)
    if pixel.length is None:
        return _examine_encapsulated(
            pixel, size, peek, transfer_syntax_uid, numbers, geometry, ">" if big_endian else "<"
        )
    available = size - pixel.start
    if pixel.length > available:
        missing = pixel.length - available
        return PixelFinding(
            length=None,
            defect=("truncated", f"Pixel data end {missing} bytes before their declared length."),
        )
    if geometry is not None:
        return PixelFinding(length=pixel.length, defect=geometry)
    if (
        transfer_syntax_uid
        and transfer_syntax_uid not in NATIVE
        and codestream.expected_family(transfer_syntax_uid)
    ):
        sentence = "The transfer syntax says compressed, but the pixel data are not encapsulated."
        return PixelFinding(length=pixel.length, defect=("inconsistent", sentence))
    return PixelFinding(
        length=pixel.length, defect=_length_defect(pixel, numbers, photometric_interpretation)
    )


def native_length(numbers: Mapping[str, int | None], photometric_interpretation: str) -> int | None:
    """Bytes of uncompressed pixel data without padding; None when an attribute is missing."""
    rows, columns, bits = numbers["rows"], numbers["columns"], numbers["bits_allocated"]
    samples = numbers["samples_per_pixel"]
    if rows is None or columns is None or bits is None or samples is None:
        return None
    values = rows * columns * (numbers["number_of_frames"] or 1)
    # Chrominance is shared by two pixels (YBR_FULL_422) or four (YBR_PARTIAL_420).
    if photometric_interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        return values * 2 * bits // 8
    if photometric_interpretation == "YBR_PARTIAL_420":
        return values * 3 * bits // 16
    return (values * samples * bits + 7) // 8


def _geometry_defect(
    pixel: PixelElement, numbers: Mapping[str, int | None], photometric_interpretation: str
) -> tuple[str, str] | None:
    names = {"rows": "Rows", "columns": "Columns", "bits_allocated": "Bits Allocated"}
    names["samples_per_pixel"] = "Samples per Pixel"
    missing = [name for column, name in names.items() if numbers[column] is None]
    if missing:
        return "inconsistent", f"Pixel data without {', '.join(missing)}."
    bits, stored = numbers["bits_allocated"] or 0, numbers["bits_stored"]
    samples = numbers["samples_per_pixel"] or 0
    if not numbers["rows"] or not numbers["columns"]:
        return "inconsistent", f"An image of {numbers['rows']} rows and {numbers['columns']} columns."
    if numbers["number_of_frames"] == 0:
        return "inconsistent", "Pixel data with Number of Frames 0."
    if bits not in _BITS_ALLOCATED or bits != _FLOAT_BITS.get(pixel.tag, bits):
        return "inconsistent", f"Bits Allocated is {bits}, which its kind of pixel data cannot have."
    if stored is not None and not 0 < stored <= bits:
        return "inconsistent", f"Bits Stored is {stored} while Bits Allocated is {bits}."
    for group, count in ((_ONE_SAMPLE, 1), (_THREE_SAMPLES, 3)):
        if photometric_interpretation in group and samples != count:
            return (
                "inconsistent",
                f"Photometric interpretation {photometric_interpretation} with {samples} samples per pixel.",
            )
    return None


def _length_defect(
    pixel: PixelElement, numbers: Mapping[str, int | None], photometric_interpretation: str
) -> tuple[str, str] | None:
    expected = native_length(numbers, photometric_interpretation)
    if expected is None or pixel.length is None:
        return None
    claim = "Rows x Columns x samples x frames x bits"
    if pixel.length < expected:
        return "truncated", f"Pixel data have {pixel.length} bytes; {claim} need {expected}."
    # Archives pad; a surplus of a frame's size means that the claimed geometry is not the image's.
    if pixel.length > expected * (1 + LARGEST_EXCESS) + 1024:
        return "inconsistent", f"Pixel data have {pixel.length} bytes; {claim} account for {expected} only."
    return None


def _examine_encapsulated(
    pixel: PixelElement,
    size: int,
    peek: Peek,
    transfer_syntax_uid: str,
    numbers: Mapping[str, int | None],
    geometry: tuple[str, str] | None,
    order: str,
) -> PixelFinding:
    header = struct.Struct(order + "HHI")
    position, items = pixel.start, 0
    first: tuple[int, int] | None = None
    while True:
        raw = peek(position, 8)
        if len(raw) < 8:
            sentence = "Encapsulated pixel data end without their sequence delimiter."
            return PixelFinding(length=None, defect=("truncated", sentence))
        group, element, length = header.unpack(raw)
        if (group, element) == (0xFFFE, 0xE0DD):
            break
        if (group, element) != (0xFFFE, 0xE000) or length == UNDEFINED:
            sentence = f"Encapsulated pixel data have no item where one must be (after {items} items)."
            return PixelFinding(length=None, defect=("inconsistent", sentence))
        if position + 8 + length > size:
            sentence = f"Fragment {items} of the pixel data is longer than the rest of the file."
            return PixelFinding(length=None, defect=("truncated", sentence))
        # The first item is the basic offset table.
        if items == 1:
            first = (position + 8, length)
        items += 1
        position += 8 + length
    value_length = position - pixel.start
    defect = geometry or _encapsulation_defect(items - 1, first, peek, transfer_syntax_uid, numbers)
    return PixelFinding(length=value_length, defect=defect)


def _encapsulation_defect(
    fragments: int,
    first: tuple[int, int] | None,
    peek: Peek,
    transfer_syntax_uid: str,
    numbers: Mapping[str, int | None],
) -> tuple[str, str] | None:
    frames = numbers["number_of_frames"] or 1
    if transfer_syntax_uid in NATIVE:
        return "inconsistent", "The transfer syntax says uncompressed, but the pixel data are encapsulated."
    if first is None or first[1] == 0:
        return "truncated", "Encapsulated pixel data hold no image."
    family = codestream.expected_family(transfer_syntax_uid)
    if fragments < frames and (family or transfer_syntax_uid.endswith(".1.2.5")):
        return "truncated", f"{frames} frames are declared, but there are {fragments} fragments."
    if family is None:
        return None
    found = codestream.describe(peek(first[0], min(first[1], codestream.SEARCHED_BYTES)))
    if found is None:
        return "inconsistent", f"The transfer syntax promises {family}, but the pixel data are not."
    if found.family != family:
        return (
            "inconsistent",
            f"The transfer syntax promises {family}, but the pixel data are {found.family}.",
        )
    if (found.rows, found.columns) != (numbers["rows"], numbers["columns"]):
        return (
            "inconsistent",
            f"Rows x Columns are {numbers['rows']} x {numbers['columns']}, "
            f"but the compressed image is {found.rows} x {found.columns}.",
        )
    if found.components != numbers["samples_per_pixel"]:
        return (
            "inconsistent",
            f"{numbers['samples_per_pixel']} samples per pixel are declared, "
            f"but the compressed image has {found.components}.",
        )
    if found.precision > (numbers["bits_allocated"] or 0):
        return (
            "inconsistent",
            f"Bits Allocated is {numbers['bits_allocated']}, "
            f"but the compressed image has {found.precision} bits.",
        )
    return None
