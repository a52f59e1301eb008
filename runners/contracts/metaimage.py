"""MetaImage (``.mha``) files, written only: one header in text, then the pixels.

Source: ITK's MetaIO documentation (tag names and order; ``ElementDataFile = LOCAL`` comes last).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {
    "int8": "MET_CHAR",
    "uint8": "MET_UCHAR",
    "int16": "MET_SHORT",
    "uint16": "MET_USHORT",
    "int32": "MET_INT",
    "uint32": "MET_UINT",
    "float32": "MET_FLOAT",
    "float64": "MET_DOUBLE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Pixels on a grid in the patient's coordinates (LPS, millimetres).

    Attributes:
        array: (rows, columns) or (slices, rows, columns), with a last axis of 3 when ``colour``.
        spacing: distance between neighbours along columns, rows, slices (x, y, z), as many as dimensions.
        origin: centre of the first pixel.
        direction: unit vectors of the axes x, y, z, one after another; None: the identity.
    """

    array: npt.NDArray[Any]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...] | None = None
    colour: bool = False


def write_metaimage(volume: Volume, path: Path) -> None:
    """Write ``volume`` to ``path``, little endian, not compressed.

    Raises:
        ValueError: the type has no name in the format, or spacing, origin and array do not agree.
    """
    array = volume.array
    shape = array.shape[:-1] if volume.colour else array.shape
    dimensions = len(shape)
    direction = volume.direction or tuple(np.eye(dimensions).ravel())
    if array.dtype.name not in _TYPES or dimensions not in (2, 3) or (volume.colour and array.shape[-1] != 3):
        raise ValueError("a MetaImage holds 2 or 3 dimensions of plain numbers, grey or RGB")
    if not len(volume.spacing) == len(volume.origin) == dimensions or len(direction) != dimensions**2:
        raise ValueError("spacing, origin and direction must have as many dimensions as the pixels")
    header = {
        "ObjectType": "Image",
        "NDims": str(dimensions),
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": _numbers(direction),
        "Offset": _numbers(volume.origin),
        "CenterOfRotation": _numbers((0.0,) * dimensions),
        "ElementSpacing": _numbers(volume.spacing),
        "DimSize": " ".join(str(size) for size in reversed(shape)),
        **({"ElementNumberOfChannels": "3"} if volume.colour else {}),
        "ElementType": _TYPES[array.dtype.name],
        "ElementDataFile": "LOCAL",
    }
    with path.open("xb") as file:
        file.write("".join(f"{name} = {value}\n" for name, value in header.items()).encode("ascii"))
        file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values)
