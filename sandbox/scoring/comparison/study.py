"""Every pair of submissions compared on every metric, with margins, adjusted p-values, ranks and a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from sandbox.errors import ScoringError
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Bools
from sandbox.scoring.comparison.answers import Answers
from sandbox.scoring.comparison.paired import (
    Difference,
    Inferiority,
    compare_aurocs,
    compare_rates,
    inferiority,
)
from sandbox.scoring.comparison.predictive_values import compare_predictive_values
from sandbox.scoring.comparison.ranking import Ranking, RankMetric, rank_submissions
from sandbox.scoring.comparison.sequence import Hypothesis, SequenceStep, fixed_sequence
from sandbox.scoring.multiplicity import holm

Metric = Literal["auroc", "sensitivity", "specificity", "accuracy", "ppv", "npv", "failure_rate"]
RATES: tuple[Metric, ...] = ("sensitivity", "specificity", "accuracy", "ppv", "npv")
METRICS: tuple[Metric, ...] = ("auroc", *RATES, "failure_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is compared: a metric, and for rates the operating point."""

    metric: Metric
    operating_point: str | None = None

    @property
    def name(self) -> str:
        """The metric, with its operating point after an @."""
        return f"{self.metric}@{self.operating_point}" if self.operating_point else self.metric


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPair:
    """First minus second submission on one endpoint.

    Attributes:
        difference: None when it cannot be estimated; ``reason`` says why.
        p_adjusted: by Holm over the pairs of this endpoint; None with two submissions.
        margin: the largest loss that counts as none, or None when no margin was given.
        verdict: judged against the margin; for a failure rate less is better.
    """

    first: str
    second: str
    endpoint: str
    difference: Difference | None
    p_adjusted: float | None
    margin: float | None
    verdict: Inferiority | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionComparison:
    """Everything that the comparison found; ``sequence`` is the first submission against the second."""

    names: tuple[str, ...]
    cases: int
    patients: int
    positives: int
    failures: tuple[int, ...]
    level: float
    pairs: tuple[ComparedPair, ...]
    answered_by_all: tuple[ComparedPair, ...]
    rankings: tuple[Ranking, ...]
    sequence: tuple[SequenceStep, ...]
    notes: tuple[str, ...]


def compare_submissions(
    answers: Answers,
    endpoints: Sequence[Endpoint],
    thresholds: Sequence[Mapping[str, float]],
    *,
    seed: str,
    margin: float | None = None,
    sequence: bool = False,
    level: float = 0.95,
    replicates: int = 2000,
) -> SubmissionComparison:
    """Compare submissions on the same cases.

    Args:
        answers: their answers; a failed case counts as wrong.
        endpoints: what to compare, in the order of a fixed sequence.
        thresholds: for each submission the lowest positive score of each operating point.
        seed: names the random streams, such as the identifiers of the evaluations.
        margin: of non-inferiority, for every endpoint.
        sequence: test the endpoints of the first two submissions in order, until one is not shown.
        level: two-sided level of intervals.
        replicates: resamples for ranks.

    Raises:
        ScoringError: an endpoint without its operating point, or a margin that is not above 0.
    """
    every = all_pairs(answers, endpoints, thresholds, margin, level)
    rankings = []
    if len(answers.names) > 2:
        for endpoint in endpoints:
            metric = _rank_metric(endpoint.metric)
            if metric is not None:
                rankings.append(
                    rank_submissions(
                        answers,
                        metric,
                        Seed(evaluation=seed, metric=endpoint.name, purpose="ranking"),
                        calls=None if metric == "auroc" else _calls(answers, endpoint, thresholds),
                        replicates=replicates,
                        level=level,
                    )
                )
    both = answers.answered_by_all()
    notes = ["Failed cases count as wrong at every threshold; the second table leaves them out."]
    if answers.patients < answers.reference.size:
        notes.append(
            "Some patients have several cases; intervals and p-values named clustered allow for that."
        )
    hypotheses = [
        Hypothesis(name=pair.endpoint, difference=pair.difference, margin=margin or 0.0)
        for pair in every
        if (pair.first, pair.second) == answers.names[:2] and pair.difference is not None
    ]
    return SubmissionComparison(
        names=answers.names,
        cases=answers.reference.size,
        patients=answers.patients,
        positives=int(np.count_nonzero(answers.reference)),
        failures=tuple(int(count) for count in answers.failed.sum(axis=1)),
        level=level,
        pairs=every,
        answered_by_all=all_pairs(both, endpoints, thresholds, margin, level) if answers.failed.any() else (),
        rankings=tuple(rankings),
        sequence=fixed_sequence(hypotheses) if sequence else (),
        notes=tuple(notes),
    )


