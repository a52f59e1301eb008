"""DICOM Segmentation objects as masks of the images of a case (PS3.3 A.51, C.8.20; label maps: A.51.2).

Frames may come in any order, overlap, and be left out: a frame that is not there has nothing inside. A frame belongs
to the slice in whose plane it lies, or, where places do not tell, to the image that it names as its source.

Read with pydicom frame by frame, so that segments may overlap and only the chosen ones are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.coded import is_code
from holdout.decoding import decoded_frame
from holdout.errors import DecodingError
from holdout.frame_place import FramePlace, first_item, frame_place, functional_groups
from holdout.image_grid import SAME_DIRECTION, SAME_GRID, Floats, ImageGrid
from holdout.image_reading import ImageDefect
from holdout.mask_runs import ELEMENTS
from holdout.placed_mask import FoundMask, PlacedArray, put_on_grid
from holdout.reference_forms import SOP_CLASSES, Segment, SegmentationForm

MAXIMUM_FRAMES = 100_000
_TYPES = ("BINARY", "FRACTIONAL", "LABELMAP")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A frame that holds chosen segments: its number (from 0), its place, and what it was drawn on.

    ``source`` is the slice of the case that it names; None with ``named`` where it names another image.
    """

    index: int
    place: FramePlace
    source: int | None
    named: bool


def segmentation_mask(dataset: Any, grid: ImageGrid, form: SegmentationForm) -> FoundMask | None:
    """The chosen segments on the images; None when the object has no such segment.

    Raises:
        ImageDefect: it is no segmentation, not of the declared type, or does not fit the images.
    """
    kind = _checked_kind(dataset, form)
    chosen = _chosen(dataset, form.segment)
    if not chosen:
        return None
    frames = _frames(dataset, chosen, grid, labelmap=kind == "LABELMAP")
    reader = _Pixels(dataset=dataset, kind=kind, chosen=chosen)
    known = str(dataset.get("FrameOfReferenceUID") or "")
    together = grid.placed and (not known or known == grid.frame_of_reference)
    places = None
    if together and all(frame.place.position and frame.place.orientation for frame in frames):
        places = _slices_by_place(frames, grid, (int(dataset.Rows), int(dataset.Columns)))
        if places is None:
            placed = _assembled(frames, reader)
            return put_on_grid(placed, grid, form.on_mismatch, threshold=form.threshold)
    elif all(frame.named for frame in frames) and _names_images(dataset, frames, grid):
        if (int(dataset.Rows), int(dataset.Columns)) != (grid.rows, grid.columns):
            raise ImageDefect("has another size than the images that it names, and no place in the patient")
        places = [frame.source for frame in frames]
    else:
        raise ImageDefect("neither names its images as sources nor lies in their Frame of Reference")
    mask = np.zeros((grid.slices, grid.rows, grid.columns), dtype=bool)
    for frame, place in zip(frames, places, strict=True):
        if place is not None:
            mask[place] |= reader.inside(frame.index, form.threshold)
    return FoundMask(mask=mask)


def _checked_kind(dataset: Any, form: SegmentationForm) -> str:
    if str(dataset.get("SOPClassUID")) not in SOP_CLASSES["segmentation"]:
        raise ImageDefect("not a DICOM Segmentation that can be read")
    kind = str(dataset.get("SegmentationType") or "")
    if kind not in _TYPES:
        raise ImageDefect("its type of segmentation is not known")
    if not 0 < int(dataset.get("NumberOfFrames") or 1) <= MAXIMUM_FRAMES:
        raise ImageDefect(f"has more than {MAXIMUM_FRAMES} frames")
    if str(dataset.get("DimensionOrganizationType") or "").startswith("TILED"):
        raise ImageDefect("is one of a whole slide, which is not read")
    if int(dataset.Rows) * int(dataset.Columns) > ELEMENTS:
        raise ImageDefect("its frames are too large")
    if kind == "FRACTIONAL":
        stated = str(dataset.get("SegmentationFractionalType") or "").lower()
        if form.fraction is None:
            raise ImageDefect("is a fractional segmentation: declare its fraction and a threshold")
        if stated != form.fraction:
            raise ImageDefect(f"does not hold fractions of {form.fraction}, as declared")
    elif form.fraction is not None:
        raise ImageDefect("is no fractional segmentation, as declared")
    return kind


