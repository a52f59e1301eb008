"""What each metric and each interval method on the page means, with its source.

A reader must be able to compute every number again from here; a method that is not in this list is shown by
its identifier and marked as undescribed, and a test keeps the list complete for what the scorer makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Final

from sandbox.outcome.bias_results import Bias
from sandbox.outcome.results import Estimate, Results
from sandbox.outcome.stress_results import StressResults
from sandbox.report.definition import Method, Metric
from sandbox.report.glossary_masks import FINDING_METRICS, MASK_METHODS, MASK_METRICS
from sandbox.report.glossary_mix import MIX_METHODS, mix_methods
from sandbox.report.glossary_stress import STRESS_METHODS, STRESS_METRICS
from sandbox.report.glossary_tasks import TASK_METHODS, TASK_METRICS
from sandbox.report.text import words


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodUse:
    """A word of a method's identifier as this report uses it: versions, metrics served, definition."""

    identifier: str
    versions: tuple[int, ...]
    metrics: tuple[str, ...]
    method: Method | None


METRICS: Final[Mapping[str, Metric]] = {
    **TASK_METRICS,
    **MASK_METRICS,
    **FINDING_METRICS,
    **STRESS_METRICS,
    "auroc": Metric(
        label="AUROC",
        definition=(
            "Area under the ROC curve: the chance that a positive case scores higher than a negative one, "
            "ties counted half."
        ),
        source="Hanley & McNeil 1982",
    ),
    "average_precision": Metric(
        label="Average precision",
        definition="Sum of precision times the step in recall, over all thresholds; no interpolation.",
        source="Davis & Goadrich 2006",
    ),
    "brier": Metric(
        label="Brier score",
        definition=(
            "Mean squared difference between score and truth (0 or 1); 0 is best, a failed case counts 1."
        ),
        source="Brier 1950",
    ),
    "calibration_slope": Metric(
        label="Calibration slope",
        definition=(
            "Slope of the logistic regression of the truth on the logit of the score; 1 is best, below 1 the "
            "scores are too extreme."
        ),
        source="Cox 1958; Van Calster et al. 2019",
    ),
    "calibration_intercept": Metric(
        label="Calibration intercept",
        definition=(
            "Intercept of the logistic regression of the truth with the logit of the score as offset "
            "(calibration in the large); 0 is best, above 0 the scores are too low."
        ),
        source="Cox 1958; Van Calster et al. 2019",
    ),
    "expected_calibration_error": Metric(
        label="Expected calibration error",
        definition=(
            "Mean over ten bins of equal width of the absolute difference between mean score and share of "
            "positives, weighted by cases; biased upward when cases are few."
        ),
        source="Naeini et al. 2015",
    ),
    "failure_rate": Metric(
        label="Failure rate",
        definition="Share of the cases asked that got no valid answer.",
        source="STARD 2015 item 15",
    ),
    "sensitivity": Metric(
        label="Sensitivity",
        definition="Share of positive cases called positive: TP / (TP + FN).",
        source="STARD 2015",
    ),
    "specificity": Metric(
        label="Specificity",
        definition="Share of negative cases called negative: TN / (TN + FP).",
        source="STARD 2015",
    ),
    "ppv": Metric(
        label="PPV",
        definition="Share of cases called positive that are positive: TP / (TP + FP), at this prevalence.",
        source="STARD 2015",
    ),
    "npv": Metric(
        label="NPV",
        definition="Share of cases called negative that are negative: TN / (TN + FN), at this prevalence.",
        source="STARD 2015",
    ),
    "lr_positive": Metric(
        label="LR+",
        definition="Positive likelihood ratio: sensitivity / (1 − specificity).",
        source="Simel, Samsa & Matchar 1991",
    ),
    "lr_negative": Metric(
        label="LR−",
        definition="Negative likelihood ratio: (1 − sensitivity) / specificity.",
        source="Simel, Samsa & Matchar 1991",
    ),
    "f1": Metric(
        label="F1",
        definition="Harmonic mean of PPV and sensitivity: 2 TP / (2 TP + FP + FN).",
        source="van Rijsbergen 1979",
    ),
    "balanced_accuracy": Metric(
        label="Balanced accuracy",
        definition="Mean of sensitivity and specificity.",
        source="Brodersen et al. 2010",
    ),
    "mcc": Metric(
        label="MCC",
        definition="Matthews correlation coefficient of call and truth, from −1 to 1; 0 is chance.",
        source="Matthews 1975",
    ),
    "attribute_auroc": Metric(
        label="AUROC of the attribute alone",
        definition="AUROC when each case is scored with the prevalence of its level and nothing else.",
        source="this project, sandbox/scoring/association.py",
    ),
    "conditional_auroc": Metric(
        label="AUROC within levels",
        definition=(
            "AUROC over the pairs of a positive and a negative case of the same level, every pair weighing "
            "the same."
        ),
        source="after Janes & Pepe 2009",
    ),
    "auroc_drop": Metric(
        label="Drop of the AUROC",
        definition="AUROC over all pairs minus AUROC within levels.",
        source="this project, sandbox/scoring/association.py",
    ),
    "calibration_in_the_large": Metric(
        label="Calibration in the large",
        definition=(
            "Mean of truth (0 or 1) minus score over answered cases; above 0 the scores are too low. Compared "
            "between groups only."
        ),
        source="Van Calster et al. 2019",
    ),
    "prevalence": Metric(
        label="Prevalence",
        definition="Share of cases that are positive by the reference standard.",
        source="STARD 2015",
    ),
}

