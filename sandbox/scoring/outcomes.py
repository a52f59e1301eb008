"""What is compared between groups, each metric as an outcome of cases.

Fairness criteria by these names: equal opportunity is an equal sensitivity, equalised odds an equal
sensitivity and specificity (Hardt, Price and Srebro 2016), predictive parity an equal PPV (Chouldechova
2017), NPV beside it; calibration in the large is the mean of reference minus score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.protocol import GapMetric, Minimum
from sandbox.results import FailureRule
from sandbox.scoring.cases import Bools, Floats, ScoredCases
from sandbox.scoring.failures import analysed

Kind = Literal["rate", "mean", "auroc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One metric over cases in the order of the store.

    Attributes:
        metric: its name.
        operating_point: for rates at a threshold.
        kind: a share of cases, a mean over cases, or the AUROC.
        counted: the cases it rests on.
        value: what each case adds: 0 or 1 for a rate; the score for AUROC. Uncounted cases hold anything.
    """

    metric: GapMetric
    operating_point: str | None
    kind: Kind
    counted: Bools
    value: Floats

    @property
    def key(self) -> str:
        """Metric and operating point as one word."""
        return f"{self.metric}@{self.operating_point}" if self.operating_point else self.metric


def outcomes(
    cases: ScoredCases, rule: FailureRule, cutoffs: Sequence[tuple[str, float]], *, probability: bool
) -> tuple[Outcome, ...]:
    """Give every outcome that is compared.

    Args:
        cases: all asked cases, failed ones with their worst-case score.
        rule: how failed cases count.
        cutoffs: name and lowest positive score of each operating point.
        probability: whether the score is declared a probability, so that it can be calibrated.
    """
    entered, truth = analysed(rule, cases.failed), cases.reference
    found = [
        Outcome(metric="auroc", operating_point=None, kind="auroc", counted=entered, value=cases.score),
        _rate("failure_rate", None, np.ones(cases.n, dtype=bool), cases.failed),
    ]
    for name, cutoff in cutoffs:
        called = cases.score >= cutoff
        found += [
            _rate("sensitivity", name, entered & truth, called),
            _rate("specificity", name, entered & ~truth, ~called),
            _rate("ppv", name, entered & called, truth),
            _rate("npv", name, entered & ~called, ~truth),
        ]
    if probability:
        answered = ~cases.failed
        excess = np.where(answered, truth - np.where(answered, cases.score, 0.0), 0.0)
        found.append(
            Outcome(
                metric="calibration_in_the_large",
                operating_point=None,
                kind="mean",
                counted=answered,
                value=excess,
            )
        )
    return tuple(found)


def _rate(metric: GapMetric, point: str | None, counted: Bools, success: Bools) -> Outcome:
    value = success.astype(np.float64)
    return Outcome(metric=metric, operating_point=point, kind="rate", counted=counted, value=value)


def unfit(metric: GapMetric, n: int, positives: int, patients: int, minimum: Minimum) -> str | None:
    """Say in a sentence why a level has too few cases for a comparison of ``metric``, or None."""
    needs = []
    if metric in ("auroc", "sensitivity", "calibration_in_the_large") and positives < minimum.positives:
        needs.append(f"{positives} of at least {minimum.positives} positive cases")
    if metric in ("auroc", "specificity", "calibration_in_the_large") and n - positives < minimum.negatives:
        needs.append(f"{n - positives} of at least {minimum.negatives} negative cases")
    if metric == "ppv" and n < minimum.positives:
        needs.append(f"{n} of at least {minimum.positives} cases called positive")
    if metric == "npv" and n < minimum.negatives:
        needs.append(f"{n} of at least {minimum.negatives} cases called negative")
    if patients < minimum.patients:
        needs.append(f"{patients} of at least {minimum.patients} patients")
    return f"Too few for a comparison: {', '.join(needs)}." if needs else None
