"""The protocol: the analysis plan that is registered before the first run, as checked YAML.

A protocol is identified by the digest of its canonical JSON with all defaults filled in, so that comments and
layout may change without a new registration, and nothing that decides a number can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, model_validator

from holdout.yamlfile import Document, mistakes_error, read_yaml, validate
from sandbox.bands import CROSS as CROSS
from sandbox.canonical import digest
from sandbox.case_mix_section import (
    CaseMix,
    Population,
    ReferenceErrors,
    Slices,
    find_case_mix_mistakes,
)
from sandbox.errors import ProtocolError
from sandbox.metric_catalogue import MASK_COLUMNS, SCORED_KINDS, TaskKind
from sandbox.output_schema import (
    SCORE,
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
from sandbox.protocol_mistakes import find_mistakes
from sandbox.release_section import AskedRelease, find_release_mistakes
from sandbox.stress_section import ResolvedTest, Stress, find_stress_mistakes, resolve, too_many

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

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
Keyword = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{1,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Task(_Part):
    """What is asked about each case of ``unit``.

    ``target`` is the column of the reference standard: 0/1 for binary and triage, a class or a grade by name, a number
    for a measurement, a mask, or lesions. A multilabel task has none: each of its labels is a 0/1 column of that name.
    ``repeats`` names an attribute of a measurement's cases: those with an equal value measure the same thing.
    """

    kind: TaskKind
    target: Column | None = None
    unit: Literal["image", "series", "study"]
    repeats: Column | None = None


class Output(_Part):
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


class Input(_Part):
    """DICOM keywords of the acquisition attributes that the container may see beside the pixels."""

    attributes: tuple[Keyword, ...] = Field(default=(), max_length=64)


class OperatingPoint(_Part):
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


class PartialRange(_Part):
    """A part of the ROC curve: ``low`` to ``high`` of one axis."""

    name: Name
    axis: Literal["false_positive_rate", "sensitivity"]
    low: Annotated[float, Field(ge=0, lt=1)]
    high: Annotated[float, Field(gt=0, le=1)]


class DecisionCurve(_Part):
    """Threshold probabilities at which a reader would weigh a missed case against a false alarm."""

    low: Annotated[float, Field(gt=0, lt=1)]
    high: Annotated[float, Field(gt=0, lt=1)]


class Reading(_Part):
    """How long a read takes: the mean in minutes, and the standard deviation over the mean (1: exponential)."""

    mean_minutes: Annotated[float, Field(gt=0, le=10_000)]
    variation: Annotated[float, Field(ge=0, le=10)] = 1.0


class Queue(_Part):
    """The reading list into which a triage device puts its alarms first.

    Cases arrive at random (Poisson), ``arrivals_per_hour`` of them, ``prevalence`` of which are diseased. One
    reader takes alarms first; ``interrupt`` says whether an alarm interrupts the read of another case.
    """

    operating_point: Name
    arrivals_per_hour: Annotated[float, Field(gt=0, le=10_000)]
    prevalence: Annotated[float, Field(gt=0, lt=1)]
    diseased: Reading
    non_diseased: Reading
    interrupt: bool = False
    transfer_minutes: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    simulated_cases: int = Field(default=50_000, ge=1000, le=500_000)


class Agreement(_Part):
    """How a measurement's agreement is analysed: the limits' coverage, and Deming's ratio of error variances.

    ``error_variance_ratio`` is the error variance of the reference over that of the container's value.
    """

    coverage: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    error_variance_ratio: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class Boundary(_Part):
    """How masks are compared: ``tolerance`` of the normalised surface Dice, in ``unit``, and two empty masks.

    ``unit`` is mm, by the spacing that the image states, or px: every element counts as 1, whatever its size.
    Two empty masks are ``right`` (overlap 1, distance 0), or ``excluded`` from overlaps and distances.
    """

    tolerance: Annotated[float, Field(gt=0, le=1000)]
    unit: Literal["mm", "px"] = "mm"
    both_empty: Literal["right", "excluded"] = "right"


FalsePositiveRate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class Hits(_Part):
    """When a finding hits a lesion, and what is reported.

    ``iou``: boxes overlap by at least ``least``; ``centre``: the finding's centre lies in the lesion's box;
    ``distance``: their centres are at most ``most_distance`` pixels apart. ``ignored`` names a label with regions
    (boxes or a mask) that the reference standard leaves open: a finding whose centre lies in one, and that hits no
    lesion, counts for nothing. ``weights`` names labels that hold some of the lesions again, with what each of these
    lesions weighs in wAFROC; others weigh 1, and the weights of a case are scaled to add up to 1. ``order`` and
    ``repeats`` are those of :func:`sandbox.scoring.detection.matching.match`. ``rates`` are the false positives per
    case, and per normal case, at which sensitivity is reported.
    """

    rule: Literal["iou", "centre", "distance"]
    least: Annotated[float, Field(gt=0, le=1)] | None = None
    most_distance: Annotated[float, Field(gt=0, le=10_000)] | None = None
    order: Literal["by_rating", "most_matches"] = "by_rating"
    repeats: Literal["left_out", "false_positive"] = "left_out"
    ignored: Column | None = None
    weights: dict[Column, Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] = Field(
        default_factory=dict, max_length=10
    )
    rates: tuple[FalsePositiveRate, ...] = Field(
        default=(0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), max_length=20
    )


class Intervals(_Part):
    """How intervals are made. ``level`` is two-sided."""

    level: float = Field(default=0.95, ge=0.5, le=0.999)
    proportion: Literal["wilson", "clopper-pearson"] = "wilson"
    bootstrap_replicates: int = Field(default=2000, ge=200, le=100_000)


class Stratum(_Part):
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


class Minimum(_Part):
    """Fewest cases and patients on which an estimate may carry a claim; below, it is marked too few."""

    positives: int = Field(default=10, ge=1)
    negatives: int = Field(default=10, ge=1)
    patients: int = Field(default=10, ge=1)


Margin = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
OwnMargin = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Bias(_Part):
    """How large a gap between groups may be: ``margin`` for shares and correlations, ``margins`` for single metrics.

    ``margin`` is a difference of two values of at most 1; a metric in millimetres or grades needs its own.
    """

    margin: Margin | None = None
    margins: dict[MetricName, OwnMargin] = Field(default_factory=dict)

    def of(self, metric: str, *, share: bool = True) -> float | None:
        """Margin of one metric, None where none was declared; ``share``: its values lie between -1 and 1."""
        return self.margins.get(metric, self.margin if share else None)


class StratumLevel(_Part):
    """One level of one declared stratum."""

    attribute: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    level: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Criterion(_Part):
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


class RunLimits(_Part):
    """Clocks of the run; the institution's policy may lower them."""

    seconds_per_case: float = Field(default=10.0, gt=0, le=3600)
    seconds_per_run: float = Field(default=3600.0, gt=0, le=604_800)


