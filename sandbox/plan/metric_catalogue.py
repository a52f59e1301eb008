"""Which metrics each kind of task has, what their values can be, and what a criterion must name beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

TaskKind = Literal[
    "binary", "multiclass", "multilabel", "ordinal", "measurement", "triage", "segmentation", "detection"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """What a criterion on one metric may say.

    Attributes:
        low, high: smallest and largest possible value.
        at_point: it is an estimate at a declared operating point, which the criterion must name.
        subject: what the criterion's ``subject`` must name: a ``class`` (or label), an adjacent ``pair`` of
            grades (``A | B``), a declared ``range`` of a partial AUROC, a declared ``rate`` of false positives; None:
            it has no subject.
        in_strata: whether it is estimated in each stratum too.
    """

    low: float = 0.0
    high: float = 1.0
    at_point: bool = False
    subject: Literal["class", "pair", "range", "rate"] | None = None
    in_strata: bool = True


_UNIT = MetricRule()
_ANY = MetricRule(low=-math.inf, high=math.inf)
_POSITIVE = MetricRule(high=math.inf)
_CORRELATION = MetricRule(low=-1.0)
_CLASS = MetricRule(subject="class")
_POINT = MetricRule(at_point=True)

_BINARY: Final = {
    "auroc": _UNIT,
    "average_precision": _UNIT,
    "brier": _UNIT,
    "calibration_slope": MetricRule(low=-math.inf, high=math.inf, in_strata=False),
    "calibration_intercept": _ANY,
    "expected_calibration_error": MetricRule(in_strata=False),
    "failure_rate": _UNIT,
    "partial_auroc": MetricRule(subject="range", in_strata=False),
    "partial_auroc_corrected": MetricRule(subject="range", low=-math.inf, in_strata=False),
    "sensitivity": _POINT,
    "specificity": _POINT,
    "ppv": _POINT,
    "npv": _POINT,
    "lr_positive": MetricRule(high=math.inf, at_point=True),
    "lr_negative": MetricRule(high=math.inf, at_point=True),
    "f1": _POINT,
    "balanced_accuracy": _POINT,
    "mcc": MetricRule(low=-1.0, at_point=True),
    "ppv_at_prevalence": _POINT,
    "npv_at_prevalence": _POINT,
    "net_benefit": MetricRule(low=-math.inf, at_point=True),
}

_MULTICLASS: Final = {
    "accuracy": _UNIT,
    "top_2_accuracy": _UNIT,
    "top_3_accuracy": _UNIT,
    "balanced_accuracy": _UNIT,
    "macro_ppv": _UNIT,
    "macro_f1": _UNIT,
    "cohen_kappa": _CORRELATION,
    "mcc": _CORRELATION,
    "macro_auroc": _UNIT,
    "micro_auroc": _UNIT,
    "hand_till_auroc": _UNIT,
    "multiclass_brier": MetricRule(high=2.0),
    "failure_rate": _UNIT,
    "auroc": _CLASS,
    "sensitivity": _CLASS,
    "specificity": _CLASS,
    "ppv": _CLASS,
    "calibration_intercept": MetricRule(low=-math.inf, high=math.inf, subject="class"),
    "brier": _CLASS,
}

_MULTILABEL: Final = {
    "macro_auroc": _UNIT,
    "macro_average_precision": _UNIT,
    "label_ranking_average_precision": _UNIT,
    "macro_f1": MetricRule(at_point=True),
    "micro_f1": MetricRule(at_point=True),
    "exact_match": MetricRule(at_point=True),
    "hamming_loss": MetricRule(at_point=True),
    "failure_rate": _UNIT,
    "auroc": _CLASS,
    "average_precision": _CLASS,
    "brier": _CLASS,
    "calibration_intercept": MetricRule(low=-math.inf, high=math.inf, subject="class"),
    "sensitivity": MetricRule(at_point=True, subject="class"),
    "specificity": MetricRule(at_point=True, subject="class"),
    "ppv": MetricRule(at_point=True, subject="class"),
    "npv": MetricRule(at_point=True, subject="class"),
    "f1": MetricRule(at_point=True, subject="class"),
    "balanced_accuracy": MetricRule(at_point=True, subject="class"),
    "lr_positive": MetricRule(high=math.inf, at_point=True, subject="class"),
    "lr_negative": MetricRule(high=math.inf, at_point=True, subject="class"),
    "mcc": MetricRule(low=-1.0, at_point=True, subject="class"),
}

_ORDINAL: Final = {
    "quadratic_kappa": _CORRELATION,
    "linear_kappa": _CORRELATION,
    "exact_agreement": _UNIT,
    "within_one_agreement": _UNIT,
    "mean_grade_error": MetricRule(low=-math.inf, high=math.inf),
    "mean_absolute_grade_error": _POSITIVE,
    "expected_cost": _POSITIVE,
    "failure_rate": _UNIT,
    "adjacent_auroc": MetricRule(subject="pair"),
    "sensitivity": _CLASS,
    "ppv": _CLASS,
}

_MEASUREMENT: Final = {
    "bias": _ANY,
    "lower_limit_of_agreement": _ANY,
    "upper_limit_of_agreement": _ANY,
    "standard_deviation_of_differences": _POSITIVE,
    "mean_absolute_error": _POSITIVE,
    "root_mean_square_error": _POSITIVE,
    "concordance_correlation": _CORRELATION,
    "icc_a1": _CORRELATION,
    "icc_c1": _CORRELATION,
    "deming_slope": _ANY,
    "deming_intercept": _ANY,
    "passing_bablok_slope": MetricRule(high=math.inf, in_strata=False),
    "passing_bablok_intercept": MetricRule(low=-math.inf, high=math.inf, in_strata=False),
    "within_subject_sd": MetricRule(high=math.inf, in_strata=False),
    "repeatability_coefficient": MetricRule(high=math.inf, in_strata=False),
    "failure_rate": _UNIT,
}

_TRIAGE: Final = {
    **_BINARY,
    "time_to_notification_median": MetricRule(high=math.inf, in_strata=False),
    "time_to_notification_p90": MetricRule(high=math.inf, in_strata=False),
    "wait_saved_diseased": MetricRule(low=-math.inf, high=math.inf, in_strata=False),
    "wait_added_non_diseased": MetricRule(low=-math.inf, high=math.inf, in_strata=False),
    "wait_saved_diseased_simulated": MetricRule(low=-math.inf, high=math.inf, in_strata=False),
    "wait_added_non_diseased_simulated": MetricRule(low=-math.inf, high=math.inf, in_strata=False),
}

_SEGMENTATION: Final = {
    "mean_dice": _UNIT,
    "median_dice": _UNIT,
    "mean_iou": _UNIT,
    "mean_nsd": _UNIT,
    "mean_hd95": _POSITIVE,
    "median_hd95": _POSITIVE,
    "mean_assd": _POSITIVE,
    "volume_bias": _ANY,
    "mean_absolute_volume_error": _POSITIVE,
    "panoptic_quality": _UNIT,
    "recognition_quality": _UNIT,
    "failure_rate": _UNIT,
}

_DETECTION: Final = {
    "average_precision": _UNIT,
    "case_auroc": _UNIT,
    "wafroc": _UNIT,
    "afroc": _UNIT,
    "cpm": _UNIT,
    "froc_sensitivity": MetricRule(subject="rate"),
    "froc_sensitivity_per_normal": MetricRule(subject="rate"),
    "failure_rate": _UNIT,
}

METRICS: Final[Mapping[TaskKind, Mapping[str, MetricRule]]] = {
    "binary": _BINARY,
    "multiclass": _MULTICLASS,
    "multilabel": _MULTILABEL,
    "ordinal": _ORDINAL,
    "measurement": _MEASUREMENT,
    "triage": _TRIAGE,
    "segmentation": _SEGMENTATION,
    "detection": _DETECTION,
}

_COMPARED: Final[Mapping[TaskKind, tuple[str, ...]]] = {
    "binary": ("auroc", "failure_rate", "sensitivity", "specificity", "ppv", "npv"),
    "triage": ("auroc", "failure_rate", "sensitivity", "specificity", "ppv", "npv"),
    "multiclass": (
        "accuracy", "balanced_accuracy", "cohen_kappa", "macro_auroc", "auroc", "sensitivity", "specificity", "ppv",
        "failure_rate",
    ),
    "multilabel": ("macro_auroc", "auroc", "sensitivity", "specificity", "ppv", "npv", "failure_rate"),
    "ordinal": (
        "quadratic_kappa", "exact_agreement", "within_one_agreement", "mean_absolute_grade_error", "expected_cost",
        "failure_rate",
    ),
    "measurement": (
        "mean_absolute_error", "root_mean_square_error", "concordance_correlation", "failure_rate"
    ),
    "segmentation": (
        "mean_dice", "mean_iou", "mean_nsd", "mean_hd95", "mean_assd", "volume_bias", "mean_absolute_volume_error",
        "panoptic_quality", "recognition_quality", "failure_rate",
    ),
    "detection": ("froc_sensitivity", "average_precision", "cpm", "wafroc", "case_auroc", "failure_rate"),
}  # fmt: skip
_COMPARED_ONLY: Final[Mapping[TaskKind, Mapping[str, MetricRule]]] = {
    "binary": {"calibration_in_the_large": MetricRule(low=-1.0)},
    "triage": {"calibration_in_the_large": MetricRule(low=-1.0)},
    "ordinal": {"answered_grade_error": _ANY},
    "measurement": {"answered_bias": _ANY},
}
GAP_METRICS: Final[Mapping[TaskKind, Mapping[str, MetricRule]]] = {
    kind: {name: METRICS[kind][name] for name in names} | dict(_COMPARED_ONLY.get(kind, {}))
    for kind, names in _COMPARED.items()
}
"""What is compared between groups."""

SCORED_KINDS: Final[frozenset[TaskKind]] = frozenset({"binary", "triage"})
"""Kinds whose answer is one score for one target."""

MASK_COLUMNS: Final = (
    "dice", "iou", "nsd", "hd95", "assd", "volume", "matched", "matched_iou", "false_positive", "missed"
)  # fmt: skip
"""What is kept of the comparison of one answered mask with its reference; objects are counted, not named."""
THRESHOLD_METRICS: Final = frozenset(name for name, rule in _BINARY.items() if rule.at_point)
SCORE_ONLY_OVERALL: Final = frozenset({"calibration_slope", "expected_calibration_error"})
"""Metrics that are given over all cases only: within small strata they are noise or bias."""
PAIR: Final = " | "
"""Joins the two grades of an adjacent pair."""