METHODS: Final[Mapping[str, Method]] = {
    **TASK_METHODS,
    **MASK_METHODS,
    **MIX_METHODS,
    **STRESS_METHODS,
    "wilson": Method(definition="Score interval of a proportion.", source="Wilson 1927; Newcombe 1998"),
    "clopper-pearson": Method(
        definition="Exact binomial interval of a proportion, never narrower than stated.",
        source="Clopper & Pearson 1934",
    ),
    "delong-logit": Method(
        definition="Variance by structural components, interval on the logit scale.",
        source="DeLong, DeLong & Clarke-Pearson 1988",
    ),
    "newcombe-5": Method(
        definition="Score-type interval used where the variance is zero, as at AUROC 0 or 1.",
        source="Newcombe 2006, method 5",
    ),
    "jackknife-logit": Method(
        definition="Infinitesimal jackknife standard error, interval on the logit scale.",
        source="Boyd, Eng & Page 2013",
    ),
    "wilson-positives": Method(
        definition="Score interval with the positives as cases, used where the variance is zero.",
        source="Wilson 1927",
    ),
    "pairs-logit": Method(
        definition="Variance from the contributions of single cases, interval on the logit scale.",
        source="as DeLong, DeLong & Clarke-Pearson 1988",
    ),
    "pairs-difference": Method(
        definition="Variance from the differences of the contributions of single cases, normal interval.",
        source="as DeLong, DeLong & Clarke-Pearson 1988",
    ),
    "wilson-rectangles": Method(
        definition=(
            "Pointwise band of the ROC curve: joins the corners of the score intervals of sensitivity and of "
            "false-positive rate at each threshold; conservative."
        ),
        source="Hilgers 1991",
    ),
    "mean-t": Method(definition="Mean with a t interval.", source="Student 1908"),
    "logistic-sandwich": Method(
        definition="Logistic regression with sandwich standard errors.", source="White 1982"
    ),
    "bootstrap-percentile-patients": Method(
        definition="Percentile interval over resamples of whole patients.", source="Efron & Tibshirani 1993"
    ),
    "bootstrap-expanded-percentile-patients": Method(
        definition="Percentile interval over resamples of whole patients, widened as Student's t is for few patients.",
        source="Hesterberg 2015",
    ),
    "simel-log": Method(
        definition="Interval of a ratio of proportions on the log scale.",
        source="Simel, Samsa & Matchar 1991",
    ),
    "newcombe-10": Method(
        definition="Interval of a difference of proportions from the score intervals of both.",
        source="Newcombe 1998, method 10",
    ),
    "t": Method(definition="A t interval for each of two means.", source="Student 1908"),
    "chi-square": Method(
        definition="Test that all levels have one rate; with clusters by their covariance under it.",
        source="Pearson 1900; Rao & Scott 1992",
    ),
    "cochran-q": Method(
        definition="Test that all levels have one mean, each with its own variance.", source="Cochran 1954"
    ),
    "cochran-q-logit": Method(
        definition="Test that all levels have one AUROC, on the logit scale.", source="Cochran 1954"
    ),
    "cochran-q-scaled": Method(
        definition="Test that all levels have one value, on the scale of its range (logit, logarithm or none).",
        source="Cochran 1954",
    ),
    "t-scaled": Method(
        definition=(
            "Limits by t on the scale of the value's range (logit between two ends, logarithm above one, else none), "
            "from the influences of the cases summed by patient, or from resamples of whole patients."
        ),
        source="Hampel 1974; Efron & Tibshirani 1993",
    ),
    "max-t-resampled": Method(
        definition=(
            "p-values and intervals for all comparisons of a metric at once, from the largest gap in resamples of "
            "whole patients, in each of which the metric is made anew; p is (1 + k) / (1 + B)."
        ),
        source="Westfall & Young 1993",
    ),
    "normal-own-covariance": Method(
        definition=(
            "Chance alone: levels drawn as normal about one value on the scale of its range, each with its variance."
        ),
        source="Efron & Tibshirani 1993",
    ),
    "max-t-multinomial": Method(
        definition=(
            "p-values and intervals for all comparisons of a metric at once, from the largest statistic in "
            "resamples of whole patients; p is (1 + k) / (1 + B)."
        ),
        source="Westfall & Young 1993",
    ),
    "max-t-normal": Method(
        definition="The same for very many patients, whose sums are drawn as normal.",
        source="Westfall & Young 1993",
    ),
    "hypergeometric": Method(
        definition="Chance alone: the outcomes dealt anew among the levels.", source="Fisher 1935"
    ),
    "permutation": Method(
        definition="Chance alone: levels permuted among the positive and among the negative cases.",
        source="Fisher 1935",
    ),
    "normal-common-correlation": Method(
        definition=(
            "Chance alone: levels drawn as normal about one value, with one correlation between cases of a "
            "patient."
        ),
        source="Donner & Klar 1994",
    ),
    "beta-binomial-moments": Method(
        definition="Rates drawn toward their mean, spread between levels by moments.", source="Kleinman 1973"
    ),
    "random-effects-dersimonian-laird": Method(
        definition="Values drawn toward their mean on their scale (AUROC: logit), spread between levels by moments.",
        source="DerSimonian & Laird 1986",
    ),
    "delta-fisher-z": Method(
        definition="Delta method on Fisher's z scale.", source="Itaya et al. 2024, arXiv 2405.12622"
    ),
}
"""Interval methods by the first part of their identifier."""

