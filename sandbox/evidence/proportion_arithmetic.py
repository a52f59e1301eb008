"""Wilson's interval and equality of numbers, with the standard library alone, for whoever recomputes results."""

from __future__ import annotations

import math
from statistics import NormalDist

TOLERANCE = 1e-9


def wilson(successes: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's score interval of ``successes`` in ``n`` trials."""
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    p = successes / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return (0.0 if p == 0 else max(0.0, centre - half)), (1.0 if p == 1 else min(1.0, centre + half))


def equal(a: float | None, b: float | None) -> bool:
    """Whether two numbers agree to nine digits; None only equals None."""
    if a is None or b is None:
        return a is b
    return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))
