"""MetaImage files (``.mha``) that somebody else wrote: one header in text, then the elements, plain or deflated.

Source: ITK's MetaIO documentation (tag names; ``ElementDataFile = LOCAL`` comes last; ``TransformMatrix`` holds the
unit vectors of the axes, one after another; coordinates are LPS in millimetres, as in DICOM).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.image_grid import Floats
from holdout.image_reading import ImageDefect

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i8",
    "MET_ULONG": "u8",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LONGEST_HEADER = 65_536
_LONGEST_LINE = 4096
_SIDE = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaImage:
    """Elements with the axes x, y and, of three dimensions, z; ``affine`` (4 x 4) takes their indices to LPS mm."""

    values: npt.NDArray[Any]
    affine: Floats
    dimensions: int


def read_metaimage(content: bytes, most: int) -> MetaImage:
    """Read a file whose elements take at most ``most`` bytes.

    Parses foreign bytes: to be called in a child process with limits. What the header declares is held against ``most``
    before anything is inflated.

    Raises:
        ImageDefect: not such a file, damaged, too large, or in a form that is not read (colour, other files).
    """
    header, start = _header(content)
    dimensions = int(_number(header, "NDims"))
    if dimensions not in (2, 3):
        raise ImageDefect("has neither two nor three axes")
    sides = [int(each) for each in _numbers(header, "DimSize", dimensions)]
    kind = _TYPES.get(header.get("ElementType", ""))
    if (
        kind is None
        or header.get("ElementNumberOfChannels", "1") != "1"
        or min(sides) < 1
        or max(sides) > _SIDE
    ):
        raise ImageDefect("does not hold one plain number for each element")
    size = math.prod(sides) * int(kind[1])
    if size > most:
        raise ImageDefect("is larger than it may be")
    plain = content[start:]
    if _is_true(header.get("CompressedData", "False")):
        plain = _inflated(plain, size)
    if len(plain) != size:
        raise ImageDefect("is damaged: its values do not fill its axes")
    order = (
        ">"
        if _is_true(header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "False")))
        else "<"
    )
    values = np.frombuffer(plain, np.dtype(order + kind)).reshape(sides[::-1]).T
    return MetaImage(
        values=values if dimensions == 3 else values[:, :, np.newaxis],
        affine=_affine(header, dimensions),
        dimensions=dimensions,
    )


def _header(content: bytes) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    start = 0
    while start < min(len(content), _LONGEST_HEADER):
        end = content.find(b"\n", start, start + _LONGEST_LINE)
        if end < 0:
            break
        try:
            name, mark, value = content[start:end].decode("ascii").partition("=")
        except UnicodeDecodeError:
            break
        start = end + 1
        name, value = name.strip(), value.strip()
        if not mark or name in found:
            break
        found[name] = value
        if name == "ElementDataFile":
            if value != "LOCAL" or not _is_true(found.get("BinaryData", "True")):
                raise ImageDefect("does not hold its own elements in binary form")
            return found, start
    raise ImageDefect("not a MetaImage file that can be read")


def _inflated(content: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(content, size + 1)
    except zlib.error as error:
        raise ImageDefect("is damaged: its elements cannot be inflated") from error
    return plain


def _affine(header: Mapping[str, str], dimensions: int) -> Floats:
    """From indices to LPS millimetres; a missing tag is its default, as ITK reads it."""
    spacing = _numbers(header, "ElementSpacing", dimensions, (1.0,) * dimensions)
    place = next((name for name in ("Offset", "Position", "Origin") if name in header), "Offset")
    origin = _numbers(header, place, dimensions, (0.0,) * dimensions)
    turn = next(
        (name for name in ("TransformMatrix", "Rotation", "Orientation") if name in header), "TransformMatrix"
    )
    axes = np.reshape(
        _numbers(header, turn, dimensions**2, tuple(np.eye(dimensions).ravel())), (dimensions, dimensions)
    )
    affine = np.eye(4)
    affine[:dimensions, :dimensions] = axes.T * spacing
    affine[:dimensions, 3] = origin
    if not (np.isfinite(affine).all() and min(spacing) > 0):
        raise ImageDefect("does not say where its elements lie")
    return affine


def _number(header: Mapping[str, str], name: str) -> float:
    return _numbers(header, name, 1)[0]


def _numbers(
    header: Mapping[str, str], name: str, count: int, default: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    if name not in header and default is not None:
        return default
    try:
        found = tuple(float(word) for word in header.get(name, "").split())
    except ValueError:
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ImageDefect("its header lacks numbers, or holds others")
    return found


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "1", "t")