BEFORE: Final[Mapping[str, Method]] = {
    "indirect-": Method(
        definition="Through TP / (TP + FP + FN), a proportion of which F1 is a rising function.",
        source="Lam 2023, arXiv 2309.14621",
    ),
    "mover-": Method(
        definition="The limits of both parts of a sum or difference combined.", source="Zou & Donner 2008"
    ),
}
"""What a first word of a method's identifier adds."""

AFTER: Final[Mapping[str, Method]] = {
    "-half-added": Method(
        definition="Half a case added to every cell for the interval, never for the value.",
        source="Haldane 1956",
    ),
    "-clustered": Method(
        definition="Cases of one patient are not counted as independent: variances sum by patient.",
        source="Obuchowski 1997; Rao & Scott 1992",
    ),
}
"""What a last word of a method's identifier adds."""


def words_of(identifier: str) -> list[str]:
    """Take a method's identifier apart: the first words, the method itself, the last words.

    ``mover-wilson-clustered`` gives ``mover-``, ``wilson`` and ``-clustered``.
    """
    first: list[str] = []
    last: list[str] = []
    rest = identifier
    for word in BEFORE:
        if rest.startswith(word):
            rest = rest.removeprefix(word)
            first.append(word)
    for word in AFTER:
        if rest.endswith(word):
            rest = rest.removesuffix(word)
            last.insert(0, word)
    return [*first, rest, *last]


