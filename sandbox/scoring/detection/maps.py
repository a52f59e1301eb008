"""Findings from detection maps: each connected object of one map is a finding, its value the rating (PI-CAI).

Objects are found in the box around what is not 0, and overlaps are counted over the elements of the objects alone:
nothing here grows with the number of objects times the volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from sandbox.scoring.cases import Floats
from sandbox.scoring.detection.marks import CaseMarks
from sandbox.scoring.detection.matching import Order, Repeats, match
from sandbox.scoring.segmentation.surface import bounding_box


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaps:
    """Ratings of the findings of a map, and the IoU of each with each lesion, shape (findings, lesions)."""

    ratings: Floats
    iou: Floats


def map_overlaps(detections: npt.NDArray[np.floating], lesions: npt.NDArray[np.generic]) -> Overlaps:
    """Compare a detection map with a map of lesions (not 0) of the same shape.

    The rating of an object is its highest value. Touching objects of different value are one.

    Raises:
        ValueError: the shapes differ.
    """
    if detections.shape != lesions.shape:
        raise ValueError("a detection map and its reference on two grids are never compared by index")
    found, ratings = _labels(detections != 0)
    true, count = _labels(lesions != 0)
    if found is None:
        return Overlaps(ratings=np.empty(0), iou=np.empty((0, count)))
    box, labels = found
    values = ndimage.maximum(detections[box], labels, np.arange(1, ratings + 1))
    iou = np.zeros((ratings, count))
    if true is not None:
        true_box, true_labels = true
        sizes = np.bincount(labels.ravel(), minlength=ratings + 1)[1:]
        true_sizes = np.bincount(true_labels.ravel(), minlength=count + 1)[1:]
        common = tuple(
            slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, true_box, strict=True)
        )
        if all(side.start < side.stop for side in common):
            ours, theirs = (
                each[
                    tuple(
                        slice(c.start - b.start, c.stop - b.start) for c, b in zip(common, own, strict=True)
                    )
                ]
                for each, own in ((labels, box), (true_labels, true_box))
            )
            both = (ours > 0) & (theirs > 0)
            pairs = (ours[both].astype(np.int64) - 1) * count + theirs[both] - 1
            shared = np.bincount(pairs, minlength=ratings * count).reshape(ratings, count)
            iou = shared / (sizes[:, None] + true_sizes[None, :] - shared)
    return Overlaps(ratings=np.asarray(values, dtype=np.float64), iou=iou)


def case_of_maps(
    detections: npt.NDArray[np.floating],
    lesions: npt.NDArray[np.generic],
    *,
    least: float = 0.1,
    order: Order = "most_matches",
    repeats: Repeats = "left_out",
) -> CaseMarks:
    """Match the findings of a detection map; a hit is an IoU of at least ``least``.

    Raises:
        ValueError: the shapes differ.
    """
    overlaps = map_overlaps(detections, lesions)
    merits = np.where((overlaps.iou >= least) & (overlaps.iou > 0), overlaps.iou, np.nan)
    matched = match(overlaps.ratings, merits, order=order, repeats=repeats)
    return CaseMarks(ratings=overlaps.ratings, matched=matched, lesions=overlaps.iou.shape[1])


def _labels(
    mask: npt.NDArray[np.bool_],
) -> tuple[tuple[tuple[slice, ...], npt.NDArray[np.int32]] | None, int]:
    """The box around a mask and its labelled objects there, and their number."""
    box = bounding_box(mask)
    if box is None:
        return None, 0
    labels, count = ndimage.label(mask[box], np.ones((3,) * mask.ndim, dtype=bool))
    return (box, labels), int(count)
