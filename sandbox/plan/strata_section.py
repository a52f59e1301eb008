"""Which groups are looked at, and what is claimed: sections ``strata``, ``minimum``, ``bias`` and ``acceptance``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sandbox.plan.bands import CROSS
from sandbox.plan.output_schema import (
    Finite,
)
from sandbox.plan.protocol_words import Column, MetricName, Name, Part


class Stratum(Part):
    """A subgroup axis: one attribute (with bands when it is a number), or a crossing of two or three.

    ``reference`` names the level that the others are compared with; without it each level is compared with
    all other cases.
    """

    attribute: Column | None = None
    bands: tuple[Finite, ...] | None = Field(default=None, min_length=2, max_length=50)
    cross: tuple[Column, ...] | None = Field(default=None, min_length=2, max_length=3)
    reference: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @property
    def name(self) -> str:
        """The attribute, or the attributes of a crossing joined by `` x ``."""
        return self.attribute or CROSS.join(self.cross or ())

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attribute or attributes whose columns this stratum reads."""
        return (self.attribute,) if self.attribute else self.cross or ()


class Minimum(Part):
    """Fewest cases and patients on which an estimate may carry a claim; below, it is marked too few."""

    positives: int = Field(default=10, ge=1)
    negatives: int = Field(default=10, ge=1)
    patients: int = Field(default=10, ge=1)


Margin = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
OwnMargin = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Bias(Part):
    """How large a gap between groups may be: ``margin`` for shares and correlations, ``margins`` for single metrics.

    ``margin`` is a difference of two values of at most 1; a metric in millimetres or grades needs its own.
    """

    margin: Margin | None = None
    margins: dict[MetricName, OwnMargin] = Field(default_factory=dict)

    def of(self, metric: str, *, share: bool = True) -> float | None:
        """Margin of one metric, None where none was declared; ``share``: its values lie between -1 and 1."""
        return self.margins.get(metric, self.margin if share else None)


class StratumLevel(Part):
    """One level of one declared stratum."""

    attribute: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    level: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Criterion(Part):
    """One acceptance criterion: a bound of an estimate held against a limit.

    ``subject`` names what the metric is about where a task has several: a class, a label, a pair of grades.
    """

    name: Name
    metric: MetricName
    subject: Annotated[str, StringConstraints(min_length=1, max_length=140)] | None = None
    operating_point: Name | None = None
    stratum: StratumLevel | None = None
    bound: Literal["lower", "upper", "value"]
    at_least: Finite | None = None
    at_most: Finite | None = None

    @property
    def direction(self) -> Literal["at_least", "at_most"]:
        """Which way the limit works."""
        return "at_most" if self.at_least is None else "at_least"

    @property
    def limit(self) -> float:
        """The limit itself."""
        limit = self.at_most if self.at_least is None else self.at_least
        assert limit is not None
        return limit
