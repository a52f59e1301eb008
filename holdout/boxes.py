"""Boxes as truth: how a table gives them, and how a reference standard keeps them.

A table gives ``left top right bottom`` in pixels from the left upper corner of the image, several boxes of a case apart
by ``;`` or in rows of their own; ``none`` is a case that was looked at and has no lesion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from holdout.errors import MaskError

Box = tuple[float, float, float, float]
NONE = "none"


def read_boxes(text: str) -> tuple[Box, ...]:
    """Read the boxes of a cell.

    Raises:
        ValueError: it is not of the form, or a box has no inside.
    """
    if text.strip() == NONE:
        return ()
    return tuple(_checked([float(part) for part in box.split()]) for box in text.split(";"))


def boxes_text(cells: Iterable[str], boxes: Iterable[Box] = ()) -> str:
    """One line of JSON for all boxes of a case, whatever the order and number of their rows.

    Raises:
        ValueError: a box of ``boxes`` is none.
    """
    boxes = sorted(
        {box for cell in cells for box in read_boxes(cell)} | {_checked(list(box)) for box in boxes}
    )
    return json.dumps({"boxes": boxes}, separators=(",", ":"))


def true_boxes(text: str) -> tuple[Box, ...]:
    """Read what :func:`boxes_text` gives.

    Raises:
        MaskError: it is no list of boxes.
    """
    try:
        return tuple(_checked([float(each) for each in box]) for box in json.loads(text)["boxes"])
    except (ValueError, KeyError, TypeError) as error:
        raise MaskError("A label of the reference standard is no list of boxes.") from error


def _checked(numbers: list[float]) -> Box:
    if len(numbers) != 4 or not all(math.isfinite(each) and each >= 0 for each in numbers):
        raise ValueError("a box is four numbers from 0")
    left, top, right, bottom = numbers
    if not (left < right and top < bottom):
        raise ValueError("a box has no inside")
    return left, top, right, bottom
