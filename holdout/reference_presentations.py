"""Graphic annotations of Softcopy Presentation States as findings and masks (PS3.3 C.10.4, C.10.5).

Graphics in pixels are taken as they are. Graphics in fractions of the displayed area are put on the image by that area,
unless the presentation state turns or flips it. Curves through points (INTERPOLATED) have no defined course; they are
taken as the line through their points for a finding, and refused for a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from holdout.boxes import Box
from holdout.image_grid import Floats, ImageGrid
from holdout.image_reading import ImageDefect
from holdout.outlines import Kind, Outline, box_of, united
from holdout.placed_mask import FoundMask
from holdout.reference_forms import SOP_CLASSES, PresentationForm

_KINDS: dict[str, Kind] = {
    "POINT": "POINT",
    "POLYLINE": "POLYLINE",
    "INTERPOLATED": "POLYLINE",
    "CIRCLE": "CIRCLE",
    "ELLIPSE": "ELLIPSE",
}


def presented_boxes(dataset: Any, grid: ImageGrid, form: PresentationForm) -> tuple[Box, ...] | None:
    """Each graphic on the image as a finding; None when there is none.

    Raises:
        ImageDefect: it is no presentation state, a graphic cannot be placed, or there are several images.
    """
    boxes = [box_of(outline, grid.rows, grid.columns) for outline, _ in _graphics(dataset, grid, form)]
    return tuple(box for box in boxes if box is not None) or None


def presented_mask(dataset: Any, grid: ImageGrid, form: PresentationForm) -> FoundMask | None:
    """What closed graphics on the image enclose; None when there is none.

    Raises:
        ImageDefect: as :func:`presented_boxes`, or a graphic encloses nothing.
    """
    graphics = list(_graphics(dataset, grid, form))
    if not graphics:
        return None
    if any(interpolated or not outline.closed for outline, interpolated in graphics):
        raise ImageDefect(
            "a graphic is a point, an open line or a curve, which encloses nothing: declare boxes"
        )
    polygons = [outline.corners for outline, _ in graphics]
    return FoundMask(mask=united(polygons, grid.rows, grid.columns)[np.newaxis])


def _graphics(dataset: Any, grid: ImageGrid, form: PresentationForm) -> Iterator[tuple[Outline, bool]]:
    """Outlines on the image, and whether each is a curve through points."""
    if str(dataset.get("SOPClassUID")) not in SOP_CLASSES["presentation_state"]:
        raise ImageDefect("not a presentation state")
    if grid.slices != 1:
        raise ImageDefect("graphics lie in one image, but the case has several; lock with --unit image")
    for annotation in dataset.get("GraphicAnnotationSequence") or []:
        layer = str(annotation.get("GraphicLayer") or "").strip()
        if not _applies(annotation, grid) or form.layer not in (None, layer):
            continue
        for item in annotation.get("GraphicObjectSequence") or []:
            kind = str(item.get("GraphicType") or "")
            if kind not in _KINDS or int(item.get("GraphicDimensions") or 2) != 2:
                raise ImageDefect("has a graphic of a type that is not known")
            points = np.array([float(value) for value in item.GraphicData], dtype=np.float64).reshape(-1, 2)
            units = str(item.get("GraphicAnnotationUnits") or "")
            if units == "DISPLAY":
                points = _on_image(points, dataset, grid)
            elif units != "PIXEL":
                raise ImageDefect(
                    "has graphics in units other than pixels and fractions of the displayed area"
                )
            yield Outline(kind=_KINDS[kind], points=points), kind == "INTERPOLATED"


def _applies(item: Any, grid: ImageGrid) -> bool:
    """Whether an item is about the image: it names it, or names none and so is about all."""
    named = item.get("ReferencedImageSequence") or []
    return not named or any(
        grid.slice_of(str(image.get("ReferencedSOPInstanceUID"))) is not None for image in named
    )


def _on_image(points: Floats, dataset: Any, grid: ImageGrid) -> Floats:
    """Fractions of the displayed area in pixels; its corners are whole pixels, counted from 1 (PS3.3 C.10.4)."""
    if int(dataset.get("ImageRotation") or 0) % 360 or str(dataset.get("ImageHorizontalFlip") or "N") == "Y":
        raise ImageDefect("has graphics in fractions of a displayed area that is turned or flipped")
    areas = [item for item in dataset.get("DisplayedAreaSelectionSequence") or [] if _applies(item, grid)]
    if len(areas) != 1:
        raise ImageDefect("does not state the one displayed area of its graphics")
    first = np.array([int(v) for v in areas[0].DisplayedAreaTopLeftHandCorner], dtype=np.float64)
    last = np.array([int(v) for v in areas[0].DisplayedAreaBottomRightHandCorner], dtype=np.float64)
    placed: Floats = first - 1 + points * (last - first + 1)
    return placed
