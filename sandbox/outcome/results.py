"""Results of one evaluation: what scoring hands to report, dossier and acceptance; plain frozen data.

Schema ``proctor/results/1``. On disk the results are canonical JSON (RFC 8785): sorted keys, UTF-8, no NaN,
no timings, so that equal inputs give equal bytes. A number that cannot be estimated is ``null`` beside a
status and a reason; it is never 0 and never left out.

To grow: add optional fields with defaults at the end of a class; change of meaning needs a new schema number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sandbox import records
from sandbox.canonical import canonical_json
from sandbox.errors import ScoringError
from sandbox.outcome.bias_results import Bias
from sandbox.outcome.case_mix_results import CaseMix, ReferenceErrorBands, Representativeness, SliceSearch
from sandbox.outcome.result_figures import CountTable, Plot

SCHEMA = "proctor/results/1"

EstimateStatus = Literal["ok", "undefined", "too_few"]
Verdict = Literal["met", "not_met", "cannot_tell"]
FailureRule = Literal["worst_case", "excluded"]
Sampling = Literal["independent", "clustered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One number with its interval, its basis and the method that made it.

    Attributes:
        metric: name in the closed list of ``scoring.metrics``, e.g. ``auroc``, ``sensitivity``.
        value: point estimate, or None when undefined.
        low, high: limits of the two-sided interval, or None when there is none (``reason`` says why).
            An infinite limit (likelihood ratios) is written as None with ``reason`` naming it unbounded.
        level: confidence level of the interval, e.g. 0.95.
        n: cases the estimate rests on (its denominator for a proportion; all scored cases for a rank metric).
        positives: cases among ``n`` that are positive by the reference standard (for ``subject``, where the
            task has classes or labels); None for a metric without positive cases.
        patients: distinct patients among ``n``.
        successes: numerator of a proportion, None for other metrics.
        method: identifier of the interval's method, e.g. ``delong-logit-clustered``.
        version: version of that method in this code, raised whenever a number may change.
        status: ``ok``; ``too_few`` (value shown, but fewer cases than the protocol's minimum);
            ``undefined`` (no value can be given).
        reason: a sentence whenever status is not ``ok`` or a limit is missing, else None.
        subject: what the number is about where a task has several: a class, a label, a pair of grades.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    positives: int | None
    patients: int
    successes: int | None = None
    method: str
    version: int
    status: EstimateStatus = "ok"
    reason: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCount:
    """Cases that ended with one failure code; ``positives`` of them by the reference standard of a binary task."""

    code: str
    cases: int
    positives: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Participant flow (STARD 2015 item 19): how many cases reached each step.

    ``locked``, ``staged`` and ``asked`` come from the evaluation (None when it did not tell); the rest is
    counted from the scored cases. ``unlabelled`` cases have no reference standard and enter no analysis.
    ``positives`` and ``negatives``, here and below, are None unless the task has one binary target. ``most_cases`` is
    how many of ``cases`` the patient with the most has; None in results of before it was kept.
    """

    locked: int | None
    staged: int | None
    asked: int | None
    answered: int
    failed: int
    failures: tuple[FailureCount, ...]
    unlabelled: int
    cases: int
    patients: int
    positives: int | None
    negatives: int | None
    most_cases: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCount:
    """Share of the hold-out in one level of one attribute."""

    attribute: str
    level: str
    cases: int
    patients: int
    positives: int | None
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPointResult:
    """Confusion counts and rates at one threshold (positive: score >= threshold).

    ``chosen_by`` says by which declared target the threshold was found on these cases; None: it was declared.
    ``subject`` is the label of a task that has several.
    """

    name: str
    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int
    estimates: tuple[Estimate, ...]
    chosen_by: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RocCurve:
    """Corners of the empirical ROC curve with a pointwise band of sensitivity at each false-positive rate.

    Parallel tuples of equal length, in order of rising false-positive rate. ``threshold`` is None where no
    score reaches the corner: at the origin, and at the ends that failed cases make up under ``worst_case``.
    ``band_low``/``band_high`` are None where the band cannot be given.
    """

    false_positive_rate: tuple[float, ...]
    sensitivity: tuple[float, ...]
    threshold: tuple[float | None, ...]
    band_low: tuple[float | None, ...]
    band_high: tuple[float | None, ...]
    level: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRecallCurve:
    """Corners of the precision-recall curve (step rule), rising recall; ``prevalence`` is the chance line."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    threshold: tuple[float, ...]
    prevalence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """One bin of the reliability curve: mean score against observed share of positives, Wilson limits."""

    lower_edge: float
    upper_edge: float
    n: int
    positives: int
    patients: int
    mean_score: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationCurve:
    """Reliability curve; empty bins are left out. ``binning`` states the definition in a sentence."""

    bins: tuple[CalibrationBin, ...]
    level: float
    binning: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Curves of the overall analysis; None with a reason in ``reason`` when they cannot be drawn."""

    roc: RocCurve | None
    precision_recall: PrecisionRecallCurve | None
    calibration: CalibrationCurve | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumResult:
    """One level of one stratum (or crossing).

    ``attribute`` is the column name, or names joined by `` x `` for a crossing; ``level`` joins levels alike.
    ``estimates`` are AUROC and other threshold-free metrics; ``operating_points`` rates at each threshold.
    ``status`` is ``too_few`` below the protocol's minimum: counts are shown, estimates marked, no claim made.
    """

    attribute: str
    level: str
    n: int
    positives: int | None
    negatives: int | None
    patients: int
    failures: int
    estimates: tuple[Estimate, ...]
    operating_points: tuple[OperatingPointResult, ...]
    status: EstimateStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPrevalence:
    """Prevalence of the target in one level, with its interval."""

    level: str
    n: int
    positives: int
    patients: int
    prevalence: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """How far an attribute alone tells the reference standard, and the AUROC that is left within its levels.

    Attributes:
        attribute_auroc: AUROC of the attribute alone, each case scored with its level's prevalence. It is at
            least 0.5 by construction; ``chance`` says what an attribute without meaning reaches.
        chance: 95th percentile of ``attribute_auroc`` when the attribute is shuffled among patients.
        pooled: AUROC of the submission over all cases.
        conditional: AUROC of the submission over pairs of cases within the same level.
        drop: pooled minus conditional, with interval.
        between_pairs: share of positive-negative pairs whose two cases lie in different levels: the pairs
            that a shortcut can win without looking at the finding.
        flagged: the label goes with the attribute: ``attribute_auroc`` is beyond ``chance`` and beyond the
            margin declared in ``scoring.association``.
        drop_shown: the interval of ``drop`` lies above 0: part of the pooled AUROC comes from the attribute.
        sentence: what this means, in plain words; always present.
    """

    attribute: str
    levels: tuple[LevelPrevalence, ...]
    attribute_auroc: Estimate
    chance: float | None
    pooled: Estimate
    conditional: Estimate
    drop: Estimate
    between_pairs: float | None
    flagged: bool
    drop_shown: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstStratum:
    """The level with the lowest estimate of one metric, among those with enough cases, against all cases."""

    metric: str
    operating_point: str | None
    attribute: str
    level: str
    estimate: Estimate
    overall: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything computed under one rule for failed cases; ``bias`` is None without strata.

    ``tables`` and ``plots`` hold what a task has beside estimates: confusion matrices, curves by class, agreement.
    ``case_mix`` and what follows it are there when the protocol asks for them.
    """

    failure_rule: FailureRule
    n: int
    positives: int | None
    negatives: int | None
    patients: int
    sampling: Sampling
    estimates: tuple[Estimate, ...]
    operating_points: tuple[OperatingPointResult, ...]
    curves: Curves
    strata: tuple[StratumResult, ...]
    associations: tuple[Association, ...]
    worst: tuple[WorstStratum, ...]
    bias: Bias | None = None
    tables: tuple[CountTable, ...] = ()
    plots: tuple[Plot, ...] = ()
    case_mix: CaseMix | None = None
    population: Representativeness | None = None
    slices: SliceSearch | None = None
    reference_error: ReferenceErrorBands | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """One acceptance criterion, the estimate it was held against, and the verdict with its reason."""

    name: str
    metric: str
    operating_point: str | None
    stratum: str | None
    bound: Literal["lower", "upper", "value"]
    direction: Literal["at_least", "at_most"]
    limit: float
    estimate: Estimate
    verdict: Verdict
    reason: str
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Results of one evaluation.

    ``analyses`` always holds both failure rules in the order worst_case, excluded; ``chosen`` names the one
    that the protocol registered, on which ``acceptance`` and ``verdict`` rest. ``verdict`` is ``not_met``
    when any criterion is not met, else ``cannot_tell`` when any cannot be told, else ``met``; None without
    criteria. ``measure_unit`` is the unit of a measurement.
    """

    schema: str = SCHEMA
    evaluation: str
    protocol_name: str
    protocol_digest: str
    task: str
    target: str
    unit: str
    level: float
    flow: Flow
    composition: tuple[LevelCount, ...]
    chosen: FailureRule
    analyses: tuple[Analysis, ...]
    acceptance: tuple[CriterionResult, ...]
    verdict: Verdict | None
    notes: tuple[str, ...] = ()
    measure_unit: str | None = None

    def analysis(self, rule: FailureRule | None = None) -> Analysis:
        """Return the analysis under ``rule`` (the protocol's choice when None).

        Raises:
            ScoringError: these results hold no such analysis.
        """
        wanted = rule or self.chosen
        for analysis in self.analyses:
            if analysis.failure_rule == wanted:
                return analysis
        raise ScoringError(f"these results hold no analysis under the failure rule {wanted!r}; score again")


def to_json(results: Results) -> bytes:
    """Canonical JSON (RFC 8785) of ``results``, the bytes of ``results.json``.

    Raises:
        ScoringError: a number is NaN or infinite.
    """
    return canonical_json(to_dict(results))


def to_dict(results: Results) -> dict[str, Any]:
    """Return ``results`` as JSON-ready objects, tuples as lists.

    Raises:
        ScoringError: a number is NaN or infinite.
    """
    return records.to_plain(results, "results")


def from_json(data: bytes) -> Results:
    """Read back the bytes of :func:`to_json`.

    Raises:
        ScoringError: not JSON, another schema, or a missing, unknown or mistyped field.
    """
    raw = records.parse_json(data, "results.json")
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise ScoringError(f"results.json is not of the schema {SCHEMA}; score the evaluation again")
    return records.from_plain(Results, raw, "results")
