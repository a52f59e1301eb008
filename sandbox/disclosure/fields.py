"""What leaves, number by number, and what each number tells about the counts behind it.

A *cell* is a whole number that nobody outside may learn exactly: a confusion count of a group of cases, or how
many positives, negatives or patients a group has. Its name has the form ``scope/point/group/cell``; see
:mod:`sandbox.disclosure.cells`. What a released number tells is written as linear constraints on cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FieldKind = Literal["verdict", "count", "rate", "mean", "score", "interval_end"]
RuleName = Literal[
    "metric",
    "patients",
    "cells",
    "positives_negatives",
    "extreme_rates",
    "secondary",
    "rounding",
    "interval",
    "difference",
    "audit",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A cell times a whole number."""

    cell: str
    coefficient: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """``low <= sum of terms <= high`` in whole numbers; None is no limit on that side."""

    terms: tuple[Term, ...]
    low: int | None
    high: int | None

    def holds(self, cells: Mapping[str, int]) -> bool:
        """Whether these values of the cells satisfy it, without rounding."""
        total = sum(term.coefficient * cells[term.cell] for term in self.terms)
        return (self.low is None or total >= self.low) and (self.high is None or total <= self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedField:
    """One number or verdict as it would leave, or the fact that it is withheld.

    Attributes:
        path: name of the field, unique within a hold-out version; begins with the evaluation's scope, or with
            ``holdout/`` for what is the same in every evaluation and therefore paid once.
        kind: what sort of value it is.
        value: the text that leaves, e.g. ``0.85``; None when the field is withheld.
        grid: step of the values, as text; None for verdicts.
        levels: size of the alphabet that ``value`` was chosen from, the answer "withheld" included.
        bits: log2 of ``levels``.
        constraints: what the value tells about cells. They hold for the true counts and may be tighter than
            what a reader can conclude, never looser. They stay inside.
        unit: what the value is measured in, where its name does not say so.
    """

    path: str
    kind: FieldKind
    value: str | None
    grid: str | None
    levels: int
    bits: float
    constraints: tuple[Constraint, ...] = ()
    unit: str | None = None

    @property
    def public(self) -> dict[str, Any]:
        """The part that leaves; JSON-ready."""
        plain = {"path": self.path, "kind": self.kind, "value": self.value, "grid": self.grid}
        return plain if self.unit is None else {**plain, "unit": self.unit}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """What one rule said about one field; ``sentence`` names no count, so that it may be shown to a vendor."""

    rule: RuleName
    field: str
    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """The outcome of the rules for one evaluation.

    Attributes:
        fields: every field that the policy lets be considered, withheld ones included (value None).
        verdicts: each rule that spoke, field by field, in the order of ``fields``.
        structure: constraints that hold by the meaning of the cells (sums, totals); they tell no number.
        protected: cells that the audit protects.
    """

    fields: tuple[ReleasedField, ...]
    verdicts: tuple[RuleVerdict, ...]
    structure: tuple[Constraint, ...]
    protected: tuple[str, ...]

    @property
    def released(self) -> tuple[ReleasedField, ...]:
        """The fields that are not withheld."""
        return tuple(field for field in self.fields if field.value is not None)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """All that a reader learns: the structure and what each field tells. Kept with the issued release."""
        return self.structure + tuple(found for field in self.fields for found in field.constraints)
