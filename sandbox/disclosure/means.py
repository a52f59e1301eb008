"""Means over cases of values between 0 and 1 (Dice, IoU and NSD of a segmentation): when they leave, and how rounded.

Notation: n cases, of which one patient has at most m; S the sum of the values, M = S/n. One patient's values can move M
by at most m/n, whatever they are. A mean over all cases leaves, never one of a stratum, when

- it rests on ``minimum_cell`` patients,
- some grid of ``rate_grids`` has a step h of at least ``count_base`` times m/n, so that no few patients' cases make up
  most of it; the finest such is taken,
- rounded, it is neither 0 nor 1, unless ``extreme_rates`` may be told. The rounded number decides, which is all that a
  withheld mean tells; the mean itself, or a threshold on S, would tell of one patient what rounding hides.

It is rounded to that grid *at random*, up or down: floor(M/h + u) steps, with u uniform on [0, 1), made by HMAC from a
secret of the institution, the digest of the predictions and the metric. The same predictions are so always told by the
same number, whatever the protocol and however often: nothing is averaged away.

Rounding to the nearest step would not do. Whoever knows the values of all other patients, and moves them (a mask that
is surely wrong has the value 0), brings M to the edge of a step, and reads from the rounded mean on which side of a
point of his choice the last patient's value lies; twenty such answers tell it to a millionth. Against random rounding
the following holds for somebody who knows every value but those of k patients, and everything else but the secret.

1. *What is told.* Let T and T' be two sums that the k patients may have; they differ by at most km, so that M/h differs
   by d <= km/(nh) <= k/count_base. For d <= 1 and the same u the two told numbers differ exactly when a whole number
   lies between M/h + u and M'/h + u, which happens for a share d of all u. So the distributions of the told number are
   at a distance (total variation) of at most k/count_base. Each further number told, of whatever predictions and
   however they were chosen, adds at most as much. Who guesses which of two values one patient has is right with a
   chance of at most 1/2 + 1/(2 count_base) after one number: 0.55 by the shipped policy.
2. *What can be excluded.* The number r tells r - h < M < r + h: the sum of the k patients lies in an open interval of
   length 2nh, at least 2 m ``count_base``. While k <= 2 count_base it never cuts their range [0, km] on both sides. It
   cuts it at all with a chance of at most k/count_base: only if M/h and what it would be for a value cut off lie on two
   sides of a whole number and the number told is on the far side. That chance is the difference of 1 once more.
3. *All together.* S stays free over at least ``minimum_width`` patients after all that is told of it by one protocol:
   the audit holds the intervals of 2, and the verdicts on the mean, against each other. Means of the same predictions
   by protocols that count failed or empty cases otherwise are further numbers in the sense of 1.

Where it ends: the chances add up over the numbers told. Somebody who knows everybody else's values and spends a whole
budget on one patient (21 numbers) tells a Dice of 0 from one of 1 with a chance of 0.95, and 0.8 from 0.9 with one of
0.6; in bits, at most 0.055 a number (``tests/attacks``). And a verdict is not rounded: a criterion on a mean tells, for
2 bits, on which side of its limit the mean lies, and such a reader so learns one bit of the patient's value with each.

The ends of the interval are rounded outwards, at random in the same way, to the finest grid whose step spans
``interval_base`` times m/n. An end rises with each value, at most W times as fast as the mean does, where W is how
often one patient comes up in a resample: 1 on average, about 7 at most. The distance in 1 is at most kW/interval_base.
For the audit the reader is taken to know how far the ends lie from the mean.

Of other tasks no mean leaves. A measurement's mean moves with one patient as far as its range is wide, which no grid
covers; a detection's curves count lesions, of which one patient may have any number. Medians, object qualities and
distances of a segmentation stay inside for the same reasons.

Random rounding: Fellegi 1975, Survey Methodology 1:123. An offset that stays with what was asked: Fraser and Wooton
2005 (the cell key method). A bound on total variation is (0, delta)-differential privacy: Dwork et al. 2006, EUROCRYPT.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from sandbox.disclosure.cells import between, total
from sandbox.disclosure.errors import DisclosureError
from sandbox.disclosure.fields import Constraint, Term
from sandbox.disclosure.grid import steps_text
from sandbox.disclosure.outline import Slot
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.suppression import Withheld, rate_end_step, rate_step
from sandbox.disclosure.telling import Told
from sandbox.outcome.results import CriterionResult, Estimate, Results

MEANS: Mapping[str, str] = {
    "mean_dice": "Dice, mean over cases, from 0 to 1",
    "mean_iou": "IoU, mean over cases, from 0 to 1",
    "mean_nsd": "normalised surface Dice, mean over cases, from 0 to 1",
}
"""The means that can leave, with their unit."""
MEAN_TASKS = frozenset({"segmentation"})
_OFFSET_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """One mean with what the rules look at.

    Attributes:
        found: the estimate over all cases.
        value: its exact value; 0 where there is none.
        most: most cases that one patient can have among those counted.
        cells: ``sum`` and ``lack`` (what the sum is short of the number of cases), in whole patients of ``most`` cases,
            to their names. How many cases there are is taken as known to the reader.
        values: true values of the cells.
    """

    found: Estimate
    value: Fraction
    most: int
    cells: Mapping[str, str]
    values: Mapping[str, int]

    @property
    def worth(self) -> Fraction:
        """Patients of ``most`` cases that there would be: 1 / the largest share of one patient in the mean."""
        return Fraction(self.found.n, self.most)

    @property
    def structure(self) -> Constraint:
        """What holds between the cells by their meaning: two parts of patients may be cut off from the whole ones."""
        return between(
            total(self.cells.values()),
            math.ceil(self.worth - 2 + Fraction(1, self.most)),
            math.floor(self.worth),
        )


def mean_of(results: Results, metric: str, head: str) -> Mean:
    """Take one mean from the analysis that the protocol chose.

    Args:
        results: of a segmentation.
        metric: one of ``MEANS``.
        head: scope and protocol, as they stand in paths.
    """
    found = next(each for each in results.analysis().estimates if each.metric == metric)
    value = Fraction(found.value or 0)
    # Every other patient has one case at least; results of an earlier version do not say more.
    most = max(1, min(results.flow.most_cases or found.n, found.n - found.patients + 1))
    cells = {name: f"{head}/all/{metric}/{name}_in_patients" for name in ("sum", "lack")}
    shares = {"sum": value, "lack": 1 - value}
    values = {cells[name]: math.floor(share * found.n / most) for name, share in shares.items()}
    return Mean(found=found, value=value, most=most, cells=cells, values=values)


def offset(secret: bytes, scope: str, metric: str, part: str) -> Fraction:
    """The u of one number, in [0, 1): the same for the same predictions, whatever is asked of them otherwise."""
    words = (b"rounding of means", scope.encode(), metric.encode(), part.encode())
    made = hmac.new(secret, b"\0".join(words), hashlib.sha256).digest()
    return Fraction(int.from_bytes(made[:_OFFSET_BYTES], "big"), 256**_OFFSET_BYTES)


def tell_mean(mean: Mean, slot: Slot, rules: DisclosureRules, *, scope: str, secret: bytes | None) -> Told:
    """Write the value of a mean or one end of its interval, or withhold it.

    Args:
        scope: name of the predictions.
        secret: of the institution, from which the offsets are made.

    Raises:
        DisclosureError: there is no secret.
    """
    if not secret:
        raise DisclosureError("a mean is rounded by a secret of the institution, and none was given")
    step = rate_step(rules, mean.worth)
    if step is None or mean.found.value is None or mean.found.patients < rules.minimum_cell:
        return Told(refusal=_NOT_DEFINED if mean.found.value is None else _FEW)
    steps = math.floor(mean.value / step + offset(secret, scope, slot.name, "value"))
    known = tuple(_within(mean, (steps - 1) * step, (steps + 1) * step))
    if steps in (0, int(1 / step)) and rules.extreme_rates == "withheld":
        return Told(refusal=_EXTREME, constraints=known)
    if slot.part != "value":
        return _end(mean, slot, rules, offset(secret, scope, slot.name, slot.part))
    return Told(value=steps_text(steps, step), grid=steps_text(1, step), constraints=known)


def tell_criterion_on_mean(mean: Mean, criterion: CriterionResult) -> Told:
    """The verdict of a criterion on a mean over all cases, and on which side of its limit the mean then lies."""
    found, least = criterion.estimate, criterion.direction == "at_least"
    if found.status != "ok" or found.low is None or found.high is None:
        return Told(value=criterion.verdict)
    near, far = (found.low, found.high) if least else (found.high, found.low)
    if criterion.bound == "value":
        near = far = float(mean.value)
    # Where the limit would stand for the mean itself, were it known how far the ends lie from it.
    passed, missed = (Fraction(criterion.limit) + mean.value - Fraction(end) for end in (near, far))
    floor, ceiling = {"met": (passed, None), "not_met": (None, missed), "cannot_tell": (missed, passed)}[
        criterion.verdict
    ]
    low, high = (floor, ceiling) if least else (ceiling, floor)
    known = _within(mean, Fraction(0) if low is None else low, Fraction(1) if high is None else high)
    return Told(value=criterion.verdict, constraints=tuple(known))


_NOT_DEFINED = Withheld(rule="metric", sentence="The value could not be estimated.")
_FEW = Withheld(
    rule="patients",
    sentence="The mean rests on fewer patients than the policy, or its coarsest grid, asks for.",
)
_EXTREME = Withheld(rule="extreme_rates", sentence="Rounded, the mean is 0 or 1, which the policy withholds.")
_NO_INTERVAL = Withheld(
    rule="interval",
    sentence="There is no interval, or no grid of the policy is coarse enough for it on so few patients.",
)


def _end(mean: Mean, slot: Slot, rules: DisclosureRules, u: Fraction) -> Told:
    step = rate_end_step(rules, mean.worth)
    end = mean.found.low if slot.part == "low" else mean.found.high
    if step is None or end is None:
        return Told(refusal=_NO_INTERVAL)
    exact, top = Fraction(end), int(1 / step)
    if slot.part == "low":
        steps = max(0, math.floor(exact / step - u))
        span = (steps * step, (steps + 2) * step)
    else:
        steps = min(top, math.ceil(exact / step + u))
        span = ((steps - 2) * step, steps * step)
    away = mean.value - exact
    return Told(
        value=steps_text(steps, step),
        grid=steps_text(1, step),
        constraints=tuple(_within(mean, span[0] + away, span[1] + away)),
    )


def _within(mean: Mean, low: Fraction, high: Fraction) -> Iterator[Constraint]:
    """``low <= mean <= high`` in whole patients: the sum lies in [sum, sum + 1) times ``most``."""
    for name, least, most in (("sum", low, high), ("lack", 1 - high, 1 - low)):
        cell = mean.cells[name]
        yield between(total([cell]), math.floor(least * mean.worth), None)
        yield _at_most(cell, math.floor(most * mean.worth))


def _at_most(cell: str, limit: int) -> Constraint:
    """``cell <= limit``, written so that a limit of 0 is not taken for an empty cell that is told on purpose."""
    return between((Term(cell=cell, coefficient=-1),), -limit, None)
