"""Methods of case mix, intended population, slices and errors of the reference, with definitions and sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sandbox.outcome.results import Analysis
from sandbox.report.definition import Method

MIX_METHODS: Final[Mapping[str, Method]] = {
    "direct-standardisation-mover-wilson": Method(
        definition="Rates of strata weighted by the mix of all cases; score limits of the strata combined.",
        source="Zou & Donner 2008; Yan & Su 2010",
    ),
    "mantel-haenszel-robins-breslow-greenland": Method(
        definition="Odds ratio pooled over strata of the case mix.",
        source="Mantel & Haenszel 1959; Robins, Breslow & Greenland 1986",
    ),
    "mantel-haenszel-difference-sato": Method(
        definition="Difference of rates pooled over strata of the case mix.", source="Sato 1989"
    ),
    "breslow-day-tarone": Method(
        definition="Test that the odds ratios of all strata are equal.",
        source="Breslow & Day 1980; Tarone 1985",
    ),
    "janes-pepe-stratified-logit": Method(
        definition="AUROC of positives among negatives of the same stratum, averaged over the positives.",
        source="Janes & Pepe 2009",
    ),
    "austin-2009": Method(
        definition="Difference of two shares over their pooled standard deviation.", source="Austin 2009"
    ),
    "yang-dalton-2012": Method(
        definition="Standardised difference of all levels of an attribute together.",
        source="Yang & Dalton 2012",
    ),
    "raking-deming-stephan": Method(
        definition="Weights of cases that meet the declared share of every level.",
        source="Deming & Stephan 1940",
    ),
    "kish": Method(
        definition="Effective cases: the square of the sum of weights over the sum of their squares.",
        source="Kish 1965",
    ),
    "weighted-linearised": Method(
        definition="Weighted values, variances by patient, the weights taken as given.",
        source="Kish 1965; Binder 1983",
    ),
    "fisher-exact-min-p-permutation": Method(
        definition="One-sided exact test of each slice, adjusted by the smallest p under permuted outcomes.",
        source="Fisher 1935; Westfall & Young 1993",
    ),
    "linearised-by-patient-holm": Method(
        definition="One-sided test of each slice with variances by patient, adjusted in Holm's steps.",
        source="Binder 1983; Holm 1979",
    ),
    "staquet-1981": Method(
        definition="The true table behind labels with stated error rates; worst case over all labels.",
        source="Staquet et al. 1981; Rogan & Gladen 1978",
    ),
}


def mix_methods(analysis: Analysis) -> Iterable[tuple[str, int, str]]:
    """Give identifier, version and use of every method behind these sections."""
    for part, what in (
        (analysis.case_mix, "case mix"),
        (analysis.population, "intended population"),
    ):
        if part is not None:
            for method in part.methods:
                yield method, part.version, what
    if analysis.slices is not None and analysis.slices.method != "none":
        yield analysis.slices.method, analysis.slices.version, "slices"
    if analysis.reference_error is not None:
        yield analysis.reference_error.method, analysis.reference_error.version, "errors of the reference"
