"""AUROC within strata of a covariate, averaged over the mix of the positives.

Janes and Pepe 2009 (Biometrika 96:371): the covariate-adjusted AUROC is the mean over positives of their
placement among the negatives of the same covariate value. Where a covariate (scanner, age band) is tied to
both score and disease, the pooled AUROC credits the algorithm with reading the covariate; this one does not.
Variance: the contributions of positives and negatives, summed by patient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.scoring.cases import Floats, Integers, ScoredCases
from sandbox.scoring.estimates import logit_interval
from sandbox.scoring.roc import pair_variance, win_shares


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedAuroc:
    """AUROC pooled beside adjusted.

    Attributes:
        pooled: over all cases whatever the covariate.
        value: adjusted; None when no stratum has positives and negatives.
        positives_left_out: positives in strata without a negative, which have no placement.
        strata: name, positives, negatives and AUROC (None without both classes) of each stratum.
    """

    pooled: float | None
    value: float | None
    low: float | None
    high: float | None
    positives: int
    positives_left_out: int
    strata: tuple[tuple[str, int, int, float | None], ...]
    level: float
    method: str
    reason: str | None


def adjusted_auroc(
    cases: ScoredCases, covariate: Integers, names: Sequence[str], level: float = 0.95
) -> AdjustedAuroc:
    """Estimate the covariate-adjusted AUROC.

    Args:
        cases: in order of rising score.
        covariate: stratum code of each case, in the same order.
        names: names of the codes.
        level: two-sided level of the interval.
    """
    rows: list[tuple[str, int, int, float | None]] = []
    placements, patients, others, other_patients = [], [], [], []
    left_out = 0
    for code, name in enumerate(names):
        part = cases.where(np.flatnonzero(covariate == code))
        wins_positive, wins_negative = win_shares(part)
        both = bool(wins_positive.size and wins_negative.size)
        rows.append((name, part.positives, part.negatives, float(wins_positive.mean()) if both else None))
        if not both:
            left_out += part.positives
            continue
        placements.append(wins_positive)
        patients.append(part.patient[part.reference])
        # A negative counts by how many positives it is compared with.
        others.append((wins_negative - wins_positive.mean()) * part.positives / part.negatives)
        other_patients.append(part.patient[~part.reference])
    pooled_wins, _ = win_shares(cases)
    pooled = float(pooled_wins.mean()) if cases.positives and cases.negatives else None
    used = sum(part.size for part in placements)
    value = low = high = None
    reason = None
    if used:
        values: Floats = np.concatenate(placements)
        value = float(values.mean())
        variance = pair_variance(
            (values - value) / used,
            np.concatenate(others) / used,
            np.concatenate(patients),
            np.concatenate(other_patients),
        )
        if variance is not None and variance > 0 and 0 < value < 1:
            low, high = logit_interval(value, math.sqrt(variance), level)
        else:
            reason = "The data show no variation to make an interval from."
    else:
        reason = "No stratum of the covariate has both positives and negatives: not adjustable."
    return AdjustedAuroc(
        pooled=pooled,
        value=value,
        low=low,
        high=high,
        positives=used,
        positives_left_out=left_out,
        strata=tuple(rows),
        level=level,
        method="janes-pepe-stratified-logit",
        reason=reason,
    )
