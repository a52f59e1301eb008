"""Findings in Grand Challenge's own form: bounding boxes and points in the patient's millimetres, as JSON.

Only the types with a probability for each finding are read; others hold nothing that could rank them. Source: the
platform's annotation schemas ("Multiple 2D bounding boxes", "Multiple points"), version 1.0. A box has four corners, a
point one place, each with three coordinates in the coordinates of the image that was handed in (LPS, millimetres).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runners.answers import FindingsForm
from runners.contracts.staged_case import StagedCase
from runners.failures import CaseFailed, FailureCode

BOXES, POINTS = "Multiple 2D bounding boxes", "Multiple points"
_HALF = 0.5
_MOST = 10_000


def is_annotation(value: object) -> bool:
    """Whether ``value`` says that it has one of these types."""
    return isinstance(value, dict) and value.get("type") in (BOXES, POINTS)


def findings_of(value: dict[str, Any], staged: StagedCase, form: FindingsForm) -> dict[str, list[float]]:
    """The findings in the agreed form, and their scores.

    Points in a volume stay as they are. As boxes in an image they are in pixels from its left upper corner: a point is
    the box of one pixel about it, and corners beyond the left or upper edge are moved to it.

    Raises:
        CaseFailed: GARBAGE, it is not of the form, or of a type that has no such places; STAGING_FAILED, the case is
            not one plane with a known grid.
    """
    if form.in_volume and (form.form, value["type"]) != ("points_in_volume", POINTS):
        raise CaseFailed(FailureCode.GARBAGE, "an annotation of this type has no places of the agreed form")
    key, places = ("boxes", "corners") if value["type"] == BOXES else ("points", "point")
    listed = value.get(key)
    if not isinstance(listed, list) or len(listed) > _MOST:
        raise CaseFailed(FailureCode.GARBAGE, "an annotation does not list its findings")
    corners: list[tuple[float, ...]] = []
    scores: list[float] = []
    each = 4 if value["type"] == BOXES else 1
    for found in listed:
        if not isinstance(found, dict):
            raise CaseFailed(FailureCode.GARBAGE, "a finding of an annotation is no object")
        own = found.get(places)
        points = own if value["type"] == BOXES else [own]
        if not isinstance(points, list) or len(points) != each or not all(map(_is_point, points)):
            raise CaseFailed(FailureCode.GARBAGE, "a finding of an annotation has no place")
        if not _is_number(found.get("probability")):
            raise CaseFailed(FailureCode.GARBAGE, "a finding of an annotation has no probability")
        corners += [tuple(map(float, point)) for point in points]
        scores.append(float(found["probability"]))
    if form.in_volume:
        return {"points": [axis for corner in corners for axis in corner], "scores": scores}
    reader, grid = staged.placed()
    pixels = reader.pixels(grid, corners)
    boxes: list[float] = []
    for index in range(len(scores)):
        boxes += _box(pixels[each * index : each * (index + 1)])
    return {"boxes": boxes, "scores": scores}


def _box(pixels: Sequence[tuple[float, float]]) -> list[float]:
    x, y = zip(*pixels, strict=True)
    # A place in millimetres is that of a pixel's centre, which is half a pixel from the corner that boxes count from.
    left, top, right, bottom = min(x) + _HALF, min(y) + _HALF, max(x) + _HALF, max(y) + _HALF
    if len(pixels) == 1:
        left, top, right, bottom = left - _HALF, top - _HALF, right + _HALF, bottom + _HALF
    return [max(0.0, left), max(0.0, top), right, bottom]


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
