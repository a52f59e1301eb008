"""Panoptic quality of the separate objects of two masks (Kirillov et al. 2019, CVPR, section 4).

An object is a connected component (across faces, edges and corners). Two objects match when their IoU is more than
one half: then no object can match two, and the order of matching decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from holdout.mask_runs import Mask

_HALF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Objects of one case, or of many added up: matches, the sum of their IoU, false alarms and misses."""

    matched: int
    iou_sum: float
    false_positive: int
    missed: int

    @property
    def segmentation_quality(self) -> float:
        """SQ: mean IoU of the matches; NaN without any."""
        return self.iou_sum / self.matched if self.matched else float("nan")

    @property
    def recognition_quality(self) -> float:
        """RQ, the F1 of finding objects; NaN where there is no object."""
        whole = self.matched + (self.false_positive + self.missed) / 2
        return self.matched / whole if whole else float("nan")

    @property
    def panoptic_quality(self) -> float:
        """PQ = SQ x RQ; NaN where there is no object."""
        whole = self.matched + (self.false_positive + self.missed) / 2
        return self.iou_sum / whole if whole else float("nan")


def count_objects(mask: Mask) -> int:
    """Number of connected components, across faces, edges and corners."""
    return int(ndimage.label(mask, np.ones((3,) * mask.ndim, dtype=bool))[1])


def instances(reference: Mask, answer: Mask) -> Instances:
    """Match the connected components of two masks of one shape."""
    structure = np.ones((3,) * reference.ndim, dtype=bool)
    ours, count = ndimage.label(reference, structure)
    theirs, answered = ndimage.label(answer, structure)
    # Counts of (object, object) pairs over the elements that lie in any of them.
    inside = reference | answer
    pair = ours[inside].astype(np.int64) * (answered + 1) + theirs[inside]
    codes, sizes = np.unique(pair, return_counts=True)
    first, second = np.divmod(codes, answered + 1)
    our_sizes = np.bincount(first, sizes, minlength=count + 1)
    their_sizes = np.bincount(second, sizes, minlength=answered + 1)
    both = (first > 0) & (second > 0)
    shared = sizes[both]
    iou = shared / (our_sizes[first[both]] + their_sizes[second[both]] - shared)
    hit = iou > _HALF
    matched = int(np.count_nonzero(hit))
    return Instances(
        matched=matched,
        iou_sum=float(iou[hit].sum()),
        false_positive=int(answered) - matched,
        missed=int(count) - matched,
    )
