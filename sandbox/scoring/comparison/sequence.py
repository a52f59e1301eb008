"""Hypotheses in a fixed order, and co-primary ones that must all hold.

Fixed sequence: each at the full level, until the first that fails; what stands after it is not tested (Maurer,
Hothorn and Lehmacher 1995). Superiority after non-inferiority is such a sequence and costs nothing. Endpoints
that must all hold need no adjustment either (intersection-union, Berger 1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.errors import ScoringError
from sandbox.scoring.comparison.paired import Difference

Step = Literal["shown", "not_shown", "not_tested", "cannot_tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """``value > -margin`` of one difference: non-inferiority with a margin above 0, superiority with 0."""

    name: str
    difference: Difference
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceStep:
    """How one hypothesis of the sequence ended."""

    name: str
    outcome: Step


def holds(hypothesis: Hypothesis) -> Step:
    """Test one hypothesis by the lower limit of its two-sided interval.

    Raises:
        ScoringError: the margin is negative.
    """
    if hypothesis.margin < 0:
        raise ScoringError("a margin must be 0 (superiority) or above (non-inferiority)")
    if hypothesis.difference.low is None:
        return "cannot_tell"
    return "shown" if hypothesis.difference.low > -hypothesis.margin else "not_shown"


def fixed_sequence(hypotheses: Sequence[Hypothesis]) -> tuple[SequenceStep, ...]:
    """Test in order; after the first that is not shown, none is tested."""
    steps: list[SequenceStep] = []
    going = True
    for hypothesis in hypotheses:
        outcome: Step = holds(hypothesis) if going else "not_tested"
        going = going and outcome == "shown"
        steps.append(SequenceStep(name=hypothesis.name, outcome=outcome))
    return tuple(steps)


def all_hold(hypotheses: Sequence[Hypothesis]) -> Step:
    """Judge co-primary hypotheses together: shown only when every one is."""
    outcomes = {holds(hypothesis) for hypothesis in hypotheses}
    if "not_shown" in outcomes:
        return "not_shown"
    return "cannot_tell" if "cannot_tell" in outcomes or not outcomes else "shown"