def _chosen(dataset: Any, wanted: Segment | None) -> tuple[int, ...]:
    """Numbers of the segments that are meant."""
    listed = {int(item.SegmentNumber): item for item in dataset.get("SegmentSequence") or []}
    if wanted is None:
        # A label map may describe its background, which is number 0.
        inside = [number for number in listed if number]
        if len(inside) != 1:
            raise ImageDefect(f"has {len(inside)} segments: declare which of them is meant")
        return tuple(inside)
    if wanted.number is not None:
        return (wanted.number,) if wanted.number in listed else ()
    if wanted.label is not None:
        return tuple(n for n, item in listed.items() if str(item.get("SegmentLabel")).strip() == wanted.label)
    assert wanted.property is not None
    return tuple(
        number
        for number, item in listed.items()
        if any(is_code(code, wanted.property) for code in item.get("SegmentedPropertyTypeCodeSequence") or [])
    )


def _frames(dataset: Any, chosen: Sequence[int], grid: ImageGrid, *, labelmap: bool) -> list[_Frame]:
    found = []
    for index in range(int(dataset.get("NumberOfFrames") or 1)):
        groups = functional_groups(dataset, index)
        segment = first_item(groups, "SegmentIdentificationSequence")
        if not labelmap and segment is None:
            raise ImageDefect("a frame does not say which segment it shows")
        if not labelmap and int(segment.ReferencedSegmentNumber) not in chosen:
            continue
        try:
            place = frame_place(dataset, index)
        except DecodingError as error:
            raise ImageDefect(str(error)) from error
        sources = _sources(groups, grid)
        known = sources - {None}
        found.append(
            _Frame(
                index=index,
                place=place,
                source=next(iter(known)) if len(known) == 1 else None,
                named=bool(sources) and len(known) <= 1,
            )
        )
    return found


def _sources(groups: Sequence[Any], grid: ImageGrid) -> set[int | None]:
    """Slices of the case that a frame was drawn on, None for another image."""
    named: set[int | None] = set()
    for group in groups:
        for derivation in group.get("DerivationImageSequence") or []:
            for source in derivation.get("SourceImageSequence") or []:
                number = source.get("ReferencedFrameNumber")
                one = int(number) if number is not None and not hasattr(number, "__len__") else None
                named.add(grid.slice_of(str(source.get("ReferencedSOPInstanceUID")), one))
    return named


def _names_images(dataset: Any, frames: Sequence[_Frame], grid: ImageGrid) -> bool:
    if any(frame.source is not None for frame in frames):
        return True
    own = {uid for uid, _ in grid.instances}
    named = {
        str(instance.get("ReferencedSOPInstanceUID"))
        for series in dataset.get("ReferencedSeriesSequence") or []
        for instance in series.get("ReferencedInstanceSequence") or []
    }
    return bool(own & named)


def _slices_by_place(
    frames: Sequence[_Frame], grid: ImageGrid, size: tuple[int, int]
) -> list[int | None] | None:
    """Slice in whose plane each frame lies, None for a frame of another image; None when one lies otherwise."""
    heights, near = grid.heights, grid.nearness()
    # A single image has no neighbours, so its thickness tells where the next one may begin.
    reach = near if grid.slices > 1 else max(near, (grid.thickness or 0) / 2 - near)
    found: list[int | None] = []
    for frame in frames:
        if size != (grid.rows, grid.columns) or not frame.place.spacing:
            return None
        height = float(np.asarray(frame.place.position) @ grid.axes[2])
        place = int(np.argmin(np.abs(heights - height)))
        seen = grid.in_plane(_corners(frame.place, size), place)
        seen[:, 2] -= height - heights[place]
        meant = np.array([(c, r, 0.0) for r in (0, size[0] - 1) for c in (0, size[1] - 1)])
        off = np.abs(seen - meant)
        if off[:, :2].max() > SAME_GRID or off[:, 2].max() > near:
            return None
        away = abs(height - heights[place])
        if near < away and (grid.slices > 1 or away < reach):
            return None
        found.append(place if away <= near else None)
    return found


