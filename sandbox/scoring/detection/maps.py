"""Findings from detection maps: each connected object of one map is a finding, its value the rating (PI-CAI).

Objects are found, and overlaps counted, over the elements of the objects alone: nothing here grows with the number of
objects times the volume.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from sandbox.scoring.cases import Floats, Integers
from sandbox.scoring.detection.marks import CaseMarks
from sandbox.scoring.detection.matching import Order, Repeats, match


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
    places, found, count = objects(detections != 0)
    true_places, true, lesion_count = objects(lesions != 0)
    ratings = np.full(count, -np.inf)
    np.maximum.at(ratings, found, detections.reshape(-1)[places])
    iou = np.zeros((count, lesion_count))
    if count and lesion_count:
        _, ours, theirs = np.intersect1d(places, true_places, assume_unique=True, return_indices=True)
        pairs = found[ours] * lesion_count + true[theirs]
        shared = np.bincount(pairs, minlength=count * lesion_count).reshape(count, lesion_count)
        sizes, true_sizes = np.bincount(found, minlength=count), np.bincount(true, minlength=lesion_count)
        iou = shared / (sizes[:, None] + true_sizes[None, :] - shared)
    return Overlaps(ratings=ratings, iou=iou)


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


def objects(mask: npt.NDArray[np.bool_]) -> tuple[Integers, Integers, int]:
    """Connected objects, across faces, edges and corners, as a list of elements: most of a map is empty.

    Returns:
        Flat index of each element of the mask, rising; the object that it belongs to, from 0; the number of objects.
    """
    places = np.flatnonzero(mask)
    if not places.size:
        return places, places.copy(), 0
    # One layer around the array, so that no neighbour is found across its edge.
    wide = [side + 2 for side in mask.shape]
    number = np.ravel_multi_index([axis + 1 for axis in np.unravel_index(places, mask.shape)], wide)
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=mask.ndim)))
    steps = steps @ np.cumprod([1, *wide[:0:-1]])[::-1]
    pairs = []
    for step in steps[steps > 0]:
        near = np.searchsorted(number, number + step)
        near[near == number.size] = 0
        joined = np.flatnonzero(number[near] == number + step)
        pairs.append((joined, near[joined]))
    first, second = (np.concatenate(each) for each in zip(*pairs, strict=True))
    graph = sparse.coo_matrix((np.ones(first.size, dtype=np.int8), (first, second)), shape=(places.size,) * 2)
    count, labels = connected_components(graph, directed=False)
    return places, labels.astype(np.int64), int(count)
