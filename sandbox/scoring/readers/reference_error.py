"""What a stated error rate of the reference standard does to sensitivity, specificity and AUROC.

Two bands, because what is not known about the errors matters more than their number. ``independent``: errors do
not depend on the algorithm's answer given the truth; then the true values follow from the seen ones (Rogan and
Gladen 1978, Am J Epidemiol 107:71; Staquet et al. 1981; for AUROC the mixture of both classes is undone). ``worst``: as
many labels are wrong as stated, and those that hurt, or help, the algorithm most: no assumption at all, and exact.
Neither is a confidence interval: sampling comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, Floats

ASSUMPTION = (
    "Errors of the reference are independent of the algorithm's answer given the truth, and equally likely in "
    "positive and negative labels."
)

_EXACT_FLIPS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """Values if a share of the labels is wrong; None where no such error rate can be (it exceeds the labels)."""

    error_rate: float
    independent: float | None
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityBand:
    """One endpoint as seen, and over the stated error rates."""

    metric: str
    seen: float
    rates: tuple[Corrected, ...]
    assumption: str


def rogan_gladen(
    called: Bools, reference: Bools, *, reference_sensitivity: float, reference_specificity: float
) -> tuple[float | None, float | None]:
    """Sensitivity and specificity against the truth behind an imperfect reference.

    Args:
        called: what the algorithm calls positive.
        reference: what the reference calls positive.
        reference_sensitivity, reference_specificity: of the reference against the truth.

    Returns:
        Sensitivity and specificity; None where the counts contradict the stated reference.

    Raises:
        ScoringError: a reference that is no better than chance.
    """
    power = reference_sensitivity + reference_specificity - 1
    if power <= 0:
        raise ScoringError(
            "a reference with sensitivity + specificity of 1 or less says nothing about the truth"
        )
    share = float(called.mean())
    both = float((called & reference).mean())
    prevalence = (float(reference.mean()) + reference_specificity - 1) / power
    found = (both - (1 - reference_specificity) * share) / power
    sensitivity = found / prevalence if prevalence > 0 else None
    specificity = 1 - (share - found) / (1 - prevalence) if prevalence < 1 else None
    return _possible(sensitivity), _possible(specificity)


def rate_band(called: Bools, reference: Bools, metric: str, rates: Sequence[float]) -> SensitivityBand:
    """Band of ``sensitivity`` or ``specificity`` over error rates of the labels.

    Args:
        called: what the algorithm calls positive.
        reference: the labels.
        metric: which of both.
        rates: share of labels that are wrong, each 0 to below one half.

    Raises:
        ScoringError: a rate out of range, or a class without a case.
    """
    truth, right = (reference, called) if metric == "sensitivity" else (~reference, ~called)
    _check(rates, reference)
    hits, misses = int((truth & right).sum()), int((truth & ~right).sum())
    others_right, others_wrong = int((~truth & right).sum()), int((~truth & ~right).sum())
    n = reference.size
    return SensitivityBand(
        metric=metric,
        seen=hits / (hits + misses),
        rates=tuple(
            Corrected(
                error_rate=rate,
                independent=_independent_rate(hits, misses, others_right, others_wrong, rate),
                highest=_extreme(hits, misses, others_right, int(rate * n)),
                lowest=1 - _extreme(misses, hits, others_wrong, int(rate * n)),
            )
            for rate in rates
        ),
        assumption=ASSUMPTION,
    )


def auroc_band(score: Floats, reference: Bools, rates: Sequence[float]) -> SensitivityBand:
    """Band of AUROC over error rates of the labels; see :func:`rate_band` for the arguments."""
    _check(rates, reference)
    ranks = stats.rankdata(score)
    seen = _auroc(float(ranks[reference].sum()), int(reference.sum()), reference.size)
    return SensitivityBand(
        metric="auroc",
        seen=seen,
        rates=tuple(
            Corrected(
                error_rate=rate,
                # Labels are wrong at this rate in both classes: the seen excess over 1/2 shrinks by 1 - 2 rate.
                independent=_possible(0.5 + (seen - 0.5) / (1 - 2 * rate)),
                highest=_extreme_auroc(ranks, reference, int(rate * reference.size), sign=1),
                lowest=_extreme_auroc(ranks, reference, int(rate * reference.size), sign=-1),
            )
            for rate in rates
        ),
        assumption=ASSUMPTION,
    )


def _independent_rate(
    hits: int, misses: int, others_right: int, others_wrong: int, rate: float
) -> float | None:
    """Undo the mixing: a share ``rate`` of each class of labels belongs to the other class."""
    positive, negative = hits + misses, others_right + others_wrong
    seen, other = hits / positive, others_right / negative
    # seen = (1-e) s + e f and other = (1-e) f + e s, with f the rate of the same answer in the other class.
    return _possible(((1 - rate) * seen - rate * other) / (1 - 2 * rate))


def _extreme(hits: int, misses: int, others: int, flips: int) -> float:
    """Largest share of hits when at most ``flips`` labels change: misses leave the class, hits join it."""
    left = np.arange(min(flips, misses) + 1)
    joined = np.minimum(flips - left, others)
    size = hits + misses - left + joined
    return float(np.max((hits + joined)[size > 0] / size[size > 0], initial=0.0))


def _extreme_auroc(ranks: Floats, reference: Bools, flips: int, *, sign: int) -> float:
    """Largest (or smallest) AUROC when at most ``flips`` labels change.

    With a labels leaving the positives and b joining them the sizes are fixed, so the rank sum decides: the lowest
    positives leave and the highest negatives join.
    """
    order = np.sort(ranks[reference] * sign), np.sort(ranks[~reference] * sign)[::-1]
    m, n = order[0].size, order[1].size
    left_out = np.concatenate(([0.0], np.cumsum(order[0])))
    joined = np.concatenate(([0.0], np.cumsum(order[1])))
    total = float(order[0].sum())
    best = -np.inf
    for leaving in range(min(flips, m - 1) + 1):
        most = min(flips - leaving, n - 1)
        # Fewer can be better only among tied scores; with very many flips that is left out.
        joining = np.arange(most + 1) if flips <= _EXACT_FLIPS else np.array([most])
        sizes = m - leaving + joining
        sums = (total - left_out[leaving] + joined[joining]) * sign
        values = (sums - sizes * (sizes + 1) / 2) / (sizes * (m + n - sizes))
        best = max(best, float((values * sign).max()))
    return float(best * sign)


def _auroc(rank_sum: float, positives: int, n: int) -> float:
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (n - positives))


def _check(rates: Sequence[float], reference: Bools) -> None:
    if any(not 0 <= rate < 0.5 for rate in rates):
        raise ScoringError("an error rate of the reference must be from 0 to below 0.5")
    if reference.all() or not reference.any():
        raise ScoringError("a sensitivity band needs positive and negative labels")


def _possible(value: float | None) -> float | None:
    # Slightly outside is rounding; clearly outside means that the stated error rate contradicts the counts.
    if value is None or not -1e-9 <= value <= 1 + 1e-9:
        return None
    return min(1.0, max(0.0, value))
