"""What the ends of an interval tell about the counts behind it.

The ends are not linear in the counts. They are replaced by linear constraints that imply them: a set of counts around
the true ones, in which every member gives the same released ends. A reader who knew only the release could not
exclude any member, so the true range is at least as wide as the audit's. What the ends rest on besides the counts (how
cases cluster in patients, the components of AUROC's variance) is taken as known to the reader.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import optimize

from sandbox.disclosure.grid import nearest, rate_behind
from sandbox.outcome.results import Estimate
from sandbox.scoring.proportions import ProportionMethod, proportion_interval

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Test = Callable[[Floats, Floats, Floats], Bools]
_WINDOW = 300
_VALUES = 41
_UNBOUNDED = 1e6
_SAME = 1e-9
_METHODS: dict[str, ProportionMethod] = {
    "wilson": "wilson",
    "wilson-clustered": "wilson",
    "clopper-pearson": "clopper-pearson",
    "clopper-pearson-clustered": "clopper-pearson",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cone:
    """Counts with ``low <= numerator/denominator <= high`` and ``least <= denominator <= most``."""

    low: Fraction
    high: Fraction
    least: int
    most: int


def outward(low: float, high: float, step: Fraction) -> tuple[int, int]:
    """Interval ends in steps, the low end rounded down and the high end up, within 0 and 1."""
    top = int(1 / step)
    size = float(step)
    return max(0, math.floor(low / size + _SAME)), min(top, math.ceil(high / size - _SAME))


def effective_ratio(found: Estimate, numerator: int) -> float | None:
    """Effective cases per case behind a rate's interval, None when its method cannot be followed.

    Solved from the interval itself and checked against both of its ends.
    """
    method = _METHODS.get(found.method)
    if method is None or found.low is None or found.high is None or found.n == 0:
        return None
    rate = numerator / found.n
    inner_low = found.low > 0
    wanted = found.low if inner_low else found.high

    def miss(log_ratio: float) -> float:
        size = found.n * math.exp(log_ratio)
        ends = proportion_interval(rate * size, size, found.level, method)
        return float(ends[0] if inner_low else ends[1]) - wanted

    try:
        root = optimize.brentq(miss, math.log(1e-6), math.log(1e3), xtol=1e-13)
    except ValueError:
        return None
    size = found.n * math.exp(root)
    ends = proportion_interval(rate * size, size, found.level, method)
    good = abs(float(ends[0]) - found.low) < _SAME and abs(float(ends[1]) - found.high) < _SAME
    return math.exp(root) if good else None


def rate_cone(found: Estimate, numerator: int, *, value_step: Fraction, step: Fraction) -> Cone | None:
    """Counts around the true ones whose rate and interval ends round alike; None when the method is unknown.

    Args:
        found: a proportion with its interval.
        numerator: its true numerator; ``found.n`` is the denominator.
        value_step: grid of the rate.
        step: grid of the ends.
    """
    if found.low is None or found.high is None:
        return None
    steps = nearest(Fraction(numerator, found.n), value_step)
    value_low, value_high = (float(limit) for limit in rate_behind(steps, value_step))
    wanted_low, wanted_high = outward(found.low, found.high, step)
    size, top = float(step), int(1 / step)

    def same(rate: Floats, low: Floats, high: Floats) -> Bools:
        return np.asarray(
            (rate >= value_low)
            & (rate < value_high)
            & (np.maximum(0, np.floor(low / size + _SAME)) == wanted_low)
            & (np.minimum(top, np.ceil(high / size - _SAME)) == wanted_high)
        )

    return consistent_cone(found, numerator, same)


def consistent_cone(found: Estimate, numerator: int, same: Test) -> Cone | None:
    """Counts around the true ones that pass ``same``; None when the interval's method is unknown.

    Args:
        found: a proportion with its interval.
        numerator: its true numerator.
        same: given rates and interval ends, marks those that would be told in the same words.
    """
    per_case = effective_ratio(found, numerator)
    method = _METHODS.get(found.method)
    if per_case is None or method is None:
        return None
    n = found.n
    reach = min(_WINDOW, max(1, n // 2))
    sizes = np.arange(max(1, n - reach), n + reach + 1)
    centre = np.rint(sizes * (numerator / n)).astype(np.int64)
    hits = np.clip(centre[:, None] + np.arange(-reach, reach + 1)[None, :], 0, sizes[:, None])
    rate = hits / sizes[:, None]
    effective = np.broadcast_to(sizes[:, None] * per_case, rate.shape)
    low, high = proportion_interval(rate * effective, effective, found.level, method)
    inside = same(rate, low, high)
    if not inside[n - sizes[0]].any():
        return None
    return _largest_cone(sizes, hits, inside, numerator, n)


def _largest_cone(sizes: Integers, hits: Integers, inside: Bools, numerator: int, n: int) -> Cone:
    """The cone of consistent counts around the truth that leaves its narrowest count widest.

    A cone over denominators d1..d2 is consistent when its limits lie between the largest smallest rate and the
    smallest largest rate of these denominators.
    """
    far = np.iinfo(np.int64).max
    least = np.where(inside, hits, far).min(axis=1)
    most = np.where(inside, hits, -1).max(axis=1)
    usable = inside.any(axis=1)
    low_rate = np.where(usable, least / sizes, np.inf)
    high_rate = np.where(usable, most / sizes, -np.inf)
    here = int(n - sizes[0])
    rate = numerator / n
    # A denominator whose consistent rates do not hold the true rate ends the cone.
    good = usable & (low_rate <= rate) & (high_rate >= rate)
    below = int(np.argmin(good[here::-1])) if not good[here::-1].all() else here + 1
    above = int(np.argmin(good[here:])) if not good[here:].all() else sizes.size - here
    left = slice(here - below + 1, here + 1)
    right = slice(here, here + above)
    low_left = np.maximum.accumulate(low_rate[left][::-1])
    low_right = np.maximum.accumulate(low_rate[right])
    high_left = np.minimum.accumulate(high_rate[left][::-1])
    high_right = np.minimum.accumulate(high_rate[right])
    low = np.maximum.outer(low_left, low_right)
    high = np.minimum.outer(high_left, high_right)
    d1 = sizes[left][::-1][:, None].astype(np.float64)
    d2 = sizes[right][None, :].astype(np.float64)
    successes = np.floor(high * d2) - np.ceil(low * d1)
    rest = np.floor((1 - low) * d2) - np.ceil((1 - high) * d1)
    i, j = np.unravel_index(int(np.argmax(np.minimum(successes, rest))), successes.shape)
    chosen = range(here - int(i), here + int(j) + 1)
    return Cone(
        low=max(Fraction(int(least[k]), int(sizes[k])) for k in chosen),
        high=min(Fraction(int(most[k]), int(sizes[k])) for k in chosen),
        least=int(sizes[chosen[0]]),
        most=int(sizes[chosen[-1]]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AurocRoom:
    """What an AUROC that rounds alike leaves open, beside the counts.

    Attributes:
        slack: how far the points of the ROC curve may all move, in sensitivity and in specificity.
        sizes: factors a <= 1 <= b by which positives and negatives may both change while the ends round alike;
            None when the interval was not made on the logit scale.
    """

    slack: float
    sizes: tuple[float, float] | None


def auroc_room(
    found: Estimate, points: list[tuple[float, float]], value_step: Fraction, end_step: Fraction | None
) -> AurocRoom:
    """What a released AUROC leaves open: for one AUROC that a reader cannot exclude, chosen to leave most.

    The variance is V10/P + V01/N with components that are taken as known. When P and N both change by factors
    between a and b, the half-width on the logit scale changes by a factor between b**-1/2 and a**-1/2, whatever
    the components.

    Args:
        found: AUROC with its interval.
        points: true sensitivity and specificity at each operating point.
        value_step: grid of the AUROC.
        end_step: grid of its ends; None when they do not leave.
    """
    assert found.value is not None
    bottom, top = rate_behind(nearest(Fraction(found.value), value_step), value_step)
    # The bin is open above; its last value is left out.
    values = [found.value, *np.linspace(float(bottom), float(top), _VALUES)[:-1].tolist()]
    rooms = []
    for value in values:
        if not 0 <= value <= 1:
            continue
        slack = roc_slack(points, value)
        sizes = None if end_step is None or slack < 0 else _sizes(found, value, end_step)
        if slack >= 0 and (sizes is not None or end_step is None or value == found.value):
            rooms.append(AurocRoom(slack=slack, sizes=sizes))
    enough = max(room.slack for room in rooms) / 2
    return max(
        (room for room in rooms if room.slack >= enough), key=lambda room: (_span(room.sizes), room.slack)
    )


def _span(sizes: tuple[float, float] | None) -> float:
    return 0.0 if sizes is None else sizes[1] - sizes[0]


def _sizes(found: Estimate, value: float, step: Fraction) -> tuple[float, float] | None:
    """Factors of P and N for an AUROC of ``value``; None when the true P and N are not among them."""
    if not found.method.startswith("delong-logit") or found.low is None or found.high is None:
        return None
    if not (0 < found.low < found.high < 1 and 0 < value < 1):
        return None
    half = (_logit(found.high) - _logit(found.low)) / 2
    centre = _logit(value)
    low, high = outward(found.low, found.high, step)
    # The low end lies in its step, [low, low + 1), and the high end in (high - 1, high].
    least = max(centre - _edge(low + 1, step), _edge(high - 1, step) - centre, 0.0) / half + _SAME
    most = min(centre - _edge(low, step), _edge(high, step) - centre) / half - _SAME
    if not least < 1 < most:
        return None
    return most**-2, least**-2 if least > 2 * _SAME else _UNBOUNDED


def _edge(steps: int, step: Fraction) -> float:
    """The logit of a multiple of the step; infinite at and beyond 0 and 1."""
    value = steps * step
    if value <= 0:
        return -math.inf
    return math.inf if value >= 1 else _logit(float(value))


def roc_slack(points: list[tuple[float, float]], value: float) -> float:
    """How far sensitivities and specificities may move together while the AUROC can be ``value``.

    A ROC curve through given points has an area between the staircases below and above them.

    Args:
        points: sensitivity and specificity at each operating point.
        value: an AUROC.

    Returns:
        The largest t, at most 1, such that points moved by up to t in each coordinate allow that AUROC; -1 when
        not even the given points do.
    """

    def possible(slack: float) -> bool:
        raised = sorted((1 - min(1.0, v + slack), min(1.0, u + slack)) for u, v in points)
        lowered = sorted((1 - max(0.0, v - slack), max(0.0, u - slack)) for u, v in points)
        return _area_below(raised) <= value + _SAME and _area_above(lowered) >= value - _SAME

    if not points:
        return 1.0
    if not possible(0.0):
        return -1.0
    if possible(1.0):
        return 1.0
    good, bad = 0.0, 1.0
    for _ in range(20):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if possible(middle) else (good, middle)
    return good


def _area_below(corners: list[tuple[float, float]]) -> float:
    """Least area under a rising curve through ``corners`` (x, y) and (1, 1)."""
    ends = [x for x, _ in corners[1:]] + [1.0]
    return sum(y * (end - x) for (x, y), end in zip(corners, ends, strict=True))


def _area_above(corners: list[tuple[float, float]]) -> float:
    """Largest area under a rising curve through (0, 0), ``corners`` and (1, 1)."""
    starts = [0.0] + [x for x, _ in corners]
    ends = [*(x for x, _ in corners), 1.0]
    tops = [*(y for _, y in corners), 1.0]
    return sum(top * (end - start) for start, end, top in zip(starts, ends, tops, strict=True))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
