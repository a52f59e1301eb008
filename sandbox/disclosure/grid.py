"""Rounding to a base or a grid, exactly: a released value and the interval of truths behind it never disagree.

Grids are fractions and halves are rounded up, so that "which counts round to this value" has one answer.
"""

from __future__ import annotations

import math
from fractions import Fraction


def nearest(value: Fraction, step: Fraction) -> int:
    """The number of steps nearest to ``value``; a half goes up."""
    return math.floor(value / step + Fraction(1, 2))


def text_on(value: Fraction, step: Fraction) -> str:
    """``value`` rounded to ``step``, as decimal text with the digits of the step."""
    return steps_text(nearest(value, step), step)


def steps_text(steps: int, step: Fraction) -> str:
    """``steps`` times ``step`` as decimal text, e.g. 17 and 1/20 as ``0.85``; a fraction without end is rounded."""
    digits = 0
    while digits < 6 and (step * 10**digits).denominator != 1:
        digits += 1
    return f"{float(steps * step):.{digits}f}"


def count_behind(steps: int, base: int) -> tuple[int, int]:
    """Smallest and largest whole number that rounds to ``steps`` times ``base``."""
    low = -(-(2 * steps - 1) * base // 2)
    high = -(-(2 * steps + 1) * base // 2) - 1
    return max(0, low), high


def rate_behind(steps: int, step: Fraction) -> tuple[Fraction, Fraction]:
    """Limits of the rates that round to ``steps`` times ``step``: closed below, open above."""
    half = step / 2
    return steps * step - half, steps * step + half
