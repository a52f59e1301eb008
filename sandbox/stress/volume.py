"""Pixels in modality units: frames of one series as a stack, and back into stored values.

Modality units are those of the Modality LUT module (PS3.3 C.11.1: value = slope x stored + intercept; Hounsfield
units for CT), slope and intercept taken for each frame. Where a table replaces them, or there is none, units
are the stored values. Writing back rounds to the nearest stored value, clips to Bits Stored and counts what was
clipped, and leaves padding (PS3.3 C.7.5.1.1.2) as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from sandbox.stress.case import Image, OpenCase, set_stored, stored_range, stored_values
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.undecoded import has, number_of, text_of

FloatArray = NDArray[Any]
BoolArray = NDArray[np.bool_]

AIR = -1000.0
OUTSIDE_FIELD = -1200.0
"""Hounsfield units below which no matter is: scanners mark the outside of the round field so (-2000, -3024)."""


_ENOUGH = 128


@dataclass(slots=True, kw_only=True)
class Volume:
    """Frames of one series, in spatial order where positions are known.

    Attributes:
        images: the files that the frames come from.
        values: (frames, rows, columns) or (frames, rows, columns, 3), float32, modality units.
        spacing: millimetres between slices, rows and columns; None where not known.
        padding: True where a pixel is padding; None when there is none. In CT its value is that of air here.
        limits: smallest and largest value, in modality units, that every file can store.
        inverted: True when larger values are shown darker (MONOCHROME1).
    """

    images: list[Image]
    values: FloatArray
    slice_spacing: float | None
    spacing: tuple[float, float] | None
    padding: BoolArray | None
    limits: tuple[float, float]
    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    inverted: bool

    @property
    def colour(self) -> bool:
        """Whether the last axis is red, green, blue."""
        return self.values.ndim == 4

    @property
    def modality(self) -> str:
        """Modality of the series."""
        return self.images[0].modality

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.values.shape[1]), int(self.values.shape[2])

    def needs_spacing(self) -> tuple[float, float]:
        """Millimetres between rows and columns.

        Raises:
            NotApplicableError: the case does not say.
        """
        if self.spacing is None:
            raise NotApplicableError("the case does not tell its pixel spacing")
        return self.spacing

    def content_range(self) -> tuple[float, float]:
        """1st and 99th percentile of what is not padding: the grey levels in use."""
        values = thinned(self.values)
        if self.padding is not None and not self.colour:
            kept = values[~thinned(self.padding)]
            values = kept if kept.size else values
        low, high = np.percentile(values, (1, 99))
        if high <= low:
            low, high = float(values.min()), float(values.max())
        if high <= low:
            raise NotApplicableError("the image is constant")
        return float(low), float(high)


def thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Every n-th row and column of each frame, at least ``_ENOUGH`` of either: enough for percentiles."""
    return values[:, :: max(values.shape[1] // _ENOUGH, 1), :: max(values.shape[2] // _ENOUGH, 1)]


def volumes(case: OpenCase) -> Iterator[Volume]:
    """Give the frames of each series and matrix size as a volume; a change must be followed by ``put_back``."""
    groups: dict[tuple[Any, ...], list[Image]] = {}
    for image in case.images:
        dataset = image.dataset
        size = number_of(dataset, "Rows"), number_of(dataset, "Columns")
        key = (text_of(dataset, "SeriesInstanceUID"), size, image.colour)
        groups.setdefault(key, []).append(image)
    for images in groups.values():
        yield _volume(in_spatial_order(images))


def in_spatial_order(images: list[Image]) -> list[Image]:
    """Order single-frame files along the normal of their planes; unchanged where positions are not known."""
    places = [slice_position(image.dataset) for image in images]
    if len(images) < 2 or any(place is None for place in places):
        return list(images)
    order = sorted(range(len(images)), key=lambda index: (places[index], index))
    return [images[index] for index in order]


def slice_position(dataset: Dataset) -> float | None:
    """Millimetres of a plane along its normal (PS3.3 C.7.6.2.1.1); None where position is not told."""
    position, orientation = dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient")
    if not position or not orientation or len(position) != 3 or len(orientation) != 6:
        return None
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    return float(np.dot(np.cross(row, column), np.asarray(position, float)))


def pixel_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Millimetres between rows and between columns, from the plane, the functional groups or the detector."""
    candidates = [dataset.get("PixelSpacing")]
    for sequence in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if dataset.get(sequence):
            measures = dataset[sequence].value[0].get("PixelMeasuresSequence")
            if measures:
                candidates.append(measures[0].get("PixelSpacing"))
    candidates += [dataset.get("ImagerPixelSpacing"), dataset.get("NominalScannedPixelSpacing")]
    for found in candidates:
        if found and len(found) == 2 and float(found[0]) > 0 and float(found[1]) > 0:
            return float(found[0]), float(found[1])
    return None


def rescale(dataset: Dataset, frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and intercept of each frame."""
    slopes, intercepts = np.ones(frames), np.zeros(frames)
    if dataset.get("ModalityLUTSequence"):
        return slopes, intercepts
    slopes[:] = float(text_of(dataset, "RescaleSlope") or 1) or 1.0
    intercepts[:] = float(text_of(dataset, "RescaleIntercept") or 0)
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for items, whole in ((shared, True), (each, False)):
        for index, item in enumerate(items[: 1 if whole else frames]):
            found = item.get("PixelValueTransformationSequence")
            if found:
                place = slice(None) if whole else index
                slopes[place] = float(found[0].get("RescaleSlope") or 1) or 1.0
                intercepts[place] = float(found[0].get("RescaleIntercept") or 0)
    return slopes, intercepts


def _volume(images: list[Image]) -> Volume:
    stacks, slopes, intercepts, paddings = [], [], [], []
    limits = (-np.inf, np.inf)
    for image in images:
        stored = stored_values(image)
        if stored.ndim == 4:
            slope, intercept = np.ones(len(stored)), np.zeros(len(stored))
            low, high = 0.0, float(np.iinfo(stored.dtype).max)
        else:
            slope, intercept = rescale(image.dataset, len(stored))
            ends = np.outer(slope, stored_range(image.dataset)) + intercept[:, None]
            low, high = float(ends.min(axis=1).max()), float(ends.max(axis=1).min())
        limits = (max(limits[0], low), min(limits[1], high))
        shape = (-1,) + (1,) * (stored.ndim - 1)
        values = stored.astype(np.float32)
        if not (np.all(slope == 1) and np.all(intercept == 0)):
            values = values * slope.reshape(shape).astype(np.float32) + intercept.reshape(shape).astype(
                np.float32
            )
        stacks.append(values)
        slopes.append(slope)
        intercepts.append(intercept)
        paddings.append(_padding(image))
    padding = None
    if any(found is not None for found in paddings):
        padding = np.concatenate(
            [
                np.zeros(stack.shape[:3], bool) if found is None else found
                for stack, found in zip(stacks, paddings, strict=True)
            ]
        )
    dataset = images[0].dataset
    values = np.concatenate(stacks) if len(stacks) > 1 else stacks[0]
    if images[0].modality == "CT" and values.ndim == 3:
        outside = values < OUTSIDE_FIELD
        if outside.any():
            padding = outside if padding is None else padding | outside
        if padding is not None:
            # Filters must see air outside the field, not a number that stands for nothing.
            values[padding] = AIR
    return Volume(
        images=images,
        values=values,
        slice_spacing=_slice_spacing(images),
        spacing=pixel_spacing(dataset),
        padding=padding,
        limits=limits,
        slopes=np.concatenate(slopes),
        intercepts=np.concatenate(intercepts),
        inverted=images[0].photometric == "MONOCHROME1",
    )


def _slice_spacing(images: list[Image]) -> float | None:
    places = [slice_position(image.dataset) for image in images]
    known = sorted({round(place, 3) for place in places if place is not None})
    if len(images) > 1 and len(known) > 1:
        return float(np.median(np.diff(known)))
    dataset = images[0].dataset
    for source in (dataset, *_measures(dataset)):
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            if float(source.get(keyword) or 0) > 0:
                return float(source.get(keyword))
    return None


def _measures(dataset: Dataset) -> list[Dataset]:
    found = []
    for sequence in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if dataset.get(sequence):
            found += list(dataset[sequence].value[0].get("PixelMeasuresSequence") or [])
    return found


def _padding(image: Image) -> BoolArray | None:
    if not has(image.dataset, "PixelPaddingValue") or image.colour:
        return None
    value = image.dataset.get("PixelPaddingValue")
    if value is None or isinstance(value, bytes):
        return None
    limit = image.dataset.get("PixelPaddingRangeLimit")
    ends = sorted((int(value), int(value if limit is None or isinstance(limit, bytes) else limit)))
    stored = stored_values(image)
    found: BoolArray = (stored >= ends[0]) & (stored <= ends[1])
    # Air in MR often holds the same value here and there: padding is an area, single pixels are image.
    kernel = np.ones((1, 3, 3), bool)
    core = scipy.ndimage.binary_erosion(found, kernel, border_value=1)
    area: BoolArray = scipy.ndimage.binary_dilation(core, kernel) & found
    return area if area.any() else None


def put_back(volume: Volume, values: FloatArray, *, keep_padding: bool = True) -> None:
    """Write changed values (same number of frames) into the files of the volume, as stored values.

    ``values`` are rounded in place: a second array of their size would take as long as the rounding does.
    """
    start = 0
    for image in volume.images:
        before = stored_values(image)
        part = slice(start, start + len(before))
        start += len(before)
        chosen = values[part]
        if before.ndim == 4:
            low, high = 0, int(np.iinfo(before.dtype).max)
        else:
            low, high = stored_range(image.dataset)
            slope, intercept = volume.slopes[part], volume.intercepts[part]
            if not (np.all(slope == 1) and np.all(intercept == 0)):
                chosen = (chosen - intercept[:, None, None].astype(np.float32)) / slope[:, None, None].astype(
                    np.float32
                )
        rounded = np.rint(chosen, out=chosen if chosen.flags.writeable else None)
        if rounded.min() < low or rounded.max() > high:
            image.clipped += int(np.count_nonzero((rounded < low) | (rounded > high)))
            np.clip(rounded, low, high, out=rounded)
        after = rounded.astype(before.dtype)
        if keep_padding and volume.padding is not None and after.shape == before.shape:
            mask = volume.padding[part]
            after[mask] = before[mask]
        set_stored(image, after)
