"""The ways in which a hold-out answers, by the name that protocol and policy give them.

``claim``         which registered claims hold: one bit each (:mod:`sandbox.reuse.claim`)
``ladder``        the best value so far, when a submission is clearly better (:mod:`sandbox.reuse.ladder`)
``thresholdout``  the declared value, or a noisy one where it is wrong (:mod:`sandbox.reuse.thresholdout`)
``full``          every field that passes the rules (:mod:`sandbox.disclosure.screen`)

What each answer costs is log2 of the number of answers that were possible.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

from sandbox.disclosure.fields import ReleasedField
from sandbox.disclosure.grid import text_on
from sandbox.reuse.ladder import LadderAnswer
from sandbox.reuse.thresholdout import ThresholdoutAnswer

Mechanism = Literal["claim", "ladder", "thresholdout", "full"]
CHEAPEST_FIRST: tuple[Mechanism, ...] = ("claim", "thresholdout", "ladder", "full")
"""By what one answer costs at the shipped settings and a thousand cases: 1 bit, 6.7, 10, and some tens."""


def ladder_field(scope: str, metric: str, answer: LadderAnswer, grid: Fraction) -> ReleasedField:
    """The ladder's answer as a field; ``metric`` names the loss, ``scope`` the submission."""
    return ReleasedField(
        path=f"{scope}/ladder/{metric}",
        kind="score",
        value=text_on(Fraction(answer.best), grid),
        grid=str(float(grid)),
        levels=answer.levels,
        bits=math.log2(answer.levels),
    )


def thresholdout_field(scope: str, metric: str, answer: ThresholdoutAnswer, grid: Fraction) -> ReleasedField:
    """Thresholdout's answer as a field; ``agrees`` says nothing beyond the declared value."""
    value = "agrees with the declared value" if answer.agrees else None
    if value is None and answer.value is not None:
        value = text_on(Fraction(answer.value), grid)
    return ReleasedField(
        path=f"{scope}/thresholdout/{metric}",
        kind="score",
        value=value or "budget spent",
        grid=str(float(grid)),
        levels=answer.levels,
        bits=math.log2(answer.levels),
    )
