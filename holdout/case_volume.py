"""One image out of the DICOM files of a case: pixels on a grid in the patient's coordinates.

Made for containers that read an image and not DICOM. It runs in the child processes of :mod:`holdout.case_reader`.

What is done to the values: the modality transformation (rescale slope and intercept, or its look-up table) and
palettes are applied, YBR becomes RGB. What is not: windows, presentation look-up tables, and the inversion that
MONOCHROME1 asks a display for. Sources: PS3.3 C.7.6.2 (image plane), C.7.6.16 (functional groups), C.11.1 (modality
LUT), C.7.6.3.1.5 (palettes); coordinates are LPS in millimetres, as in PS3.3 and in ITK.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.errors import DecodingError
from holdout.frame_place import first_item, frame_place, functional_groups

Array = npt.NDArray[Any]

_SAME_DIRECTION = 1e-3
_EVEN = 0.05
"""Part of a gap by which slices may lie off their even places; rounding in headers makes some of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseVolume:
    """An image of two or three dimensions.

    ``data`` are little-endian values of ``dtype`` in C order and ``shape``: (rows, columns) or (slices, rows, columns),
    with a last axis of 3 for colour. ``spacing``, ``origin`` and ``direction`` (unit vectors of the axes, one after
    another) run along columns, rows, slices. Images without a place in space have origin 0 and the identity.
    """

    data: bytes
    dtype: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    colour: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One frame: values after the modality transformation, and where it lies, if anywhere."""

    array: Array
    spacing: tuple[float, float]
    thickness: float
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None


def case_volume(paths: Sequence[Path], largest: int) -> CaseVolume:
    """Read and decode the files of one image.

    Raises:
        DecodingError: they are not one image, cannot be decoded, or take more than ``largest`` bytes.
    """
    planes: list[Plane] = []
    left = largest
    for path in paths:
        found = file_planes(path, left)
        left -= sum(plane.array.nbytes for plane in found)
        planes += found
    return assembled(planes)


def file_planes(path: Path, largest: int) -> list[Plane]:
    """Decode one file into its frames.

    Raises:
        DecodingError: it cannot be decoded, or is too large.
    """
    import pydicom

    from holdout.decoding import decoded_array

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        frames = int(dataset.get("NumberOfFrames") or 1)
        count = frames * int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1)
        if count * max(1, int(dataset.get("BitsAllocated") or 8) // 8) > largest:
            raise DecodingError("the image takes more memory than it may")
        array, _ = decoded_array(dataset, str(dataset.file_meta.TransferSyntaxUID))
        colour = str(dataset.PhotometricInterpretation)
        if colour == "PALETTE COLOR":
            array = _with_palette(array, dataset)
        # Colour has a last axis of its own; a single frame has no first one.
        if array.ndim == (
            3 if int(dataset.get("SamplesPerPixel") or 1) > 1 or colour == "PALETTE COLOR" else 2
        ):
            array = array[np.newaxis]
        return [_plane(dataset, array[index], index) for index in range(len(array))]


def assembled(planes: Sequence[Plane]) -> CaseVolume:
    """Put frames together in the order of their places.

    Raises:
        DecodingError: they differ in size or direction, share a place, or leave a gap.
    """
    first = planes[0]
    if any(plane.array.shape != first.array.shape for plane in planes):
        raise DecodingError("the images of the case differ in size and are not one image")
    if first.position is None or first.orientation is None:
        return _without_place(planes)
    return _in_space(planes)


def _in_space(planes: Sequence[Plane]) -> CaseVolume:
    first = planes[0]
    assert first.orientation is not None
    axes = np.asarray(first.orientation, float).reshape(2, 3)
    for plane in planes:
        if plane.position is None or plane.orientation is None:
            raise DecodingError("some images of the case have a place in space and some have none")
        if np.abs(np.ravel(axes) - plane.orientation).max() > _SAME_DIRECTION:
            raise DecodingError("the images of the case lie in different directions and are not one image")
        if not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise DecodingError("the images of the case differ in pixel spacing and are not one image")
    lengths = np.linalg.norm(axes, axis=1)
    if np.abs(lengths - 1).max() > 1e-2 or abs(float(axes[0] @ axes[1])) > 1e-2:
        raise DecodingError("the image's direction is not one of two perpendicular unit vectors")
    axes /= lengths[:, np.newaxis]
    normal = np.cross(axes[0], axes[1])
    positions = np.array([plane.position for plane in planes], float)
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    gap = first.thickness
    if len(planes) > 1:
        gap = _even_gap(positions, normal)
    arrays = _alike(planes)
    return _volume(
        np.stack([arrays[index] for index in order]),
        spacing=(first.spacing[1], first.spacing[0], gap),
        origin=tuple(float(value) for value in positions[0]),
        direction=(*axes[0], *axes[1], *normal),
    )


def _even_gap(positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]) -> float:
    """Distance between neighbours in millimetres, when all lie on one line along the normal."""
    gap = float((positions[-1] - positions[0]) @ normal) / (len(positions) - 1)
    if gap <= 0 or np.diff(positions @ normal).min() < (1 - _EVEN) * gap - 1e-3:
        raise DecodingError("two images of the case have the same place, or the slices are not evenly spaced")
    even = positions[0] + np.outer(np.arange(len(positions)) * gap, normal)
    if np.abs(positions - even).max() > _EVEN * gap + 1e-3:
        raise DecodingError("the slices are not evenly spaced: one is missing, or the gantry was tilted")
    return gap


def _without_place(planes: Sequence[Plane]) -> CaseVolume:
    first = planes[0]
    if any(plane.position is not None for plane in planes):
        raise DecodingError("some images of the case have a place in space and some have none")
    arrays = _alike(planes)
    flat = len(planes) == 1
    return _volume(
        arrays[0] if flat else np.stack(arrays),
        spacing=(first.spacing[1], first.spacing[0], *(() if flat else (1.0,))),
        origin=(0.0,) * (2 if flat else 3),
        direction=tuple(np.eye(2 if flat else 3).ravel()),
    )


def _volume(
    array: Array, *, spacing: tuple[float, ...], origin: tuple[float, ...], direction: tuple[Any, ...]
) -> CaseVolume:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return CaseVolume(
        data=little.tobytes(),
        dtype=little.dtype.str,
        shape=tuple(int(length) for length in little.shape),
        spacing=spacing,
        origin=origin,
        direction=tuple(float(value) for value in direction),
        colour=array.ndim > len(spacing),
    )


def _alike(planes: Sequence[Plane]) -> list[Array]:
    """Give all frames the smallest type that holds them: whole numbers as integers, anything else as float32."""
    kinds = {plane.array.dtype for plane in planes}
    if len(kinds) == 1 and next(iter(kinds)).itemsize <= 4:
        return [plane.array for plane in planes]
    if any(kind.kind == "f" for kind in kinds):
        return [plane.array.astype(np.float32) for plane in planes]
    low = min(int(plane.array.min()) for plane in planes)
    high = max(int(plane.array.max()) for plane in planes)
    return [plane.array.astype(_integer_type(low, high)) for plane in planes]


def _integer_type(low: int, high: int) -> type[Any]:
    for kind in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return kind
    return np.float32


def _plane(dataset: Any, frame: Array, index: int) -> Plane:
    place = frame_place(dataset, index)
    group = first_item(functional_groups(dataset, index), "PixelValueTransformationSequence")
    return Plane(
        array=_transformed(dataset, group, frame),
        spacing=place.spacing or (1.0, 1.0),
        thickness=place.thickness or 1.0,
        position=place.position,
        orientation=place.orientation,
    )


def _transformed(dataset: Any, group: Any, frame: Array) -> Array:
    """Apply the modality transformation to one frame."""
    from pydicom.pixels.processing import apply_modality_lut

    source = group if group is not None else dataset
    slope, intercept = float(source.get("RescaleSlope") or 1), float(source.get("RescaleIntercept") or 0)
    if group is None and dataset.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(frame, dataset))
    if (slope, intercept) == (1.0, 0.0):
        return frame
    if slope.is_integer() and intercept.is_integer() and frame.dtype.kind in "iu":
        whole = frame.astype(np.int64) * int(slope) + int(intercept)
        return whole.astype(np.int16 if _fits(whole) else np.int32)
    return (frame.astype(np.float64) * slope + intercept).astype(np.float32)


def _fits(whole: Array) -> bool:
    limits = np.iinfo(np.int16)
    return bool(limits.min <= whole.min() and whole.max() <= limits.max)


def _with_palette(array: Array, dataset: Any) -> Array:
    """Colour of each pixel; palettes of 16 bits keep their upper 8, which is what displays show."""
    from pydicom.pixels.processing import apply_color_lut

    colour = np.asarray(apply_color_lut(array, dataset))
    return (colour >> 8).astype(np.uint8) if colour.dtype.itemsize == 2 else colour