class Protocol(_Part):
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
        return plain if self.stress is None else {**plain, "stress": self.stress.document}

    def with_stress_tests(self, tests: tuple[ResolvedTest, ...]) -> Protocol:
        """The same protocol whose section ``stress`` stands for ``tests``; the digest covers them."""
        assert self.stress is not None
        filled = self.model_copy(update={"stress": self.stress.model_copy(update={"tests": tests})})
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


def load_protocol(path: Path, *, stress_tests: tuple[ResolvedTest, ...] | None = None) -> Protocol:
    """Read and check a protocol.

    Args:
        stress_tests: what the section ``stress`` of a registered protocol stood for when it was registered; None
            takes this version's registry and suites.

    Raises:
        ProtocolError: every mistake, each with file, line and path.
    """
    return _checked(read_yaml(path, ProtocolError), stress_tests)


def _checked(document: Document, stress_tests: tuple[ResolvedTest, ...] | None) -> Protocol:
    protocol = validate(document, Protocol, ProtocolError)
    mistakes = [
        *find_mistakes(protocol),
        *find_case_mix_mistakes(protocol),
        *find_release_mistakes(protocol),
    ]
    if stress_tests is None:
        mistakes += find_stress_mistakes(protocol)
    if mistakes:
        raise mistakes_error(document, mistakes, ProtocolError)
    if protocol.stress is None:
        return protocol
    filled = protocol.with_stress_tests(resolve(protocol.stress) if stress_tests is None else stress_tests)
    if filled.stress is not None and (problem := too_many(filled.stress)):
        raise mistakes_error(document, [(("stress",), problem)], ProtocolError)
    return filled
