"""Which finding counts for which lesion of a case: no lesion counts twice, and no finding counts for two."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from sandbox.scoring.cases import Bools, Floats, Integers

FALSE_POSITIVE: Final = -1
LEFT_OUT: Final = -2
IGNORED: Final = -3
Repeats = Literal["left_out", "false_positive"]
Order = Literal["by_rating", "most_matches"]


def match(
    ratings: Floats,
    merits: Floats,
    *,
    order: Order = "by_rating",
    repeats: Repeats = "left_out",
    ignored: Bools | None = None,
) -> Integers:
    """Match the findings of one case.

    Args:
        ratings: of each finding.
        merits: shape (findings, lesions): how well each hits, NaN where it does not.
        order: ``by_rating``: findings choose in order of falling rating, each the best lesion that is still free (COCO,
            LUNA16); equal ratings choose in order of merit. ``most_matches``: as many matches as can be, and among
            these the largest sum of merits (PI-CAI).
        repeats: what another hit on a lesion that is matched is: left out (PI-CAI, LUNA16), or a false positive (COCO).
        ignored: findings that lie in a region that the reference standard leaves open; one that hits no lesion counts
            for nothing at all, neither as a finding nor as a mark of its case.

    Returns:
        For each finding the lesion that it counts for, or ``FALSE_POSITIVE``, ``LEFT_OUT`` or ``IGNORED``.
    """
    hit = ~np.isnan(merits)
    found = np.full(ratings.size, FALSE_POSITIVE, dtype=np.int64)
    if repeats == "left_out":
        found[hit.any(axis=1)] = LEFT_OUT
    if ignored is not None:
        found[ignored & ~hit.any(axis=1)] = IGNORED
    if not hit.any():
        return found
    if order == "most_matches":
        # More than all merits together, so that another match is worth more than any overlap.
        scale = float(np.nansum(merits)) + 1
        rows, columns = linear_sum_assignment(np.where(hit, merits + scale, 0.0), maximize=True)
        real = hit[rows, columns]
        found[rows[real]] = columns[real]
        return found
    free = np.ones(merits.shape[1], dtype=bool)
    best = np.where(hit, merits, -np.inf)
    for finding in np.lexsort((-best.max(axis=1), -ratings)):
        open_merits = np.where(free, best[finding], -np.inf)
        lesion = int(np.argmax(open_merits))
        if open_merits[lesion] > -np.inf:
            found[finding], free[lesion] = lesion, False
    return found
