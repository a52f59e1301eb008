"""When a finding hits a lesion: by the overlap of boxes, by its centre, or by distance; each a declared rule.

Boxes have shape (boxes, 2 x dimensions): the lowest corner along each axis, then the highest. Points have shape
(points, dimensions). A merit says which of several hits is best; where there is none it is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sandbox.scoring.cases import Floats


def boxes_by_iou(findings: Floats, lesions: Floats, least: float) -> Floats:
    """Merits by intersection over union, a hit being at least ``least``; shape (findings, lesions).

    Areas are of the continuous boxes: a box from 2 to 5 is 3 wide (no pixel is added, as COCO and unlike VOC 2007).
    """
    half = findings.shape[1] // 2
    low = np.maximum(findings[:, None, :half], lesions[None, :, :half])
    high = np.minimum(findings[:, None, half:], lesions[None, :, half:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    sizes = [(each[:, half:] - each[:, :half]).prod(axis=1) for each in (findings, lesions)]
    union = sizes[0][:, None] + sizes[1][None, :] - shared
    iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return np.where((iou >= least) & (iou > 0), iou, np.nan)


def points_in_boxes(points: Floats, lesions: Floats) -> Floats:
    """Merits of points inside of boxes, edges included: the nearer to the centre the better."""
    half = lesions.shape[1] // 2
    low, high = lesions[None, :, :half], lesions[None, :, half:]
    inside = ((points[:, None] >= low) & (points[:, None] <= high)).all(axis=2)
    away = np.linalg.norm(points[:, None] - (low + high) / 2, axis=2)
    return np.where(inside, 1 / (1 + away), np.nan)


def points_by_distance(
    points: Floats, lesions: Floats, most: Floats | float, spacing: Sequence[float]
) -> Floats:
    """Merits of points at most ``most`` away from lesions' centres; a number, or a radius for each lesion (LUNA16)."""
    away = np.linalg.norm((points[:, None] - lesions[None]) * np.asarray(spacing, dtype=np.float64), axis=2)
    return np.where(away <= most, 1 / (1 + away), np.nan)


def centres(boxes: Floats) -> Floats:
    """Centre of each box."""
    half = boxes.shape[1] // 2
    return (boxes[:, :half] + boxes[:, half:]) / 2
