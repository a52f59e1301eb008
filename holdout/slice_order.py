"""The order in which the files of one case are shown: slice after slice, as they lie in the patient.

Instance Number (0020,0013) identifies an image within its series and promises nothing about places (PS3.3, C.7.6.1),
so places come first: the distance of a slice along the normal of its plane (PS3.3, C.7.6.2.1.1). Where that does not
tell slices apart (localisers in several planes, several phases of one place, no geometry at all), their numbers do.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SAME_DIRECTION = 1e-3
_SAME_PLACE = 1e-2
"""Millimetres; positions are written with rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One file of a case: ``position`` and ``orientation`` as the attributes have them, in millimetres; or None."""

    path: str
    series: str
    number: int | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None


def numbers(text: str, count: int) -> tuple[float, ...] | None:
    """Read a decimal string of ``count`` finite values; None when it is not one."""
    try:
        values = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def whole_number(text: str) -> int | None:
    """Read an integer string (PS3.5, 6.2: IS, which may have a sign); None when it is not one."""
    digits = text.removeprefix("-").removeprefix("+")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 12 else None


def in_order(slices: Iterable[Slice]) -> list[str]:
    """Paths by series and, within one, by place along the normal of its slices, else by number."""
    by_series: dict[str, list[Slice]] = defaultdict(list)
    for each in slices:
        by_series[each.series].append(each)
    ordered: list[str] = []
    for series in sorted(by_series):
        members = sorted(by_series[series], key=_by_number)
        places = _places(members)
        if places is not None:
            members = [
                member for _, member in sorted(zip(places, members, strict=True), key=lambda each: each[0])
            ]
        ordered += [member.path for member in members]
    return ordered


def _by_number(item: Slice) -> tuple[bool, int, str]:
    return item.number is None, item.number or 0, item.path


def _places(slices: Sequence[Slice]) -> list[float] | None:
    """Distance of each slice along their common normal; None when they are not parallel or share a place."""
    first = slices[0].orientation
    if first is None:
        return None
    normal = _normal(first)
    places: list[float] = []
    for each in slices:
        if each.position is None or each.orientation is None:
            return None
        if any(
            abs(mine - theirs) > _SAME_DIRECTION for mine, theirs in zip(each.orientation, first, strict=True)
        ):
            return None
        places.append(sum(part * along for part, along in zip(each.position, normal, strict=True)))
    if any(later - earlier < _SAME_PLACE for earlier, later in pairwise(sorted(places))):
        return None
    return places


def _normal(orientation: tuple[float, ...]) -> tuple[float, float, float]:
    """Cross product of the directions of a row and of a column."""
    a, b, c, d, e, f = orientation
    return b * f - c * e, c * d - a * f, a * e - b * d
