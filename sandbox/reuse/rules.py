"""The institution's rules for how often and how much a hold-out may answer, as checked YAML."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sandbox.disclosure.rules import Grid
from sandbox.reuse.mechanisms import Mechanism
from sandbox.reuse.thresholdout import ThresholdoutSettings

Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LadderRules(_Part):
    """``step`` null: the parameter-free ladder."""

    step: Grid | None = None

    @property
    def fixed(self) -> Fraction | None:
        """The step as an exact fraction."""
        return None if self.step is None else Fraction(self.step)


class ThresholdoutRules(_Part):
    """Settings of Thresholdout; see :class:`sandbox.reuse.thresholdout.ThresholdoutSettings`."""

    variant: Literal["dwork", "auc"] = "dwork"
    threshold: Grid = "0.04"
    rate: Grid = "0.01"
    budget: Annotated[int, Field(ge=1, le=10_000)] = 10
    grid: Grid = "0.01"

    @property
    def settings(self) -> ThresholdoutSettings:
        """The same as exact fractions."""
        return ThresholdoutSettings(
            variant=self.variant,
            threshold=Fraction(self.threshold),
            rate=Fraction(self.rate),
            budget=self.budget,
            grid=Fraction(self.grid),
        )


class Retirement(_Part):
    """When a hold-out version answers no more: after so many uses of a case, or from a day on; null: never."""

    uses: Annotated[int, Field(ge=1)] | None = 50
    date: Day | None = None


class Sampling(_Part):
    """Share of the pool that is drawn at random for each evaluation; 1 takes every case."""

    share: Annotated[float, Field(gt=0, le=1)] = 1.0


class ReuseRules(_Part):
    """Budgets and mechanisms.

    Attributes:
        bits_per_vendor: what one vendor may learn of a hold-out version, in bits.
        bits_pooled: what all vendors together may learn.
        delta: chance that the reuse-adjusted interval does not hold.
        mechanisms: those that a protocol may ask for; see :mod:`sandbox.reuse.chosen`.
        mechanism: how a hold-out answers to a protocol that asks for none.
        ladder, thresholdout: the most that each may tell; a protocol may ask for less.
    """

    bits_per_vendor: Annotated[float, Field(gt=0, le=1_000_000)] = 160.0
    bits_pooled: Annotated[float, Field(gt=0, le=1_000_000)] = 640.0
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.05
    mechanisms: Annotated[tuple[Mechanism, ...], Field(min_length=1, max_length=4)] = (
        "claim",
        "ladder",
        "thresholdout",
        "full",
    )
    mechanism: Mechanism = "full"
    ladder: LadderRules = LadderRules()
    thresholdout: ThresholdoutRules = ThresholdoutRules()
    retire: Retirement = Retirement()
    sampling: Sampling = Sampling()
