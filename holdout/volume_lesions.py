"""Lesions in a volume as truth: how a table gives them, and how a reference standard keeps them.

A lesion is a point (x y z), a sphere (x y z diameter) or a box (x y z of its lowest corner, then of its highest) in the
patient's coordinates: LPS, in millimetres (PS3.3 C.7.6.2.1.1). A case has one row for each; ``none`` in place of the
first number is a case that was looked at and has no lesion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from holdout.boxes import NONE
from holdout.errors import MaskError

LesionKind = Literal["points", "spheres", "boxes"]
Lesion = tuple[float, ...]

NUMBERS: Mapping[LesionKind, int] = {"points": 3, "spheres": 4, "boxes": 6}
"""Numbers of a lesion, and so columns of a table, by its kind."""
LEAST = 0.2
"""Least diameter or side in mm: places in answers are kept to a sixteenth of one."""
FARTHEST = 65_535.0
"""Largest coordinate in mm, as in an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeLesions:
    """The lesions of one case, all of one kind."""

    kind: LesionKind
    lesions: tuple[Lesion, ...]

    @property
    def text(self) -> str:
        """One line of JSON, whatever the order of the lesions."""
        listed = sorted(set(self.lesions))
        return json.dumps({"lesions": listed, "kind": self.kind}, separators=(",", ":"))


def read_row(cells: Sequence[str], kind: LesionKind) -> str:
    """The lesion of one row of a table as text: ``none``, or its numbers; '' where every cell is empty.

    Raises:
        ValueError: the cells hold no such lesion.
    """
    if cells[0] == NONE and all(cell in ("", NONE) for cell in cells):
        return NONE
    if not any(cells):
        return ""
    return " ".join(map(repr, checked_lesion([float(cell) for cell in cells], kind)))


def gathered(rows: Iterable[str], kind: LesionKind) -> VolumeLesions:
    """All lesions of a case from what :func:`read_row` gave for its rows."""
    found = (tuple(map(float, row.split())) for row in rows if row != NONE)
    return VolumeLesions(kind=kind, lesions=tuple(sorted(set(found))))


def volume_lesions(text: str) -> VolumeLesions:
    """Read what :attr:`VolumeLesions.text` gives.

    Raises:
        MaskError: it is no list of lesions in a volume.
    """
    try:
        content = json.loads(text)
        kind: LesionKind = content["kind"]
        if kind not in get_args(LesionKind):
            raise ValueError("no such kind")
        lesions = tuple(
            checked_lesion([float(each) for each in lesion], kind) for lesion in content["lesions"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MaskError("A label of the reference standard is no list of lesions in a volume.") from error
    return VolumeLesions(kind=kind, lesions=lesions)


def checked_lesion(numbers: Sequence[float], kind: LesionKind) -> Lesion:
    """The numbers as a lesion.

    Raises:
        ValueError: they are too few or too many, beyond every patient, or have no inside.
    """
    if len(numbers) != NUMBERS[kind] or not all(math.isfinite(n) and abs(n) <= FARTHEST for n in numbers):
        raise ValueError(f"a lesion of {kind} is {NUMBERS[kind]} numbers in mm")
    if kind == "spheres" and numbers[3] < LEAST:
        raise ValueError(f"a diameter is at least {LEAST} mm")
    if kind == "boxes" and any(
        high - low < LEAST for low, high in zip(numbers[:3], numbers[3:], strict=True)
    ):
        raise ValueError(f"a side of a box is at least {LEAST} mm")
    return tuple(map(float, numbers))
