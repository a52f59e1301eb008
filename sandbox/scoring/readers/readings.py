"""Several readers' opinions of the same cases, and truth made from them by a stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, Floats

Rule = Literal["majority", "unanimous", "any", "adjudicated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """Truth by rule.

    Attributes:
        truth: 1, 0, or NaN where the rule gives no answer (a tie, disagreement under ``unanimous``, no reading).
        readings: how many readers read each case.
        disputed: whether readers of the case disagree.
        undecided: cases without an answer.
    """

    truth: Floats
    readings: npt.NDArray[np.int64]
    disputed: Bools
    undecided: int
    rule: Rule


def consensus(readings: npt.ArrayLike, rule: Rule, adjudicator: npt.ArrayLike | None = None) -> Consensus:
    """Make truth from readers' binary opinions.

    Args:
        readings: 0, 1 or NaN (not read), shape (readers, cases).
        rule: ``majority`` (a tie is undecided), ``unanimous`` (positive or negative only when all agree), ``any``
            (one positive reading is enough), ``adjudicated`` (all agree, else the adjudicator's answer).
        adjudicator: 0, 1 or NaN for each case; needed for ``adjudicated`` alone.

    Raises:
        ScoringError: a reading other than 0 and 1, or no adjudicator where the rule needs one.
    """
    values = binary(readings)
    read = ~np.isnan(values)
    number = read.sum(axis=0)
    positive = np.nansum(values, axis=0)
    some = number > 0
    disputed = some & (positive > 0) & (positive < number)
    truth = np.full(number.size, np.nan)
    if rule == "any":
        truth[some] = positive[some] > 0
    elif rule == "majority":
        clear = some & (2 * positive != number)
        truth[clear] = 2 * positive[clear] > number[clear]
    else:
        agreed = some & ~disputed
        truth[agreed] = positive[agreed] > 0
    if rule == "adjudicated":
        if adjudicator is None:
            raise ScoringError("the rule adjudicated needs an adjudicator's readings")
        last = binary(np.asarray(adjudicator, dtype=np.float64)[None])[0]
        if last.shape != truth.shape:
            raise ScoringError("the adjudicator and the readers must have the same cases")
        truth = np.where(disputed, last, truth)
    return Consensus(
        truth=truth,
        readings=number.astype(np.int64),
        disputed=disputed,
        undecided=int(np.isnan(truth).sum()),
        rule=rule,
    )


def binary(readings: npt.ArrayLike) -> Floats:
    """Readings as floats of shape (readers, cases).

    Raises:
        ScoringError: a reading that is neither 0, 1 nor missing.
    """
    values = np.asarray(readings, dtype=np.float64)
    if values.ndim != 2:
        raise ScoringError("readings must have the shape readers x cases")
    if not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        raise ScoringError(
            "a reading is neither 0, 1 nor missing; give calls, or a threshold that makes them"
        )
    return values
