"""How wide intervals will be, and how many cases it takes, from counts and a conjectured value.

Proportions exactly, by summing over the binomial outcomes of the very interval that scoring uses; the lower bound
after Flahault, Cadilhac and Thomas 2005 (J Clin Epidemiol 58:859), without their normal step. AUROC: Hanley and McNeil
1982 (Radiology 143:29), from negative exponential scores, or Obuchowski 1994 (Stat Med 13:1533), from binormal
ones and a third larger than that of the empirical AUROC; intervals on the logit scale as in scoring. Clusters:
design effect 1 + (m - 1) rho.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.estimates import logit_interval, quantile
from sandbox.scoring.proportions import ProportionMethod, proportion_interval

AurocModel = Literal["hanley-mcneil", "obuchowski"]
MOST_CASES = 10_000_000


def design_effect(cases_per_patient: float, correlation: float) -> float:
    """By how much patients with several cases inflate a variance."""
    return 1 + (cases_per_patient - 1) * correlation


def expected_width(
    value: float, n: float, level: float = 0.95, method: ProportionMethod = "wilson"
) -> float | None:
    """Expected width of a proportion's interval when its true value is ``value``; None without a case.

    ``n`` may be effective, that is divided by a design effect.
    """
    size = math.floor(n)
    if size < 1:
        return None
    x, mass = _outcomes(value, size)
    low, high = proportion_interval(x, np.full(x.size, float(size)), level, method)
    return float(mass @ (high - low) / mass.sum())


def chance_of_clearing(
    value: float, margin: float, n: float, level: float = 0.95, method: ProportionMethod = "wilson"
) -> float:
    """Probability that the lower limit of a proportion's two-sided interval is above ``margin``."""
    size = math.floor(n)
    if size < 1:
        return 0.0
    x, mass = _outcomes(value, size)
    low, _ = proportion_interval(x, np.full(x.size, float(size)), level, method)
    return float(min(1.0, mass[low > margin].sum()))


def cases_for_bound(
    value: float,
    margin: float,
    power: float,
    level: float = 0.95,
    method: ProportionMethod = "wilson",
) -> int:
    """Fewest cases from which on the lower limit clears ``margin`` with at least ``power``.

    Power is a saw-tooth in the number of cases; the number given is safe for every larger one too.

    Raises:
        ScoringError: a value that is not above the margin.
    """
    _check(value, margin, power)
    z = quantile(level) + float(stats.norm.ppf(power))
    guess = z**2 * value * (1 - value) / (value - margin) ** 2
    top = min(MOST_CASES, int(4 * guess) + 200)
    while chance_of_clearing(value, margin, top, level, method) < power:
        top *= 2
        if top > MOST_CASES:
            raise ScoringError(
                "it takes more cases than could ever be gathered; the value is too close to the margin"
            )
    step = max(1, top // 4000)
    last = 0
    for n in range(top, 0, -step):
        if chance_of_clearing(value, margin, n, level, method) < power:
            last = n
            break
    for n in range(min(top, last + step), last, -1):
        if chance_of_clearing(value, margin, n, level, method) < power:
            return n + 1
    return last + 1


def auroc_variance(
    value: float, positives: float, negatives: float, model: AurocModel = "hanley-mcneil"
) -> float:
    """Variance of an AUROC before any score is seen.

    Raises:
        ScoringError: a value outside (0, 1), or a class without a case.
    """
    if not 0 < value < 1 or positives < 1 or negatives < 1:
        raise ScoringError(
            "the variance of an AUROC needs a value between 0 and 1, and cases of both classes"
        )
    if model == "hanley-mcneil":
        first, second = value / (2 - value), 2 * value**2 / (1 + value)
        parts = (
            value * (1 - value) + (positives - 1) * (first - value**2) + (negatives - 1) * (second - value**2)
        )
        return parts / (positives * negatives)
    # Obuchowski gives the variance for m positives and kappa m negatives, with the binormal separation A.
    a, kappa = 1.414 * float(stats.norm.ppf(value)), negatives / positives
    return 0.0099 * math.exp(-(a**2) / 2) * ((5 * a**2 + 8) + (a**2 + 8) / kappa) / positives


def auroc_width(
    value: float,
    positives: float,
    negatives: float,
    level: float = 0.95,
    model: AurocModel = "hanley-mcneil",
) -> float | None:
    """Expected width of an AUROC's interval on the logit scale; None without both classes."""
    if min(positives, negatives) < 2:
        return None
    low, high = logit_interval(value, math.sqrt(auroc_variance(value, positives, negatives, model)), level)
    return high - low


def positives_for_auroc_bound(
    value: float,
    margin: float,
    power: float,
    negatives_per_positive: float,
    level: float = 0.95,
    model: AurocModel = "hanley-mcneil",
) -> int:
    """Fewest positives with which the lower limit of an AUROC clears ``margin`` with ``power``; normal on the logit.

    Raises:
        ScoringError: a value that is not above the margin.
    """
    _check(value, margin, power)
    reach = quantile(level) + float(stats.norm.ppf(power))
    distance = math.log(value / (1 - value)) - math.log(margin / (1 - margin))
    wanted = (distance / reach * value * (1 - value)) ** 2
    low, high = 1, 2
    while auroc_variance(value, high, max(1.0, high * negatives_per_positive), model) > wanted:
        high *= 2
        if high > MOST_CASES:
            raise ScoringError(
                "it takes more cases than could ever be gathered; the value is too close to the margin"
            )
    while low + 1 < high:
        middle = (low + high) // 2
        if auroc_variance(value, middle, max(1.0, middle * negatives_per_positive), model) > wanted:
            low = middle
        else:
            high = middle
    return high


def _outcomes(value: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of a binomial that matter, and their probabilities; those left out weigh less than 1e-12."""
    spread = 8 * math.sqrt(size * value * (1 - value)) + 8
    low, high = max(0, math.floor(size * value - spread)), min(size, math.ceil(size * value + spread))
    x = np.arange(low, high + 1, dtype=np.float64)
    return x, stats.binom.pmf(x, size, value)


def _check(value: float, margin: float, power: float) -> None:
    if not 0 < margin < value < 1 or not 0 < power < 1:
        raise ScoringError(
            "the value must be above the margin, both between 0 and 1, and power between 0 and 1"
        )
