"""Distances between the borders of two masks, in physical units: one definition, named.

Family: voxel border. The border of a mask is each of its elements that has a neighbour outside of the mask across a
face (4 neighbours in 2-D, 6 in 3-D); beyond the array's edge is outside. A border element stands at its centre, and
each counts as one, whatever area of surface it carries. That is the family of MONAI (without sub-voxels) and of
MetricsReloaded; it is not that of DeepMind's surface-distance, which weighs surface elements by their area and gives
other numbers for the same masks.

The nearest border element is found in a k-d tree of the other border. The distances equal those of a Euclidean
distance transform, and memory grows with the borders alone, not with the box around them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from holdout.mask_runs import Mask
from sandbox.scoring.cases import Floats

METHOD = "voxel-border"
_PERCENTILE = 95.0
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Surfaces:
    """Distances from each border element of one mask to the nearest of the other, both ways; both not empty."""

    reference_to_answer: Floats
    answer_to_reference: Floats

    @property
    def hausdorff_95(self) -> float:
        """The larger of the two directed 95th percentiles (linear between ranks), as MetricsReloaded and MONAI."""
        return max(
            float(np.percentile(each, _PERCENTILE))
            for each in (self.reference_to_answer, self.answer_to_reference)
        )

    @property
    def hausdorff(self) -> float:
        """The largest distance."""
        return max(float(self.reference_to_answer.max()), float(self.answer_to_reference.max()))

    @property
    def average_symmetric(self) -> float:
        """ASSD: the mean over the elements of both borders together (Heimann 2009, IEEE TMI 28:1251)."""
        total = self.reference_to_answer.sum() + self.answer_to_reference.sum()
        return float(total / (self.reference_to_answer.size + self.answer_to_reference.size))

    def normalised_dice(self, tolerance: float) -> float:
        """NSD: the share of both borders' elements within ``tolerance`` of the other (Nikolov 2021, JMIR 23:e26151).

        A distance of exactly the tolerance is within it.
        """
        limit = tolerance * (1 + _ROUNDING)
        near = np.count_nonzero(self.reference_to_answer <= limit)
        near += np.count_nonzero(self.answer_to_reference <= limit)
        return float(near / (self.reference_to_answer.size + self.answer_to_reference.size))


def surfaces(reference: Mask, answer: Mask, spacing: Sequence[float]) -> Surfaces:
    """Measure the distances between two borders.

    Args:
        reference, answer: masks of one shape, neither of them empty.
        spacing: distance between neighbouring elements along each axis of the arrays.
    """
    ours, theirs = (border(mask) * np.asarray(spacing, dtype=np.float64) for mask in (reference, answer))
    return Surfaces(reference_to_answer=_nearest(ours, theirs), answer_to_reference=_nearest(theirs, ours))


def border(mask: Mask) -> Floats:
    """Indices of the border elements, shape (elements, dimensions)."""
    box = bounding_box(mask)
    if box is None:
        return np.empty((0, mask.ndim))
    inner = np.pad(mask[box], 1)
    core = inner.copy()
    for axis in range(mask.ndim):
        # np.pad left a layer of outside, so that what rolls over the edge is outside too.
        core &= np.roll(inner, 1, axis)
        core &= np.roll(inner, -1, axis)
    found = np.argwhere(inner & ~core).astype(np.float64)
    first: Floats = np.array([side.start - 1 for side in box], dtype=np.float64)
    moved: Floats = found + first
    return moved


def bounding_box(mask: Mask) -> tuple[slice, ...] | None:
    """The smallest box that holds all of the mask; None where it is empty."""
    sides = []
    inside: Mask = mask
    for _ in range(mask.ndim):
        # Each axis is looked for within what the axes before have left.
        others = tuple(range(1, inside.ndim))
        found = np.flatnonzero(inside.any(axis=others) if others else inside)
        if not found.size:
            return None
        sides.append(slice(int(found[0]), int(found[-1]) + 1))
        inside = np.asarray(inside[sides[-1]].any(axis=0))
    return tuple(sides)


def farthest(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """The largest distance that two elements of an array can have: what a miss counts."""
    return math.sqrt(sum(((side - 1) * step) ** 2 for side, step in zip(shape, spacing, strict=True)))


def _nearest(points: Floats, others: Floats) -> Floats:
    distances, _ = cKDTree(others, balanced_tree=False, compact_nodes=False).query(points)
    return np.asarray(distances, dtype=np.float64)
