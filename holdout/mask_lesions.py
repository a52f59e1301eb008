"""Separate objects of a mask as lesions in the patient's millimetres.

Objects hang together across faces, edges and corners. A point is the mean of the centres of an object's elements; a
sphere has that centre and the object's volume; a box goes from the lowest to the highest corner of its elements along
each axis of the patient, so that on slices that stand askew it is larger than the object.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from holdout.image_grid import Floats, ImageGrid
from holdout.image_reading import ImageDefect
from holdout.mask_runs import Mask
from holdout.volume_lesions import LesionKind, VolumeLesions, checked_lesion


def mask_lesions(mask: Mask, grid: ImageGrid, kind: LesionKind) -> VolumeLesions:
    """The objects of a mask of the shape (slices, rows, columns).

    Raises:
        ImageDefect: the images do not say where they lie, or how large an element is.
    """
    if not grid.placed or grid.gap is None or grid.spacing is None or grid.positions is None:
        raise ImageDefect(
            "its images do not lie evenly in the patient, so that the size of an object in mm is not known"
        )
    row, column = grid.axes[1] * grid.spacing[0], grid.axes[0] * grid.spacing[1]
    through = grid.axes[2] * grid.gap
    positions = np.asarray(grid.positions, dtype=np.float64)
    half = (np.abs(row) + np.abs(column) + np.abs(through)) / 2
    element = grid.spacing[0] * grid.spacing[1] * grid.gap
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3), dtype=bool))
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        slices, rows, columns = (
            at + part.start for at, part in zip(np.nonzero(labels[place] == number), place, strict=True)
        )
        centres = positions[slices] + rows[:, None] * row + columns[:, None] * column
        found.append(checked_lesion(_lesion(centres, half, element, kind), kind))
    return VolumeLesions(kind=kind, lesions=tuple(found))


def _lesion(centres: Floats, half: Floats, element: float, kind: LesionKind) -> list[float]:
    """The numbers of one lesion, to a thousandth of a millimetre, from the centres of its elements (n, 3)."""
    if kind == "boxes":
        numbers = [*(centres.min(axis=0) - half), *(centres.max(axis=0) + half)]
    elif kind == "spheres":
        numbers = [*centres.mean(axis=0), math.cbrt(6 * len(centres) * element / math.pi)]
    else:
        numbers = [*centres.mean(axis=0)]
    return [round(float(number), 3) for number in numbers]
