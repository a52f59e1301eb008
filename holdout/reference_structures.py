"""RT Structure Sets as truth (PS3.3 A.19, C.8.8.5, C.8.8.6): closed contours as masks, contours and points as findings.

A contour belongs to the slice in whose plane it lies. One that lies between slices is a mismatch: refused, or, with
``on_mismatch: resample``, each slice takes the contours of the plane nearest to it, as far as half the distance between
planes of contours. Contours across the slices are refused always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdout.boxes import Box
from holdout.image_grid import Floats, ImageGrid
from holdout.image_reading import ImageDefect
from holdout.mask_runs import Mask
from holdout.outlines import Outline, box_of, filled, united
from holdout.placed_mask import FoundMask
from holdout.reference_forms import SOP_CLASSES, Roi, StructureSetForm
from holdout.volume_lesions import VolumeLesions, checked_lesion

_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_PLANES = 3
"""Decimals of a millimetre by which planes of contours are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contour:
    """A contour: its geometric type, points in LPS millimetres (n, 3), and the middle of its height on the normal."""

    kind: str
    points: Floats
    height: float


def structure_mask(dataset: Any, grid: ImageGrid, form: StructureSetForm) -> FoundMask | None:
    """The closed contours of a region on the images; None when the object has no such region.

    Raises:
        ImageDefect: it is no structure set, or its contours do not fit the images.
    """
    contours = _contours(dataset, grid, form.roi)
    if contours is None:
        return None
    if any(contour.kind not in _CLOSED for contour in contours):
        raise ImageDefect(
            "the region has points or open lines, which enclose nothing: declare boxes: true, or lesions: points"
        )
    near = grid.nearness()
    for contour in contours:
        if np.ptp(contour.points @ grid.axes[2]) > near:
            raise ImageDefect("a contour does not lie in the plane of the images")
    placed = _on_slices(contours, grid, near)
    resampled = placed is None
    if placed is None:
        if form.on_mismatch == "refuse":
            raise ImageDefect(
                "a contour lies between the images or beyond them; declare on_mismatch: resample, or export it on "
                "their planes"
            )
        placed = _nearest(contours, grid)
    mask = np.zeros((grid.slices, grid.rows, grid.columns), dtype=bool)
    for index, members in placed.items():
        mask[index] = _drawn(members, grid, index, union=form.inner == "union")
    return FoundMask(mask=mask, resampled=resampled)


def structure_points(dataset: Any, grid: ImageGrid, form: StructureSetForm) -> tuple[Box, ...] | None:
    """The points and contours of a region as findings in one image; None when the object has no such region.

    Raises:
        ImageDefect: it is no structure set, or there are several images.
    """
    contours = _contours(dataset, grid, form.roi)
    if contours is None:
        return None
    if grid.slices != 1:
        raise ImageDefect(
            "findings are boxes in one image, but the case has several; lock with --unit image, or declare "
            "lesions: points"
        )
    reach = max(grid.nearness(), (grid.thickness or 0) / 2)
    boxes = []
    for contour in contours:
        if abs(contour.height - grid.heights[0]) <= reach:
            outline = Outline(
                kind="POINT" if contour.kind == "POINT" else "POLYGON", points=_in_pixels(contour, grid, 0)
            )
            boxes.append(box_of(outline, grid.rows, grid.columns))
    return tuple(box for box in boxes if box is not None)


def structure_places(dataset: Any, grid: ImageGrid, form: StructureSetForm) -> VolumeLesions | None:
    """The points of a region as places in the patient; None when it is none of points alone.

    Raises:
        ImageDefect: it is no structure set, or its images have no place.
    """
    contours = _contours(dataset, grid, form.roi)
    if not contours or any(contour.kind != "POINT" for contour in contours):
        return None
    points = (checked_lesion(contour.points[0].tolist(), "points") for contour in contours)
    return VolumeLesions(kind="points", lesions=tuple(points))


def _contours(dataset: Any, grid: ImageGrid, roi: Roi) -> list[_Contour] | None:
    if str(dataset.get("SOPClassUID")) not in SOP_CLASSES["structure_set"]:
        raise ImageDefect("not an RT Structure Set")
    described = {
        int(item.ROINumber): item
        for item in dataset.get("StructureSetROISequence") or []
        if (roi.name is None or str(item.get("ROIName") or "").strip() == roi.name)
        and (roi.number is None or int(item.ROINumber) == roi.number)
    }
    if not described:
        return None
    if not grid.placed:
        raise ImageDefect(
            "its images have no place in the patient, so that contours in millimetres tell nothing"
        )
    for item in described.values():
        known = str(item.get("ReferencedFrameOfReferenceUID") or "")
        if known and grid.frame_of_reference and known != grid.frame_of_reference:
            raise ImageDefect("the region lies in another Frame of Reference than its images")
    return [
        _contour(each, grid)
        for item in dataset.get("ROIContourSequence") or []
        if int(item.ReferencedROINumber) in described
        for each in item.get("ContourSequence") or []
    ]


def _contour(item: Any, grid: ImageGrid) -> _Contour:
    points = np.array([float(value) for value in item.ContourData], dtype=np.float64)
    if not len(points) or len(points) % 3 or not np.isfinite(points).all():
        raise ImageDefect("a contour is not a list of places")
    points = points.reshape(-1, 3)
    heights = points @ grid.axes[2]
    middle = float(heights.min() + heights.max()) / 2
    return _Contour(kind=str(item.ContourGeometricType), points=points, height=middle)


def _on_slices(
    contours: Sequence[_Contour], grid: ImageGrid, near: float
) -> dict[int, list[_Contour]] | None:
    """Contours by the slice in whose plane they lie; None when one lies in that of none."""
    # One image has no neighbours, so its thickness tells where the next one may begin.
    beyond = (grid.thickness or 0) / 2 if grid.slices == 1 else np.inf
    found: dict[int, list[_Contour]] = {}
    for contour in contours:
        away = np.abs(grid.heights - contour.height)
        index = int(np.argmin(away))
        if away[index] <= near:
            found.setdefault(index, []).append(contour)
        elif away[index] < beyond:
            return None
    return found


def _nearest(contours: Sequence[_Contour], grid: ImageGrid) -> dict[int, list[_Contour]]:
    """Contours of the plane nearest to each slice, as far as half the distance between planes of contours."""
    levels = np.round([contour.height for contour in contours], _PLANES)
    planes = np.unique(levels)
    gap = float(np.diff(planes).min()) if len(planes) > 1 else grid.gap
    if gap is None:
        raise ImageDefect("how far a single plane of contours reaches is not known")
    found: dict[int, list[_Contour]] = {}
    for index, height in enumerate(grid.heights):
        plane = planes[int(np.argmin(np.abs(planes - height)))]
        if abs(plane - height) <= gap / 2 + 10**-_PLANES:
            found[index] = [
                contour for contour, level in zip(contours, levels, strict=True) if level == plane
            ]
    return found


def _in_pixels(contour: _Contour, grid: ImageGrid, index: int) -> Floats:
    """Points of a contour in pixels from the left upper corner of the image."""
    pixels: Floats = grid.in_plane(contour.points, index)[:, :2] + 0.5
    return pixels


def _drawn(contours: Sequence[_Contour], grid: ImageGrid, index: int, *, union: bool) -> Mask:
    polygons = [_in_pixels(contour, grid, index) for contour in contours if len(contour.points) > 2]
    exclusive = any(contour.kind != "CLOSED_PLANAR" for contour in contours)
    draw = united if union and not exclusive else filled
    return draw(polygons, grid.rows, grid.columns)
