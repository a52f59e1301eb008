"""The mechanism ``ladder``: an answer only when a submission is clearly better than the best before.

Blum and Hardt 2015 (ICML, arXiv 1502.04585). Losses are means over cases, lower is better, e.g. 1 - accuracy.
A submission that does not win hears the best value so far, which it knows already. A state belongs to one
vendor, hold-out version and metric; it is kept inside and replaced when an answer is issued.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from sandbox.reuse.errors import ReuseError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderState:
    """Where a ladder stands.

    Attributes:
        best: best loss announced so far, None before the first.
        holder: name of the submission that reached it; the parameter-free ladder compares with its losses.
        submissions: how many were answered.
        steps: how many were better.
    """

    best: float | None = None
    holder: str | None = None
    submissions: int = 0
    steps: int = 0

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def ladder_state(plain: dict[str, Any]) -> LadderState:
    """Read back :meth:`LadderState.to_plain`.

    Raises:
        ReuseError: not such a form.
    """
    try:
        state = LadderState(**plain)
    except TypeError as error:
        raise ReuseError("a ladder's state cannot be read; restore it from the ledger's releases") from error
    best = state.best
    if not (best is None or (isinstance(best, int | float) and math.isfinite(best))):
        raise ReuseError("a ladder's state holds a best value that is no number; restore it")
    return state


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderAnswer:
    """What the vendor hears: the best loss so far, and whether this submission set it.

    ``levels``: how many different answers were possible, for the bits ledger.
    """

    best: float
    improved: bool
    levels: int


def ladder_levels(step: Fraction | None, cases: int) -> int:
    """Answers that a ladder could give over ``cases`` cases; ``step`` None: the parameter-free one."""
    return _levels(Fraction(1, cases) if step is None else step)


def _levels(grid: Fraction) -> int:
    # A winner is told one of the grid's values, a loser nothing new.
    return math.floor(1 / grid) + 2


def fixed_step(
    state: LadderState, *, submission: str, loss: float, step: Fraction
) -> tuple[LadderState, LadderAnswer]:
    """Ladder with a fixed step: better means by more than ``step``; values are multiples of it.

    Args:
        state: before.
        submission: its name.
        loss: mean loss on the hold-out, in [0, 1].
        step: between 0 and 1.

    Raises:
        ReuseError: the loss is not in [0, 1] or the step not in (0, 1).
    """
    if not 0 < step < 1:
        raise ReuseError("the ladder's step must lie between 0 and 1")
    return _answer(state, submission, loss, margin=float(step), grid=step)


def parameter_free(
    state: LadderState, *, submission: str, losses: Floats, best_losses: Floats | None
) -> tuple[LadderState, LadderAnswer]:
    """Ladder without a parameter: better means by more than the standard error of the difference.

    Args:
        state: before.
        submission: its name.
        losses: loss of every case, in [0, 1].
        best_losses: losses of ``state.holder`` for the same cases in the same order; None before the first.

    Raises:
        ReuseError: losses are not in [0, 1], fewer than two, or do not match.
    """
    n = losses.size
    if n < 2 or (best_losses is not None and best_losses.size != n):
        raise ReuseError("the losses must be those of the same cases, two at least")
    if (best_losses is None) != (state.best is None):
        raise ReuseError("the losses of the best submission must be given exactly when there is one")
    difference = losses if best_losses is None else losses - best_losses
    margin = float(np.std(difference, ddof=1)) / math.sqrt(n)
    return _answer(state, submission, float(losses.mean()), margin=margin, grid=Fraction(1, n))


def _answer(
    state: LadderState, submission: str, loss: float, *, margin: float, grid: Fraction
) -> tuple[LadderState, LadderAnswer]:
    if not 0 <= loss <= 1:
        raise ReuseError("a ladder needs a loss between 0 and 1")
    improved = state.best is None or loss < state.best - margin
    best = float(round(Fraction(loss) / grid) * grid) if improved else state.best
    assert best is not None
    levels = _levels(grid)
    after = replace(
        state,
        best=best,
        holder=submission if improved else state.holder,
        submissions=state.submissions + 1,
        steps=state.steps + improved,
    )
    return after, LadderAnswer(best=best, improved=improved, levels=levels)