def _corners(place: FramePlace, size: tuple[int, int]) -> Floats:
    assert place.spacing is not None
    assert place.position is not None
    assert place.orientation is not None
    along_row, along_column = np.reshape(place.orientation, (2, 3))
    return np.array(
        [
            np.asarray(place.position)
            + column * place.spacing[1] * along_row
            + row * place.spacing[0] * along_column
            for row in (0, size[0] - 1)
            for column in (0, size[1] - 1)
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixels:
    """Pixels of the chosen segments, a frame at a time."""

    dataset: Any
    kind: str
    chosen: tuple[int, ...]

    def values(self, index: int) -> npt.NDArray[Any]:
        """True and False, or the fractions, of a frame."""
        try:
            frame = decoded_frame(self.dataset, index)
        except DecodingError as error:
            raise ImageDefect(f"its pixels cannot be read: {error}") from error
        if self.kind == "FRACTIONAL":
            return frame.astype(np.float32) / float(self.dataset.MaximumFractionalValue)
        return np.isin(frame, self.chosen) if self.kind == "LABELMAP" else frame != 0

    def inside(self, index: int, threshold: float | None) -> npt.NDArray[np.bool_]:
        """Elements of a frame that are inside."""
        values = self.values(index)
        return values != 0 if threshold is None else values >= threshold


def _assembled(frames: Sequence[_Frame], reader: _Pixels) -> PlacedArray:
    """The frames as one array on their own grid."""
    first = frames[0].place
    if any(
        frame.place.spacing is None
        or np.abs(np.subtract(frame.place.orientation or 0, first.orientation or 0)).max() > SAME_DIRECTION
        for frame in frames
    ):
        raise ImageDefect("its frames lie in several directions, or state no pixel spacing")
    assert first.spacing is not None
    assert first.orientation is not None
    along_row, along_column = np.array(first.orientation, dtype=np.float64).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    heights = np.array([np.asarray(frame.place.position) @ normal for frame in frames])
    apart = np.diff(np.unique(np.round(heights, 3)))
    gap = first.thickness or (float(apart.min()) if len(apart) else None)
    if gap is None:
        raise ImageDefect("a single frame that states no thickness cannot be put on other images")
    if len(apart) and apart.min() < gap * (1 - SAME_GRID):
        gap = float(apart.min())
    steps = (heights - heights.min()) / gap
    if np.abs(steps - np.rint(steps)).max() > SAME_GRID:
        raise ImageDefect("its frames are not evenly spaced")
    size = int(reader.dataset.Rows), int(reader.dataset.Columns)
    count = int(np.rint(steps).max()) + 1
    if count * size[0] * size[1] > ELEMENTS:
        raise ImageDefect("it is too large")
    kind = np.float32 if reader.kind == "FRACTIONAL" else np.bool_
    values: npt.NDArray[Any] = np.zeros((count, *size), dtype=kind)
    for frame, step in zip(frames, np.rint(steps).astype(int), strict=True):
        np.maximum(values[step], reader.values(frame.index), out=values[step])
    affine = np.eye(4)
    affine[:3, 0] = normal * gap
    affine[:3, 1] = along_column * first.spacing[0]
    affine[:3, 2] = along_row * first.spacing[1]
    affine[:3, 3] = frames[int(np.argmin(heights))].place.position
    return PlacedArray(values=values, affine=affine)
