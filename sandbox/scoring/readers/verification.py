"""Sensitivity and specificity when truth is known only for some cases, chosen by the algorithm's answer.

Begg and Greenes 1983 (Biometrics 39:207): given the answer (and declared covariates) whether a case was verified
says nothing more about its truth. Then the truth among verified cases of an answer holds for the unverified
ones. Limits on the logit scale by the delta method, for independent cases. The naive values, over verified cases
alone, stand beside: usually too high a sensitivity and too low a specificity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, Floats
from sandbox.scoring.estimates import expit, quantile

ASSUMPTION = "Among cases with the same answer and covariates, verification does not depend on the truth."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One rate, naive beside corrected."""

    metric: str
    naive: float | None
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationResult:
    """Corrected rates, and how much was verified among called and not called cases."""

    sensitivity: Verified
    specificity: Verified
    prevalence: float
    verified_called: int
    called: int
    verified_not_called: int
    not_called: int
    level: float
    assumption: str


def begg_greenes(
    called: npt.ArrayLike,
    truth: npt.ArrayLike,
    covariate: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> VerificationResult:
    """Correct for partial verification.

    Args:
        called: the algorithm's call of each case, 0/1.
        truth: 1, 0, or NaN where not verified.
        covariate: stratum of each case on which verification may depend too; None for none.
        level: two-sided level.

    Raises:
        ScoringError: an answer (in a stratum) of which no case is verified, or columns of unequal length.
    """
    answer = np.asarray(called).astype(bool)
    known = np.asarray(truth, dtype=np.float64)
    kind = np.zeros(answer.size, dtype=np.int64)
    if covariate is not None:
        kind = np.unique(np.asarray(covariate), return_inverse=True)[1].astype(np.int64)
    if not answer.shape == known.shape == kind.shape or not answer.size:
        raise ScoringError("calls, truth and covariate differ in length, or there is no case")
    cell = 2 * kind + answer
    cells = 2 * (int(kind.max(initial=0)) + 1)
    verified = ~np.isnan(known)
    total = np.bincount(cell, minlength=cells).astype(np.float64)
    checked = np.bincount(cell[verified], minlength=cells).astype(np.float64)
    positive = np.bincount(cell[verified], weights=known[verified], minlength=cells)
    if ((total > 0) & (checked == 0)).any():
        raise ScoringError(
            "no case of some answer was verified, so nothing is known of its truth; verify a random part of them"
        )
    share = np.divide(positive, checked, out=np.zeros(cells), where=checked > 0)
    with_call = np.arange(cells) % 2 == 1
    cases = float(total.sum())
    weights = total / cases
    prevalence = float(weights @ share)
    return VerificationResult(
        sensitivity=_rate(
            "sensitivity", weights, share, checked, cases, with_call, _naive(positive, with_call), level
        ),
        specificity=_rate(
            "specificity",
            weights,
            1 - share,
            checked,
            cases,
            ~with_call,
            _naive(checked - positive, ~with_call),
            level,
        ),
        prevalence=prevalence,
        verified_called=int(checked[with_call].sum()),
        called=int(total[with_call].sum()),
        verified_not_called=int(checked[~with_call].sum()),
        not_called=int(total[~with_call].sum()),
        level=level,
        assumption=ASSUMPTION,
    )


def _naive(counts: npt.NDArray[np.number[Any]], chosen: Bools) -> float | None:
    return float(counts[chosen].sum() / counts.sum()) if counts.sum() > 0 else None


def _rate(
    metric: str,
    weights: Floats,
    share: Floats,
    checked: Floats,
    cases: float,
    hit: Bools,
    naive: float | None,
    level: float,
) -> Verified:
    """Share of the class that is answered rightly: sum of weight times share over hits, against all."""
    inside = float((weights * share)[hit].sum())
    outside = float((weights * share)[~hit].sum())
    if inside + outside <= 0:
        raise ScoringError(f"no verified case of the class that {metric} counts; it cannot be corrected")
    value = inside / (inside + outside)
    if inside == 0 or outside == 0:
        return Verified(metric=metric, naive=naive, value=value, low=0.0, high=1.0)
    # logit(value) = log(inside) - log(outside), by the delta method: the cells are multinomial, the shares binomial.
    slope_weight = np.where(hit, share / inside, -share / outside)
    slope_share = np.where(hit, weights / inside, -weights / outside)
    variance = float(weights @ slope_weight**2 - (weights @ slope_weight) ** 2) / cases
    binomial = np.divide(share * (1 - share), checked, out=np.zeros_like(share), where=checked > 0)
    variance += float(slope_share**2 @ binomial)
    centre, half = math.log(inside / outside), quantile(level) * math.sqrt(variance)
    return Verified(
        metric=metric, naive=naive, value=value, low=expit(centre - half), high=expit(centre + half)
    )
