"""Masks that have a place in the patient, put on the grid of the images that they are about.

A mask on the images' own grid, turned or flipped or not, is taken element by element. Any other is a mismatch, and is
refused or resampled as the declaration says: each element of the image takes the nearest element of the mask (of two
equally near ones the later), or, of a mask in fractions, the linear interpolation, which is then held against the
threshold. Outside of the mask's grid nothing is inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.image_grid import SAME_GRID, Floats, ImageGrid
from holdout.image_reading import ImageDefect
from holdout.mask_runs import Mask
from holdout.reference_forms import OnMismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedArray:
    """Values on a grid of their own: ``affine`` (4 x 4) takes the three indices of an element to LPS millimetres.

    ``whole`` says that the values are all there is: what an image has beyond them would not be known to be outside.
    """

    values: npt.NDArray[Any]
    affine: Floats
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMask:
    """A mask on the grid of its images, shape (slices, rows, columns), and whether it was resampled."""

    mask: Mask
    resampled: bool = False


def put_on_grid(
    placed: PlacedArray, grid: ImageGrid, on_mismatch: OnMismatch, *, threshold: float | None = None
) -> FoundMask:
    """Put a mask on the grid of the images; with ``threshold`` its values are fractions.

    Raises:
        ImageDefect: the images have no place, or the mask lies on another grid and may not be resampled.
    """
    if not grid.placed:
        raise ImageDefect(
            "its images have no place in the patient, so that a place of the mask tells nothing"
        )
    if abs(np.linalg.det(placed.affine[:3, :3])) < 1e-12:
        raise ImageDefect("its geometry is singular")
    aligned = _aligned(placed, grid)
    if aligned is not None:
        return FoundMask(mask=aligned if threshold is None else aligned >= threshold)
    if on_mismatch == "refuse":
        raise ImageDefect(
            "lies on another grid than its images, or beyond them; declare on_mismatch: resample, or export it on "
            "the images' grid"
        )
    order = 0 if threshold is None else 1
    planes = [_plane(placed.values, place, order) for place in _places(placed, grid)]
    found = np.stack(planes)
    return FoundMask(mask=found if threshold is None else found >= threshold, resampled=True)


def _steps(placed: PlacedArray, grid: ImageGrid) -> tuple[Floats, Floats, Floats]:
    """Indices of the first element of each slice, and what a row and a column further add to them."""
    assert grid.positions is not None
    assert grid.spacing is not None
    inverse = np.linalg.inv(placed.affine)
    firsts = np.asarray(grid.positions, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
    down = inverse[:3, :3] @ (grid.axes[1] * grid.spacing[0])
    right = inverse[:3, :3] @ (grid.axes[0] * grid.spacing[1])
    return firsts, down, right


def _aligned(placed: PlacedArray, grid: ImageGrid) -> npt.NDArray[Any] | None:
    """Values at the elements of the grid, when each is an element of the array and none is lost; else None."""
    firsts, down, right = _steps(placed, grid)
    whole_firsts, whole_down, whole_right = np.rint(firsts), np.rint(down), np.rint(right)
    if np.abs(whole_down).sum() != 1 or np.abs(whole_right).sum() != 1:
        return None
    drift = (
        np.abs(firsts - whole_firsts).max(axis=0)
        + np.abs(down - whole_down) * (grid.rows - 1)
        + np.abs(right - whole_right) * (grid.columns - 1)
    )
    if drift.max() > SAME_GRID:
        return None
    rows, columns = np.arange(grid.rows), np.arange(grid.columns)
    found = np.zeros((grid.slices, grid.rows, grid.columns), dtype=placed.values.dtype)
    seen = 0
    for index, first in enumerate(whole_firsts):
        # Neither index of an axis depends on rows and on columns at once: the array is only turned.
        axes = [
            (first[axis] + rows[:, None] * whole_down[axis] + columns * whole_right[axis]).astype(np.int64)
            for axis in range(3)
        ]
        inside = np.logical_and.reduce(
            [(at >= 0) & (at < size) for at, size in zip(axes, placed.values.shape, strict=True)]
        )
        seen += int(inside.sum())
        found[index][inside] = placed.values[tuple(at[inside] for at in axes)]
    about = placed.values
    if grid.slices == 1:
        # Other slices of the mask are about other images.
        through = int(np.flatnonzero((whole_down == 0) & (whole_right == 0))[0])
        at = int(whole_firsts[0, through])
        about = about.take([at] if 0 <= at < about.shape[through] else [], axis=through)
    lost = np.count_nonzero(found) < np.count_nonzero(about)
    uncovered = placed.whole and seen < found.size
    return None if lost or uncovered else found


def _places(placed: PlacedArray, grid: ImageGrid) -> Iterator[Floats]:
    """Indices of the elements of each slice, shape (3, rows, columns)."""
    firsts, down, right = _steps(placed, grid)
    rows, columns = np.arange(grid.rows), np.arange(grid.columns)
    offsets = down[:, None, None] * rows[:, None] + right[:, None, None] * columns
    for first in firsts:
        yield offsets + first[:, None, None]


def _plane(values: npt.NDArray[Any], place: Floats, order: int) -> npt.NDArray[Any]:
    """Values at places (indices) of a plane; 0 beyond the outer faces of the array's elements."""
    limits = np.array(values.shape)[:, None, None]
    inside = ((place >= -0.5) & (place < limits - 0.5)).all(axis=0)
    if order:
        from scipy import ndimage

        # Between an outermost centre and the face of its element, there is nothing to interpolate with.
        found = ndimage.map_coordinates(values, place, output=np.float64, order=1, mode="nearest")
        return np.where(inside, found, 0.0)
    nearest = np.floor(place + 0.5).astype(np.int64)
    plane = np.zeros(place.shape[1:], dtype=bool)
    plane[inside] = values[tuple(at[inside] for at in nearest)] != 0
    return plane
