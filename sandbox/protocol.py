"""The protocol: the analysis plan that is registered before the first run, as checked YAML.

A protocol is identified by the digest of its canonical JSON with all defaults filled in, so that comments and
layout may change without a new registration, and nothing that decides a number can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, model_validator

from holdout.yamlfile import Document, Where, mistakes_error, read_yaml, validate
from sandbox.bands import band_names
from sandbox.canonical import digest
from sandbox.errors import ProtocolError

CROSS = " x "
"""Joins attributes, and levels, of a crossing."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
Keyword = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{1,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

Metric = Literal[
    "auroc",
    "average_precision",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "expected_calibration_error",
    "failure_rate",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "lr_positive",
    "lr_negative",
    "f1",
    "balanced_accuracy",
    "mcc",
]
THRESHOLD_METRICS = frozenset(
    {
        "sensitivity",
        "specificity",
        "ppv",
        "npv",
        "lr_positive",
        "lr_negative",
        "f1",
        "balanced_accuracy",
        "mcc",
    }
)
GapMetric = Literal["auroc", "sensitivity", "specificity", "ppv", "failure_rate", "calibration_in_the_large"]
"""What is compared between groups."""
SCORE_ONLY_OVERALL = frozenset({"calibration_slope", "expected_calibration_error"})
"""Metrics that are given over all cases only: within small strata they are noise or bias."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Task(_Part):
    """What is asked: a binary target of the reference standard, for each case of ``unit``."""

    kind: Literal["binary"]
    target: Column
    unit: Literal["image", "series", "study"]


class ScoreOutput(_Part):
    """The one number that a container answers, and how finely it is kept.

    ``levels`` evenly spaced values from ``minimum`` to ``maximum``: answers are rounded to them, which bounds
    the bits that a container can pass on with an answer.
    """

    minimum: Finite = 0.0
    maximum: Finite = 1.0
    levels: int = Field(default=1001, ge=2, le=65536)


class Output(_Part):
    """The answer's schema."""

    score: ScoreOutput = ScoreOutput()


class Input(_Part):
    """DICOM keywords of the acquisition attributes that the container may see beside the pixels."""

    attributes: tuple[Keyword, ...] = Field(default=(), max_length=64)


class OperatingPoint(_Part):
    """A threshold fixed before the run; a case is called positive when score >= threshold."""

    name: Name
    threshold: Finite


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


class Bias(_Part):
    """How large a gap between groups may be: ``margin`` for every metric, ``margins`` for single ones.

    A gap is a difference of two values between 0 and 1, and so is a margin.
    """

    margin: Margin
    margins: dict[GapMetric, Margin] = Field(default_factory=dict)

    def of(self, metric: GapMetric) -> float:
        """Margin of one metric."""
        return self.margins.get(metric, self.margin)


class StratumLevel(_Part):
    """One level of one declared stratum."""

    attribute: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    level: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Criterion(_Part):
    """One acceptance criterion: a bound of an estimate held against a limit."""

    name: Name
    metric: Metric
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
    acceptance: tuple[Criterion, ...] = Field(default=(), max_length=100)
    limits: RunLimits = RunLimits()

    _digest: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _remember_digest(self) -> Self:
        self._digest = digest(self.document)
        return self

    @property
    def document(self) -> dict[str, Any]:
        """The plain mapping that the digest covers: every field, defaults filled in.

        Fields that a later version added are left out unless given: a protocol keeps its digest.
        """
        plain = self.model_dump(mode="json")
        for part, names in ((plain, ("bias",)), *((stratum, ("reference",)) for stratum in plain["strata"])):
            for name in names:
                if part[name] is None:
                    del part[name]
        return plain

    @property
    def digest(self) -> str:
        """``sha256:`` and the hex digest of the canonical JSON of :attr:`document`."""
        return self._digest

    @property
    def stratum_attributes(self) -> tuple[str, ...]:
        """Columns that scoring needs for the strata, each once, in order of first mention."""
        return tuple(dict.fromkeys(name for stratum in self.strata for name in stratum.attributes))

    def bands(self, attribute: str) -> tuple[float, ...] | None:
        """Band edges declared for ``attribute``, or None when it is categorical."""
        return next((stratum.bands for stratum in self.strata if stratum.attribute == attribute), None)


def load_protocol(path: Path) -> Protocol:
    """Read and check a protocol.

    Raises:
        ProtocolError: every mistake, each with file, line and path.
    """
    return _checked(read_yaml(path, ProtocolError))


def _checked(document: Document) -> Protocol:
    protocol = validate(document, Protocol, ProtocolError)
    mistakes = find_mistakes(protocol)
    if mistakes:
        raise mistakes_error(document, mistakes, ProtocolError)
    return protocol


def find_mistakes(protocol: Protocol) -> list[tuple[Where, str]]:
    """Return what is impossible although each field alone is well formed, as (path, message)."""
    found: list[tuple[Where, str]] = []
    score = protocol.output.score
    if not score.minimum < score.maximum:
        found.append((("output", "score", "maximum"), "must be greater than minimum."))
    for index, keyword in enumerate(protocol.input.attributes):
        if keyword in protocol.input.attributes[:index]:
            found.append((("input", "attributes", index), "is named twice."))
    names = [point.name for point in protocol.operating_points]
    for index, point in enumerate(protocol.operating_points):
        where: Where = ("operating_points", index)
        if point.name in names[:index]:
            found.append(((*where, "name"), "is used by an operating point above; names must differ."))
        if not score.minimum < point.threshold <= score.maximum:
            found.append(
                (
                    (*where, "threshold"),
                    f"must be above {score.minimum:g} and at most {score.maximum:g}, the range of the score: "
                    "otherwise every case, or none, is called positive.",
                )
            )
    found += _stratum_mistakes(protocol)
    found += _criterion_mistakes(protocol)
    if protocol.limits.seconds_per_case > protocol.limits.seconds_per_run:
        found.append((("limits", "seconds_per_case"), "must not exceed seconds_per_run."))
    return found


def _stratum_mistakes(protocol: Protocol) -> list[tuple[Where, str]]:
    found: list[tuple[Where, str]] = []
    seen: set[str] = set()
    for index, stratum in enumerate(protocol.strata):
        where: Where = ("strata", index)
        if (stratum.attribute is None) == (stratum.cross is None):
            found.append((where, "give either attribute or cross."))
            continue
        if stratum.name in seen:
            found.append((where, "is declared twice."))
        seen.add(stratum.name)
        if stratum.bands is not None:
            if stratum.cross is not None:
                found.append(
                    ((*where, "bands"), "belong to the stratum of the attribute, not to a crossing.")
                )
            if list(stratum.bands) != sorted(set(stratum.bands)):
                found.append(((*where, "bands"), "must rise from edge to edge."))
        if stratum.cross is not None and len(set(stratum.cross)) < len(stratum.cross):
            found.append(((*where, "cross"), "names an attribute twice."))
        if stratum.reference is not None:
            found += [((*where, "reference"), text) for text in _reference_mistakes(stratum, protocol)]
    if protocol.bias is not None and not protocol.strata:
        found.append((("bias",), "needs strata: there is no group to compare."))
    return found


def _reference_mistakes(stratum: Stratum, protocol: Protocol) -> list[str]:
    """Say why ``reference`` cannot be a level, as far as that shows before the data are seen."""
    levels = (stratum.reference or "").split(CROSS)
    if len(levels) < len(stratum.attributes):
        return [f"must name one level of each of {', '.join(stratum.attributes)}, joined by {CROSS!r}."]
    if len(levels) > len(stratum.attributes):
        return []  # a level's own text holds the joining word; the data will tell
    found = []
    for attribute, level in zip(stratum.attributes, levels, strict=True):
        bands = protocol.bands(attribute)
        if bands is not None and level not in band_names(bands):
            found.append(f"is not a band of {attribute} ({', '.join(band_names(bands))}).")
        elif level == "unknown":
            found.append("must be a level that is known.")
    return found


def _criterion_mistakes(protocol: Protocol) -> list[tuple[Where, str]]:
    found: list[tuple[Where, str]] = []
    points = [point.name for point in protocol.operating_points]
    strata = [stratum.name for stratum in protocol.strata]
    names = [criterion.name for criterion in protocol.acceptance]
    for index, criterion in enumerate(protocol.acceptance):
        where: Where = ("acceptance", index)
        if criterion.name in names[:index]:
            found.append(((*where, "name"), "is used by a criterion above; names must differ."))
        if (criterion.at_least is None) == (criterion.at_most is None):
            found.append((where, "give either at_least or at_most."))
            continue
        if criterion.bound == "lower" and criterion.at_most is not None:
            found.append(((*where, "bound"), "lower goes with at_least; use upper, or value, with at_most."))
        if criterion.bound == "upper" and criterion.at_least is not None:
            found.append(((*where, "bound"), "upper goes with at_most; use lower, or value, with at_least."))
        found += [((*where, key), text) for key, text in _operating_point_mistakes(criterion, points)]
        if criterion.stratum is not None:
            if criterion.stratum.attribute not in strata:
                declared = ", ".join(strata) or "none"
                found.append(((*where, "stratum", "attribute"), f"is not a declared stratum ({declared})."))
            if criterion.metric in SCORE_ONLY_OVERALL:
                found.append(((*where, "stratum"), f"{criterion.metric} is estimated over all cases only."))
        if not _possible(criterion.metric, criterion.limit):
            found.append(((*where, criterion.direction), f"is not a possible value of {criterion.metric}."))
    return found


def _operating_point_mistakes(criterion: Criterion, points: list[str]) -> list[tuple[str, str]]:
    if criterion.metric in THRESHOLD_METRICS:
        if criterion.operating_point is None:
            return [("metric", f"{criterion.metric} needs an operating_point.")]
        if criterion.operating_point not in points:
            return [("operating_point", f"is not declared ({', '.join(points) or 'none'}).")]
    elif criterion.operating_point is not None:
        return [("operating_point", f"does not go with {criterion.metric}, which has no threshold.")]
    return []


def _possible(metric: str, limit: float) -> bool:
    if metric in ("calibration_slope", "calibration_intercept"):
        return True
    if metric in ("lr_positive", "lr_negative"):
        return limit >= 0
    return (-1.0 if metric == "mcc" else 0.0) <= limit <= 1.0
