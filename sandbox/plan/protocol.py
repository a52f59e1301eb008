"""The protocol: the analysis plan that is registered before the first run, as checked YAML.

A protocol is identified by the digest of its canonical JSON with all defaults filled in, so that comments and
layout may change without a new registration, and nothing that decides a number can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from holdout.yamlfile import Document, mistakes_error, read_yaml, validate
from sandbox.canonical import digest
from sandbox.errors import ProtocolError
from sandbox.plan.analysis_section import (
    Agreement,
    Boundary,
    DecisionCurve,
    Hits,
    Intervals,
    PartialRange,
    Queue,
)
from sandbox.plan.case_mix_section import (
    CaseMix,
    Population,
    ReferenceErrors,
    Slices,
    find_case_mix_mistakes,
)
from sandbox.plan.metric_catalogue import MASK_COLUMNS, SCORED_KINDS
from sandbox.plan.output_schema import (
    SCORE,
    Finite,
    ScoreOutput,
)
from sandbox.plan.protocol_mistakes import find_mistakes
from sandbox.plan.protocol_words import Name, Part, Text
from sandbox.plan.release_section import AskedRelease, find_release_mistakes
from sandbox.plan.strata_section import Bias, Criterion, Minimum, Stratum
from sandbox.plan.stress_margins import margins_for
from sandbox.plan.stress_section import (
    Resolved,
    ResolvedTest,
    Stress,
    find_stress_mistakes,
    resolve,
    too_many,
)
from sandbox.plan.task_section import Input, OperatingPoint, Output, RunLimits, Task

_LATER = (
    "bias",
    "partial_auroc",
    "intended_prevalence",
    "decision_curve",
    "costs",
    "agreement",
    "queue",
    "boundary",
    "hits",
    "stress",
    "case_mix",
    "population",
    "slices",
    "reference_error",
    "release",
)
_POINT = ("threshold", "thresholds", "sensitivity", "specificity")


class Protocol(Part):
    """A checked analysis plan."""

    proctor: Literal["protocol/1"]
    name: Name
    title: Text
    description: Text | None = None
    task: Task
    output: Output = Output()
    input: Input = Input()
    operating_points: tuple[OperatingPoint, ...] = Field(default=(), max_length=20)
    intervals: Intervals = Intervals()
    failures: Literal["worst_case", "excluded"] = "worst_case"
    strata: tuple[Stratum, ...] = Field(default=(), max_length=50)
    minimum: Minimum = Minimum()
    bias: Bias | None = None
    partial_auroc: tuple[PartialRange, ...] = Field(default=(), max_length=10)
    intended_prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    decision_curve: DecisionCurve | None = None
    costs: tuple[tuple[Finite, ...], ...] | None = None
    agreement: Agreement | None = None
    queue: Queue | None = None
    boundary: Boundary | None = None
    hits: Hits | None = None
    stress: Stress | None = None
    case_mix: CaseMix | None = None
    population: Population | None = None
    slices: Slices | None = None
    reference_error: ReferenceErrors | None = None
    release: AskedRelease | None = None
    acceptance: tuple[Criterion, ...] = Field(default=(), max_length=100)
    limits: RunLimits = RunLimits()

    _digest: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.task.kind in SCORED_KINDS and self.output == Output():
            object.__setattr__(self, "output", Output(score=ScoreOutput()))
        if self.stress is not None:
            margins = margins_for(self.task.kind, self.stress.margins)
            object.__setattr__(self, "stress", self.stress.model_copy(update={"margins": margins}))
        self._digest = digest(self.document)
        return self

    @property
    def document(self) -> dict[str, Any]:
        """The plain mapping that the digest covers: every field, defaults filled in.

        Fields that a later version added are left out unless given: a protocol keeps its digest.
        """
        plain = self.model_dump(mode="json")
        for part, names in (
            (plain, _LATER),
            (plain["task"], ("target", "repeats")),
            (plain["output"], ("score", "classes", "grades", "value", "mask", "findings")),
            *((point, _POINT) for point in plain["operating_points"]),
            *((stratum, ("reference",)) for stratum in plain["strata"]),
            *((criterion, ("subject",)) for criterion in plain["acceptance"]),
            *(((plain["hits"], ("ignored", "weights")),) if plain["hits"] else ()),
        ):
            for name in names:
                if part.get(name) in (None, [], {}):
                    part.pop(name, None)
        mask = plain["output"].get("mask")
        if mask and mask["on_mismatch"] == "refuse":
            del mask["on_mismatch"]
        findings = plain["output"].get("findings")
        if findings and findings["form"] == "boxes_in_image":
            del findings["form"]
        return plain if self.stress is None else {**plain, "stress": self.stress.document}

    def with_stress_tests(self, tests: tuple[ResolvedTest, ...], left_out: tuple[str, ...] = ()) -> Protocol:
        """The same protocol whose section ``stress`` stands for ``tests``; the digest covers them."""
        assert self.stress is not None
        stress = self.stress.model_copy(update={"tests": tests, "left_out": left_out})
        filled = self.model_copy(update={"stress": stress})
        filled._digest = digest(filled.document)
        return filled

    @property
    def digest(self) -> str:
        """``sha256:`` and the hex digest of the canonical JSON of :attr:`document`."""
        return self._digest

    @property
    def score(self) -> ScoreOutput:
        """The score's range, of a task that answers one."""
        assert self.output.score is not None, "a task of this kind answers no score"
        return self.output.score

    @property
    def answer_columns(self) -> tuple[str, ...]:
        """Columns of the scored cases that hold the numbers of the answer, in the order of the schema."""
        if self.task.kind in SCORED_KINDS:
            return (SCORE,)
        if self.output.mask is not None:
            return tuple(f"answer:{name}" for name in MASK_COLUMNS)
        if self.output.findings is not None:
            return ("answer:ratings", "answer:matched")
        return tuple(f"answer:{number.name}" for number in self.output.numbers)

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the reference standard that the task is about."""
        if self.task.target is not None:
            return (self.task.target,)
        return self.output.classes.names if self.output.classes is not None else ()

    @property
    def subject(self) -> str:
        """What the task is about, in a word or a few: its target, or its labels."""
        return ", ".join(self.labels)

    @property
    def stratum_attributes(self) -> tuple[str, ...]:
        """Columns that scoring needs for strata and shortcuts, each once, in order of first mention."""
        names = [name for stratum in self.strata for name in stratum.attributes]
        return tuple(dict.fromkeys([*names, *(() if self.stress is None else self.stress.attributes)]))

    def bands(self, attribute: str) -> tuple[float, ...] | None:
        """Band edges declared for ``attribute``, or None when it is categorical."""
        return next((stratum.bands for stratum in self.strata if stratum.attribute == attribute), None)


def load_protocol(path: Path, *, registered: Resolved | None = None) -> Protocol:
    """Read and check a protocol.

    Args:
        registered: what the section ``stress`` of a registered protocol stood for when it was registered; None takes
            this version's registry and suites.

    Raises:
        ProtocolError: every mistake, each with file, line and path.
    """
    return _checked(read_yaml(path, ProtocolError), registered)


def _checked(document: Document, registered: Resolved | None) -> Protocol:
    protocol = validate(document, Protocol, ProtocolError)
    mistakes = [
        *find_mistakes(protocol),
        *find_case_mix_mistakes(protocol),
        *find_release_mistakes(protocol),
    ]
    if registered is None:
        mistakes += find_stress_mistakes(protocol)
    if mistakes:
        raise mistakes_error(document, mistakes, ProtocolError)
    if protocol.stress is None:
        return protocol
    found = resolve(protocol.stress, protocol.task.kind) if registered is None else registered
    filled = protocol.with_stress_tests(found.tests, found.left_out)
    if filled.stress is not None and (problem := too_many(filled.stress)):
        raise mistakes_error(document, [(("stress",), problem)], ProtocolError)
    return filled
