"""What is asked: the sections ``task``, ``output``, ``input``, ``operating_points`` and ``limits`` of a protocol."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sandbox.plan.metric_catalogue import TaskKind
from sandbox.plan.output_schema import (
    ClassesOutput,
    ClassName,
    FindingsOutput,
    Finite,
    GradesOutput,
    MaskOutput,
    Number,
    ScoreOutput,
    ValueOutput,
)
from sandbox.plan.protocol_words import Column, Keyword, Name, Part


class Task(Part):
    """What is asked about each case of ``unit``.

    ``target`` is the column of the reference standard: 0/1 for binary and triage, a class or a grade by name, a number
    for a measurement, a mask, or lesions. A multilabel task has none: each of its labels is a 0/1 column of that name.
    ``repeats`` names an attribute of a measurement's cases: those with an equal value measure the same thing.
    """

    kind: TaskKind
    target: Column | None = None
    unit: Literal["image", "series", "study"]
    repeats: Column | None = None


class Output(Part):
    """The answer's schema: the one part that the kind of task has."""

    score: ScoreOutput | None = None
    classes: ClassesOutput | None = None
    grades: GradesOutput | None = None
    value: ValueOutput | None = None
    mask: MaskOutput | None = None
    findings: FindingsOutput | None = None

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The named numbers of an answer, in the order in which they are kept."""
        part = self.score or self.classes or self.grades or self.value or self.mask or self.findings
        return () if part is None else part.numbers


class Input(Part):
    """DICOM keywords of the acquisition attributes that the container may see beside the pixels."""

    attributes: tuple[Keyword, ...] = Field(default=(), max_length=64)


class OperatingPoint(Part):
    """Where a score becomes a call, fixed before the run; a case is called positive when score >= threshold.

    ``thresholds`` gives each label of a multilabel task its own. ``sensitivity`` and ``specificity`` name a
    target instead: what is reported is the other rate there, and its interval allows for finding the threshold
    on the same cases.
    """

    name: Name
    threshold: Finite | None = None
    thresholds: dict[ClassName, Finite] | None = None
    sensitivity: Annotated[float, Field(gt=0, lt=1)] | None = None
    specificity: Annotated[float, Field(gt=0, lt=1)] | None = None


class RunLimits(Part):
    """Clocks of the run; the institution's policy may lower them."""

    seconds_per_case: float = Field(default=10.0, gt=0, le=3600)
    seconds_per_run: float = Field(default=3600.0, gt=0, le=604_800)
