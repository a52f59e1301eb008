"""What one case of a segmentation is worth: overlap, distances, volumes, and what an empty mask counts.

Rules, the same for each metric, so that a structure that was missed can improve no mean:

- Both masks empty: right. Overlaps are 1 and distances 0; or the case enters no mean, where the protocol says so.
- One of them empty: wrong. Overlaps are 0, and distances the largest that the image allows (its diagonal).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from holdout.mask_runs import Mask
from sandbox.scoring.segmentation.surface import bounding_box, farthest, surfaces

BothEmpty = Literal["right", "excluded"]
METRICS = ("dice", "iou", "nsd", "hd95", "assd")
LARGE_IS_BAD = frozenset({"hd95", "assd"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """One case: overlaps from 0 to 1, distances in the spacing's unit, volumes (areas) in its power."""

    dice: float
    iou: float
    nsd: float
    hd95: float
    assd: float
    reference_volume: float
    answer_volume: float


def score_masks(
    reference: Mask,
    answer: Mask,
    spacing: Sequence[float],
    *,
    tolerance: float,
    both_empty: BothEmpty = "right",
) -> MaskScore:
    """Compare two masks on one grid.

    Args:
        reference, answer: masks of one shape, (rows, columns) or (slices, rows, columns).
        spacing: distance between neighbouring elements along each axis, in the order of the axes.
        tolerance: border distance that the normalised surface Dice forgives, in the spacing's unit.
        both_empty: ``excluded`` gives NaN for overlaps and distances of two empty masks.

    Raises:
        ValueError: the shapes differ, or the spacing is not a positive number for each axis.
    """
    if reference.shape != answer.shape:
        raise ValueError("masks on two grids are never compared by index; resample or refuse them")
    if len(spacing) != reference.ndim or not all(0 < step < math.inf for step in spacing):
        raise ValueError("the spacing is not a positive number for each axis")
    element = math.prod(spacing)
    boxes = [bounding_box(mask) for mask in (reference, answer)]
    known = [box for box in boxes if box is not None]
    if not known:
        right = 1.0 if both_empty == "right" else math.nan
        away = 0.0 if both_empty == "right" else math.nan
        return _made((right, right, right, away, away), (0.0, 0.0))
    # Nothing outside of the box around both masks changes a number.
    box = tuple(
        slice(min(each.start for each in sides), max(each.stop for each in sides))
        for sides in zip(*known, strict=True)
    )
    ours, theirs = reference[box], answer[box]
    counts = int(np.count_nonzero(ours)), int(np.count_nonzero(theirs))
    volumes = counts[0] * element, counts[1] * element
    if len(known) == 1:
        diagonal = farthest(reference.shape, spacing)
        return _made((0.0, 0.0, 0.0, diagonal, diagonal), volumes)
    shared = int(np.count_nonzero(ours & theirs))
    found = surfaces(ours, theirs, spacing)
    return _made(
        (
            2 * shared / sum(counts),
            shared / (sum(counts) - shared),
            found.normalised_dice(tolerance),
            found.hausdorff_95,
            found.average_symmetric,
        ),
        volumes,
    )


def _made(values: tuple[float, float, float, float, float], volumes: tuple[float, float]) -> MaskScore:
    dice, iou, nsd, hd95, assd = values
    return MaskScore(
        dice=dice,
        iou=iou,
        nsd=nsd,
        hd95=hd95,
        assd=assd,
        reference_volume=volumes[0],
        answer_volume=volumes[1],
    )
