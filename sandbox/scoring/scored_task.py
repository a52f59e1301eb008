"""What the scorer of each kind of task hands to the one entry of scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.outcome.results import Analysis, FailureRule
from sandbox.scoring.cases import Bools, Integers
from sandbox.scoring.strata import Levels

RULES: Final[tuple[FailureRule, FailureRule]] = ("worst_case", "excluded")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTask:
    """Analyses under both failure rules, and what the flow and the composition are counted from.

    Attributes:
        analyses: in the order of ``RULES``.
        failed, patient: of each labelled case; ``levels`` in the same order.
        reference: True where the case is positive; None unless the task has one binary target.
        notes: sentences on how the numbers are to be read.
        measure_unit: the unit of a measurement.
    """

    analyses: tuple[Analysis, ...]
    failed: Bools
    patient: Integers
    levels: tuple[Levels, ...]
    reference: Bools | None = None
    notes: tuple[str, ...] = ()
    measure_unit: str | None = None