def metric_label(name: str) -> str:
    """Give the label of a metric; an unknown one in its own words."""
    known = METRICS.get(name)
    return known.label if known else words(name)


def estimates_in(value: object) -> Iterable[Estimate]:
    """Give every estimate anywhere beneath `value`, in the order of the fields."""
    if isinstance(value, Estimate):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from estimates_in(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from estimates_in(getattr(value, field.name))


def metrics_used(results: Results, stress: StressResults | None = None) -> list[tuple[str, Metric | None]]:
    """Give each metric that occurs, in order of first occurrence."""
    names = dict.fromkeys(estimate.metric for estimate in estimates_in((results, stress)))
    for analysis in results.analyses:
        names |= dict.fromkeys(each.metric for each in (analysis.bias.families if analysis.bias else ()))
    return [(name, METRICS.get(name)) for name in names]


def _gap_methods(bias: Bias) -> Iterable[tuple[str, int, str]]:
    for family in bias.families:
        yield family.method, family.version, f"gaps of {metric_label(family.metric)}"
    for stratum in bias.strata:
        label = metric_label(stratum.metric)
        for gap in stratum.gaps:
            yield gap.method, gap.version, f"gaps of {label}"
        for made, what in (
            (stratum.heterogeneity, "heterogeneity"),
            (stratum.chance, "gaps by chance"),
            (stratum.shrinkage, "shrunk values"),
        ):
            if made is not None:
                yield made.method, made.version, f"{what} of {label}"


def _stress_methods(stress: StressResults) -> Iterable[tuple[str, int, str]]:
    for estimate in estimates_in(stress):
        yield estimate.method, estimate.version, metric_label(estimate.metric)
    if any(cell.losses for test in stress.tests for cell in test.cells):
        yield "max-t-stress", 1, "losses under stress"
    if stress.shortcuts:
        yield "max-t-permutation", 1, metric_label("group_auroc")


def methods_used(results: Results, stress: StressResults | None = None) -> list[MethodUse]:
    """Give each word of the interval methods that occur, with what it served: methods, then additions."""
    served: dict[str, dict[str, None]] = {}
    versions: dict[str, dict[int, None]] = {}
    uses = [(e.method, e.version, metric_label(e.metric)) for e in estimates_in(results)]
    for analysis in results.analyses:
        if analysis.curves.roc is not None:
            uses.append((analysis.curves.roc.method, 1, "ROC band"))
        if analysis.curves.calibration is not None:
            uses.append((analysis.curves.calibration.method, 1, "calibration curve"))
        if analysis.bias is not None:
            uses += _gap_methods(analysis.bias)
        uses += mix_methods(analysis)
    uses += [] if stress is None else _stress_methods(stress)
    for identifier, version, shown in uses:
        for word in words_of(identifier):
            served.setdefault(word, {})[shown] = None
            versions.setdefault(word, {})[version] = None
    known = {**METHODS, **BEFORE, **AFTER}
    additions = {**BEFORE, **AFTER}
    return [
        MethodUse(
            identifier=word,
            versions=tuple(sorted(versions[word])),
            metrics=tuple(served[word]),
            method=known.get(word),
        )
        for word in sorted(served, key=lambda word: (word in additions, word))
    ]
