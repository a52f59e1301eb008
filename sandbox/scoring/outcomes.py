"""What is compared between groups, each metric of any kind of task as an outcome of cases.

Fairness criteria by these names: equal opportunity is an equal sensitivity, equalised odds an equal
sensitivity and specificity (Hardt, Price and Srebro 2016), predictive parity an equal PPV (Chouldechova
2017), NPV beside it; calibration in the large is the mean of reference minus score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.outcome.results import FailureRule
from sandbox.plan.strata_section import Minimum
from sandbox.scoring.cases import Bools, Floats, Integers, ScoredCases
from sandbox.scoring.failures import analysed

Kind = Literal["rate", "mean", "auroc", "statistic"]
_NEED_POSITIVES = frozenset(
    {"auroc", "sensitivity", "calibration_in_the_large", "case_auroc", "wafroc", "froc_sensitivity",
     "average_precision", "cpm"}
)  # fmt: skip
_NEED_NEGATIVES = frozenset({"auroc", "specificity", "calibration_in_the_large", "case_auroc", "wafroc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A statistic over chosen cases, with one of two ways in which it varies.

    Attributes:
        value: over the chosen cases.
        influence: of each chosen case, in their order, for statistics that are smooth in the patients' weights.
        drawn: the value of each resample of the patients of all cases, NaN where it has none.
    """

    value: float
    influence: Floats | None = None
    drawn: Floats | None = None


Statistic = Callable[[Integers], Part | None]
"""Gives a statistic over cases by their rising indices, None where it has no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One metric over cases in the order of the store.

    Attributes:
        metric: its name.
        kind: a share of cases, a mean over cases, the AUROC, or any other statistic of them.
        counted: the cases it rests on.
        value: what each case adds: 0 or 1 for a rate; the score for AUROC; nothing for a statistic. Uncounted cases
            hold anything.
        operating_point: for rates at a threshold.
        subject: the class, label or rate that it is about, where the metric has one.
        positive: the cases that are positive, None where the metric knows no positive case.
        order: indices by rising score, for an AUROC over cases that are not stored in that order.
        statistic: of chosen cases, for the kind of that name.
        low, high: the ends of the value's range.
    """

    metric: str
    kind: Kind
    counted: Bools
    value: Floats
    operating_point: str | None = None
    subject: str | None = None
    positive: Bools | None = None
    order: Integers | None = None
    statistic: Statistic | None = None
    low: float = 0.0
    high: float = 1.0

    @property
    def key(self) -> str:
        """Metric, subject and operating point as one word."""
        about = f"{self.metric}[{self.subject}]" if self.subject else self.metric
        return f"{about}@{self.operating_point}" if self.operating_point else about

    @property
    def family(self) -> tuple[str, str | None]:
        """What its comparisons are adjusted together with: the metric at its operating point, over all subjects."""
        return self.metric, self.operating_point

    def rising(self, chosen: Integers) -> Integers:
        """The chosen cases in order of rising score; ``chosen`` rises."""
        if self.order is None:
            return chosen
        inside = np.zeros(self.counted.size, dtype=bool)
        inside[chosen] = True
        return self.order[inside[self.order]]

    def ranked(self, rising: Integers, patient: Integers) -> ScoredCases:
        """Cases of an AUROC, from :meth:`rising` indices and the patient of every case of the store."""
        assert self.positive is not None
        return ScoredCases(
            reference=self.positive[rising],
            score=self.value[rising],
            failed=np.zeros(rising.size, dtype=bool),
            patient=patient[rising],
        )


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
        Outcome(metric="auroc", kind="auroc", counted=entered, value=cases.score, positive=truth),
        failure_rate(cases.failed, truth),
    ]
    for name, cutoff in cutoffs:
        called = cases.score >= cutoff
        found += [
            rate("sensitivity", entered & truth, called, truth, point=name),
            rate("specificity", entered & ~truth, ~called, truth, point=name),
            rate("ppv", entered & called, truth, truth, point=name),
            rate("npv", entered & ~called, ~truth, truth, point=name),
        ]
    if probability:
        answered = ~cases.failed
        excess = np.where(answered, truth - np.where(answered, cases.score, 0.0), 0.0)
        found.append(mean("calibration_in_the_large", answered, excess, low=-1.0, high=1.0, positive=truth))
    return tuple(found)


def rate(
    metric: str,
    counted: Bools,
    success: Bools,
    positive: Bools | None = None,
    *,
    point: str | None = None,
    subject: str | None = None,
) -> Outcome:
    """A share of the counted cases."""
    return Outcome(
        metric=metric, kind="rate", counted=counted, value=success.astype(np.float64), operating_point=point,
        subject=subject, positive=positive,
    )  # fmt: skip


def mean(
    metric: str,
    counted: Bools,
    value: Floats,
    *,
    low: float = 0.0,
    high: float = 1.0,
    positive: Bools | None = None,
) -> Outcome:
    """A mean over the counted cases, of values between ``low`` and ``high``."""
    return Outcome(
        metric=metric, kind="mean", counted=counted, value=value, positive=positive, low=low, high=high
    )


def auroc(metric: str, counted: Bools, score: Floats, positive: Bools, subject: str | None) -> Outcome:
    """The AUROC of cases that are stored in any order."""
    order = np.argsort(score, kind="stable").astype(np.int64)
    return Outcome(
        metric=metric,
        kind="auroc",
        counted=counted,
        value=score,
        subject=subject,
        positive=positive,
        order=order,
    )


def statistic(
    metric: str,
    counted: Bools,
    made: Statistic,
    *,
    low: float = 0.0,
    high: float = 1.0,
    subject: str | None = None,
    positive: Bools | None = None,
) -> Outcome:
    """Any other statistic of the counted cases."""
    return Outcome(
        metric=metric, kind="statistic", counted=counted, value=np.zeros(0), subject=subject, positive=positive,
        statistic=made, low=low, high=high,
    )  # fmt: skip


def failure_rate(failed: Bools, positive: Bools | None = None) -> Outcome:
    """Share of all asked cases that have no usable answer."""
    return rate("failure_rate", np.ones(failed.size, dtype=bool), failed, positive)


def unfit(metric: str, n: int, positives: int | None, patients: int, minimum: Minimum) -> str | None:
    """Say in a sentence why a level has too few cases for a comparison of ``metric``, or None."""
    needs = []
    if positives is not None:
        if metric in _NEED_POSITIVES and positives < minimum.positives:
            needs.append(f"{positives} of at least {minimum.positives} positive cases")
        if metric in _NEED_NEGATIVES and n - positives < minimum.negatives:
            needs.append(f"{n - positives} of at least {minimum.negatives} negative cases")
    if metric == "ppv" and n < minimum.positives:
        needs.append(f"{n} of at least {minimum.positives} cases called positive")
    if metric == "npv" and n < minimum.negatives:
        needs.append(f"{n} of at least {minimum.negatives} cases called negative")
    if patients < minimum.patients:
        needs.append(f"{patients} of at least {minimum.patients} patients")
    return f"Too few for a comparison: {', '.join(needs)}." if needs else None
