"""Passing and Bablok's line between two measurements that both have error: equivariant, without a model of the errors.

Slope: the median of the sizes of the slopes of all pairs of cases, which does not change when the two measurements
change places or units (Passing and Bablok 1988, J Clin Chem Clin Biochem 26:783; Dufey 2020, Int J Biostat 16, for its
derivation from Kendall's tau between y - bx and y + bx). Interval: the slopes at the ranks (N - C) / 2 from either end,
C the normal quantile times sqrt(n (n - 1) (2n + 5) / 18) (Passing and Bablok 1983, J Clin Chem Clin Biochem 21:709).
Intercept: the median of y - bx, its limits those at the limits of the slope.

Two cases of equal reference and value have no slope and are left out; of equal reference alone, an infinite one. The
interval holds for independent cases. Time grows with the square of n, memory does not: up to ``MOST_CASES``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sandbox.scoring.cases import Floats
from sandbox.scoring.estimates import quantile

MOST_CASES: Final = 20_000
"""Beyond this the slopes of all pairs take too long: 0.2 billion of them at this size."""
_BLOCK = 1 << 21
_SAMPLE = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Slope and intercept with their limits; NaN where there is none."""

    slope: float
    slope_low: float
    slope_high: float
    intercept: float
    intercept_low: float
    intercept_high: float


def passing_bablok(reference: Floats, value: Floats, level: float) -> Line:
    """Fit ``value = intercept + slope * reference``.

    Args:
        reference, value: the two measurements of each case, at most ``MOST_CASES``.
        level: two-sided level of the limits.

    Returns:
        All NaN where no two cases differ, or where one measurement falls as the other rises.
    """
    n = reference.size
    slopes, balance = _counted(reference, value)
    if not slopes or balance <= 0:
        return Line(**dict.fromkeys(Line.__dataclass_fields__, math.nan))
    reach = quantile(level) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    first = round((slopes - reach) / 2)
    middle = ((slopes + 1) // 2, slopes // 2 + 1)
    ranks = [*middle, *((first, slopes - first + 1) if first >= 1 else ())]
    found = ranked_slopes(reference, value, ranks, slopes)
    slope = (found[0] + found[1]) / 2
    low, high = (found[2], found[3]) if first >= 1 else (math.nan, math.nan)
    if not math.isfinite(slope):
        return Line(**dict.fromkeys(Line.__dataclass_fields__, math.nan))
    return Line(
        slope=slope,
        slope_low=low,
        slope_high=high,
        intercept=float(np.median(value - slope * reference)),
        intercept_low=_intercept(reference, value, high),
        intercept_high=_intercept(reference, value, low),
    )


def ranked_slopes(reference: Floats, value: Floats, ranks: Sequence[int], slopes: int) -> list[float]:
    """The sizes of slopes at the given ranks (from 1) among those of all pairs, ``slopes`` in number.

    Few are sorted. Of many, a sample of pairs tells where a rank is to be looked for; one walk over all pairs counts
    what lies below and keeps what lies there, equal ones once, and only a sample that misled makes another walk.
    """
    if slopes <= _BLOCK:
        whole = np.sort(np.concatenate(list(_sizes(reference, value))))
        return [float(whole[rank - 1]) for rank in ranks]
    sample = _sampled(reference, value)
    found: dict[int, float] = {}
    spread = 4 / math.sqrt(sample.size)
    while wanted := [rank for rank in ranks if rank not in found]:
        rank = wanted[0]
        low, high = _at(sample, rank / slopes - spread), _at(sample, rank / slopes + spread)
        below, parts = 0, []
        for sizes in _sizes(reference, value):
            below += int(np.count_nonzero(sizes < low))
            parts.append(np.unique(sizes[(sizes >= low) & (sizes <= high)], return_counts=True))
        kept, again = np.unique(np.concatenate([each for each, _ in parts]), return_inverse=True)
        reached = below + np.cumsum(np.bincount(again, np.concatenate([count for _, count in parts])))
        for each in wanted:
            place = int(np.searchsorted(reached, each))
            if below < each and place < kept.size:
                found[each] = float(kept[place])
        spread = 2 * spread
    return [found[rank] for rank in ranks]


def _at(sample: Floats, share: float) -> float:
    """Value of the sorted sample at a share of it; beyond its ends everything."""
    if share <= 0:
        return -math.inf
    return math.inf if share >= 1 else float(sample[int(share * sample.size)])


def _sampled(reference: Floats, value: Floats) -> Floats:
    """Sizes of the slopes of some pairs, sorted: the same pairs for the same cases."""
    generator = np.random.default_rng(reference.size)
    pairs = generator.integers(0, reference.size, (2, _SAMPLE))
    sizes = _slopes(reference[pairs[1]] - reference[pairs[0]], value[pairs[1]] - value[pairs[0]])
    return np.sort(sizes) if sizes.size else np.zeros(1)


def _slopes(across: Floats, up: Floats) -> Floats:
    there = (across != 0) | (up != 0)
    across, up = np.abs(across[there]), np.abs(up[there])
    return np.asarray(np.divide(up, across, out=np.full(up.shape, np.inf), where=across > 0))


def _differences(reference: Floats, value: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Differences of all pairs, some rows at a time."""
    n = reference.size
    step = max(1, _BLOCK // max(1, n))
    for start in range(0, n - 1, step):
        rows = np.arange(start, min(start + step, n - 1))
        later = np.arange(start + 1, n)
        chosen = later[None, :] > rows[:, None]
        yield (
            (reference[later][None, :] - reference[rows][:, None])[chosen],
            (value[later][None, :] - value[rows][:, None])[chosen],
        )


def _sizes(reference: Floats, value: Floats) -> Iterator[Floats]:
    for across, up in _differences(reference, value):
        yield _slopes(across, up)


def _counted(reference: Floats, value: Floats) -> tuple[int, int]:
    """How many pairs have a slope, and how many more rise than fall."""
    slopes = balance = 0
    for across, up in _differences(reference, value):
        slopes += int(np.count_nonzero((across != 0) | (up != 0)))
        balance += int(np.sign(across * up).sum())
    return slopes, balance


def _intercept(reference: Floats, value: Floats, slope: float) -> float:
    return float(np.median(value - slope * reference)) if math.isfinite(slope) else math.nan
