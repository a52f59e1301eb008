"""The mechanism ``thresholdout``: a hold-out that answers only where the other value is wrong.

Dwork, Feldman, Hardt, Pitassi, Reingold and Roth 2015 (arXiv 1506.02629, figure 1; Science 349:636). The
institution has no training data of the vendor, so the other value is what the vendor declares. When the hold-out
agrees within a noisy threshold the answer is the declared value, otherwise the hold-out's value with noise.

Variant ``auc`` (Gossmann, Pezeshk, Wang and Sahiner 2021, SIMODS, doi 10.1137/20M1333110) differs:

* Gaussian noise of the same scales in place of Laplace noise;
* the threshold itself carries no noise, at the start and after each answer: a large draw could block every answer;
* over-threshold answers are counted, and the budget is not enforced by the published method. Here it is, because a
  budget that nobody enforces is none: give a large one to reproduce the publication;
* the declared value should come from repeated cross-validation, since resubstitution is too optimistic;
* after the best of several is chosen by its noisy value it is asked again: the largest of noisy values is too high.

At the sizes of hospital sets the published guarantee says little (tens of thousands of cases for a tolerance of
0.05): the method is a heuristic there, and the bits ledger is the bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from sandbox.reuse import noise
from sandbox.reuse.errors import ReuseError

Variant = Literal["dwork", "auc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdoutSettings:
    """``threshold`` T, noise ``rate`` s and ``budget`` B of over-threshold answers; ``grid`` of noisy answers."""

    variant: Variant = "dwork"
    threshold: Fraction = Fraction(4, 100)
    rate: Fraction = Fraction(1, 100)
    budget: int = 10
    grid: Fraction = Fraction(1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdoutState:
    """Where a vendor stands. ``shift`` is the noise on the threshold: secret, and text so that it stays exact."""

    shift: str | None = None
    budget_left: int
    queries: int = 0

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready form; it never leaves."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdoutAnswer:
    """What the vendor hears.

    ``value`` is the declared one when ``agrees``, a noisy one otherwise, None when the budget was spent.
    ``levels``: how many different answers were possible, for the bits ledger.
    """

    value: float | None
    agrees: bool
    levels: int


def thresholdout_state(plain: dict[str, Any]) -> ThresholdoutState:
    """Read back :meth:`ThresholdoutState.to_plain`.

    Raises:
        ReuseError: not such a form.
    """
    try:
        state = ThresholdoutState(**plain)
        Fraction(state.shift or 0)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ReuseError("a state of Thresholdout cannot be read; it cannot be made again") from error
    return state


def thresholdout_levels(settings: ThresholdoutSettings) -> int:
    """Answers that Thresholdout could give: "agrees", "stopped", or one of its grid's values."""
    return int(1 / settings.grid) + 3


def begin(settings: ThresholdoutSettings) -> ThresholdoutState:
    """The state before the first query.

    Raises:
        ReuseError: a setting is out of its range.
    """
    if not (0 < settings.threshold < 1 and 0 < settings.rate < 1 and 0 < settings.grid < 1):
        raise ReuseError("threshold, rate and grid of Thresholdout must lie between 0 and 1")
    if settings.budget < 1:
        raise ReuseError("the budget of Thresholdout must be at least 1")
    return ThresholdoutState(budget_left=settings.budget)


def thresholdout(
    state: ThresholdoutState,
    *,
    holdout_value: float,
    declared: float,
    settings: ThresholdoutSettings,
    source: noise.Source | None = None,
) -> tuple[ThresholdoutState, ThresholdoutAnswer]:
    """Answer one query; values lie in [0, 1].

    Args:
        state: before. A caller must store the state that is returned before the answer leaves.
        holdout_value: mean, or AUROC, on the hold-out.
        declared: the vendor's own value, registered before the run.
        settings: the policy's.
        source: of randomness; the operating system's when None.

    Raises:
        ReuseError: a value is not in [0, 1].
    """
    if not (0 <= holdout_value <= 1 and 0 <= declared <= 1):
        raise ReuseError("Thresholdout needs values between 0 and 1")
    levels = thresholdout_levels(settings)
    if state.budget_left < 1:
        return state, ThresholdoutAnswer(value=None, agrees=False, levels=levels)
    source = source or noise.system_source()
    draw: Callable[[Fraction, noise.Source], Fraction] = (
        noise.laplace if settings.variant == "dwork" else noise.gaussian
    )
    shift = _shift(state, settings, source)
    gap = abs(Fraction(holdout_value) - Fraction(declared))
    asked = replace(state, shift=str(shift), queries=state.queries + 1)
    if gap <= settings.threshold + shift + draw(4 * settings.rate, source):
        return asked, ThresholdoutAnswer(value=declared, agrees=True, levels=levels)
    noisy = Fraction(holdout_value) + draw(settings.rate, source)
    value = min(max(round(noisy / settings.grid) * settings.grid, Fraction(0)), Fraction(1))
    after = replace(asked, shift=None, budget_left=state.budget_left - 1)
    return after, ThresholdoutAnswer(value=float(value), agrees=False, levels=levels)


def _shift(state: ThresholdoutState, settings: ThresholdoutSettings, source: noise.Source) -> Fraction:
    """The noise on the threshold, drawn anew at the start and after each over-threshold answer."""
    if settings.variant == "auc":
        return Fraction(0)
    if state.shift is not None:
        return Fraction(state.shift)
    return noise.laplace(2 * settings.rate, source)
