"""Outlines in an image: points, lines, circles and ellipses as boxes, closed ones as masks.

Coordinates are (column, row) in pixels from the left upper corner of the left upper pixel, whose own right lower corner
is 1, 1 (PS3.3 C.18.6.1 and C.10.5.1). An element is inside when its centre is; a centre on the outline counts with the
side of larger coordinates, so that outlines that share a border share no element.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from holdout.boxes import Box
from holdout.image_grid import Floats
from holdout.image_reading import ImageDefect
from holdout.mask_runs import Mask

Kind = Literal["POINT", "POLYLINE", "POLYGON", "CIRCLE", "ELLIPSE"]

_POINTS_OF_A_CURVE = 720
"""Corners of the polygon that stands for a circle: at a radius of 100 pixels it is off by a thousandth of one."""
_LARGEST = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What was drawn: ``points`` has the shape (n, 2). A POLYLINE is open unless its ends are the same point."""

    kind: Kind
    points: Floats

    def __post_init__(self) -> None:
        needed = {"POINT": 1, "CIRCLE": 2, "ELLIPSE": 4}.get(self.kind)
        if needed not in (None, len(self.points)) or not len(self.points):
            raise ImageDefect(f"a graphic of type {self.kind.lower()} has {len(self.points)} points")
        if not (np.isfinite(self.points).all() and np.abs(self.points).max() < _LARGEST):
            raise ImageDefect("a coordinate is not a number of pixels")

    @property
    def closed(self) -> bool:
        """Whether it encloses anything."""
        if self.kind == "POLYLINE":
            return len(self.points) > 3 and bool(np.array_equal(self.points[0], self.points[-1]))
        return self.kind != "POINT"

    @property
    def corners(self) -> Floats:
        """The outline as a polygon, shape (n, 2)."""
        angles = np.linspace(0, 2 * np.pi, _POINTS_OF_A_CURVE, endpoint=False)
        if self.kind == "CIRCLE":
            radius = float(np.linalg.norm(self.points[1] - self.points[0]))
            circle: Floats = self.points[0] + radius * np.column_stack((np.cos(angles), np.sin(angles)))
            return circle
        if self.kind == "ELLIPSE":
            centre = self.points.mean(axis=0)
            major, minor = (self.points[1] - self.points[0]) / 2, (self.points[3] - self.points[2]) / 2
            ellipse: Floats = centre + np.outer(np.cos(angles), major) + np.outer(np.sin(angles), minor)
            return ellipse
        return self.points


def box_of(outline: Outline, rows: int, columns: int) -> Box | None:
    """The smallest box around an outline within the image; None when it lies outside.

    A point, and a line along an axis, has the width of a pixel around it.
    """
    low, high = outline.corners.min(axis=0), outline.corners.max(axis=0)
    thin = high - low < 1e-6
    low, high = np.where(thin, low - 0.5, low), np.where(thin, high + 0.5, high)
    low, high = np.clip(low, 0, (columns, rows)), np.clip(high, 0, (columns, rows))
    if (high <= low).any():
        return None
    left, top, right, bottom = (round(float(value), 4) for value in (*low, *high))
    return left, top, right, bottom


def filled(polygons: Iterable[Floats], rows: int, columns: int) -> Mask:
    """Elements inside of an odd number of windings of the outlines (even-odd rule over all of them together)."""
    crossings = np.zeros((rows, columns + 1), dtype=np.int64)
    for polygon in polygons:
        _count_crossings(np.asarray(polygon, dtype=np.float64), crossings)
    inside: Mask = np.cumsum(crossings[:, :columns], axis=1) % 2 == 1
    return inside


def united(polygons: Sequence[Floats], rows: int, columns: int) -> Mask:
    """Elements inside of any of the outlines, each by the even-odd rule."""
    mask = np.zeros((rows, columns), dtype=bool)
    for polygon in polygons:
        mask |= filled([polygon], rows, columns)
    return mask


def _count_crossings(polygon: Floats, crossings: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    """Add, for each row, where the outline crosses the line through its centres."""
    rows, width = crossings.shape
    start, end = polygon, np.roll(polygon, -1, axis=0)
    flat = start[:, 1] == end[:, 1]
    start, end = start[~flat], end[~flat]
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    # Rows whose centre lies at or above the lower end and strictly below the upper one.
    first = np.clip(np.ceil(low - 0.5), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), 0, rows).astype(np.int64)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(start)), counts)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    place = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    column = np.clip(np.ceil(place - 0.5), 0, width - 1).astype(np.int64)
    np.add.at(crossings, (row, column), 1)
