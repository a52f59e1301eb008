"""Names of levels: bands into which a number is cut, and crossings; one spelling everywhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

CROSS = " x "
"""Joins attributes, and levels, of a crossing."""


def band_names(edges: Sequence[float]) -> tuple[str, ...]:
    """Name the bands between ``edges``: closed below and open above, the last closed on both sides."""
    last = len(edges) - 2
    return tuple(
        f"{low:g} to {high:g}" if index == last else f"{low:g} to <{high:g}"
        for index, (low, high) in enumerate(itertools.pairwise(edges))
    )