def all_pairs(
    answers: Answers,
    endpoints: Sequence[Endpoint],
    thresholds: Sequence[Mapping[str, float]],
    margin: float | None,
    level: float,
) -> tuple[ComparedPair, ...]:
    """Compare every two submissions on every endpoint; p-values adjusted over the pairs of an endpoint."""
    found: list[ComparedPair] = []
    for endpoint in endpoints:
        differences: list[tuple[int, int, Difference | None, str | None]] = []
        for first, second in combinations(range(len(answers.names)), 2):
            try:
                differences.append(
                    (first, second, _difference(answers, endpoint, thresholds, first, second, level), None)
                )
            except ScoringError as error:
                differences.append((first, second, None, f"{error}."))
        ps = [each.p for _, _, each, _ in differences if each is not None and each.p is not None]
        adjusted = iter(holm(ps)) if len(answers.names) > 2 else None
        for first, second, difference, reason in differences:
            has_p = difference is not None and difference.p is not None
            found.append(
                ComparedPair(
                    first=answers.names[first],
                    second=answers.names[second],
                    endpoint=endpoint.name,
                    difference=difference,
                    p_adjusted=float(next(adjusted)) if adjusted is not None and has_p else None,
                    margin=margin,
                    verdict=_verdict(endpoint.metric, difference, margin),
                    reason=reason,
                )
            )
    return tuple(found)


def _difference(
    answers: Answers,
    endpoint: Endpoint,
    thresholds: Sequence[Mapping[str, float]],
    first: int,
    second: int,
    level: float,
) -> Difference:
    truth, patient, metric = answers.reference, answers.patient, endpoint.metric
    if metric == "auroc":
        return compare_aurocs(truth, answers.scores[first], answers.scores[second], patient, level=level)
    if metric == "failure_rate":
        return compare_rates(answers.failed[first], answers.failed[second], patient, level=level)
    calls = _calls(answers, endpoint, thresholds)[[first, second]]
    if metric in ("ppv", "npv"):
        negative = metric == "npv"
        return compare_predictive_values(truth, calls[0], calls[1], patient, negative=negative, level=level)
    right = calls == truth
    counted = {"sensitivity": truth, "specificity": ~truth}.get(metric, np.ones_like(truth))
    return compare_rates(right[0][counted], right[1][counted], patient[counted], level=level)


def _calls(answers: Answers, endpoint: Endpoint, thresholds: Sequence[Mapping[str, float]]) -> Bools:
    """Whether each submission calls each case positive, each at its own threshold of that name."""
    point = endpoint.operating_point
    if point is None or any(point not in own for own in thresholds):
        raise ScoringError(
            f"{endpoint.name} needs an operating point that every evaluation's protocol declares"
        )
    cutoffs = np.array([own[point] for own in thresholds])
    return np.asarray(answers.scores >= cutoffs[:, None])


def _verdict(metric: Metric, difference: Difference | None, margin: float | None) -> Inferiority | None:
    if margin is None:
        return None
    if difference is None:
        return "cannot_tell"
    if metric == "failure_rate":
        return inferiority(turned(difference), margin)
    return inferiority(difference, margin)


def turned(difference: Difference) -> Difference:
    """Second minus first: for a metric of which less is better."""
    return Difference(
        value=-difference.value,
        first=difference.second,
        second=difference.first,
        low=None if difference.high is None else -difference.high,
        high=None if difference.low is None else -difference.low,
        statistic=None if difference.statistic is None else -difference.statistic,
        p=difference.p,
        p_exact=difference.p_exact,
        n=difference.n,
        patients=difference.patients,
        method=difference.method,
    )


def _rank_metric(metric: Metric) -> RankMetric | None:
    # Predictive values and failure rates have other denominators, or another best end.
    ranked: Mapping[str, RankMetric] = {
        "auroc": "auroc",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "accuracy": "accuracy",
    }
    return ranked.get(metric)
