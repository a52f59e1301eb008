"""What separate false-negative and false-positive rates of the reference do to every endpoint.

Let the reference miss a share of the truly diseased and call a share of the healthy diseased. If its errors do not
depend on the algorithm's answer given the truth, the true table follows from the seen one (Staquet et al. 1981,
J Chronic Dis 34:599), and the seen AUROC is the true one shrunk toward 1/2 by PPV + NPV - 1 of the reference, since
each labelled class is a mixture of both. Without that assumption the stated number of labels may be wrong wherever
it hurts or helps most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sandbox.outcome.case_mix_results import ErrorBand, ReferenceErrorBands
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Bools, Floats, Integers, ScoredCases

VERSION = 1
STEPS = 5
"""Rates looked at from the lowest to the highest of each range."""
_COUNTS = 301
ASSUMPTION = "The reference's errors do not depend on the algorithm's answer, given the truth."
_RATES = ("sensitivity", "specificity", "ppv", "npv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Calls against labels."""

    tp: int
    fp: int
    fn: int
    tn: int


def error_bands(
    cases: ScoredCases, cutoffs: Sequence[tuple[str, float]], protocol: Protocol
) -> ReferenceErrorBands | None:
    """Bands of AUROC and of the rates at each operating point; None where the protocol states no error.

    Args:
        cases: those that entered the analysis.
        cutoffs: name and lowest positive score of each operating point.
        protocol: states the ranges of both rates.
    """
    stated = protocol.reference_error
    if stated is None:
        return None
    both = 0 < cases.positives < cases.n
    misses, alarms = stated.false_negative_rate, stated.false_positive_rate
    return ReferenceErrorBands(
        false_negative_rate=misses,
        false_positive_rate=alarms,
        bands=tuple(_bands(cases, cutoffs, combinations(misses, alarms))) if both else (),
        assumption=ASSUMPTION,
        method="staquet-1981",
        version=VERSION,
        reason=None if both else "The bands need positive and negative labels.",
    )


def combinations(misses: tuple[float, float], alarms: tuple[float, float]) -> list[tuple[float, float]]:
    """Pairs of rates over both ranges, each from lowest to highest in equal steps."""
    first, second = (sorted(set(np.linspace(*each, STEPS).tolist())) for each in (misses, alarms))
    return [(a, b) for a in first for b in second]


def _bands(
    cases: ScoredCases, cutoffs: Sequence[tuple[str, float]], rates: Sequence[tuple[float, float]]
) -> Iterator[ErrorBand]:
    truth = cases.reference
    prevalence = cases.positives / cases.n
    flips = [wrong_labels(cases.n, prevalence, *pair) for pair in rates]
    yield _auroc_band(cases.score, truth, prevalence, rates, flips)
    for point, cutoff in cutoffs:
        called = cases.score >= cutoff
        counts = Counts(
            tp=int(np.count_nonzero(called & truth)),
            fp=int(np.count_nonzero(called & ~truth)),
            fn=int(np.count_nonzero(~called & truth)),
            tn=int(np.count_nonzero(~called & ~truth)),
        )
        for metric in _RATES:
            hits, misses = _basis(counts, metric)
            if hits + misses == 0:
                continue
            found = [corrected_rate(counts, metric, *pair) for pair in rates]
            worst = [worst_rates(counts, metric, *each) for each in flips if each is not None]
            seen = hits / (hits + misses)
            yield _band(metric, point, seen, found, worst)


def true_prevalence(seen: float, miss: float, alarm: float) -> float | None:
    """Prevalence behind the labels' (Rogan and Gladen 1978); None where the rates contradict it."""
    value = (seen - alarm) / (1 - miss - alarm)
    return value if 0 < value < 1 else None


def corrected_rate(counts: Counts, metric: str, miss: float, alarm: float) -> float | None:
    """One rate of the algorithm against the truth, None where the counts contradict the stated rates.

    Args:
        counts: calls against labels.
        metric: sensitivity, specificity, ppv or npv.
        miss: share of the truly diseased that the reference labels negative.
        alarm: share of the truly healthy that it labels positive.
    """
    n = counts.tp + counts.fp + counts.fn + counts.tn
    power = 1 - miss - alarm

    def diseased(positive: int, negative: int) -> float:
        """Truly diseased among cases with these labels."""
        return (positive - alarm * (positive + negative)) / power

    called, rest = counts.tp + counts.fp, counts.fn + counts.tn
    sick_called, sick_rest = diseased(counts.tp, counts.fp), diseased(counts.fn, counts.tn)
    if min(sick_called, sick_rest, called - sick_called, rest - sick_rest) < -1e-9 * n:
        return None
    part, whole = {
        "sensitivity": (sick_called, sick_called + sick_rest),
        "specificity": (rest - sick_rest, n - sick_called - sick_rest),
        "ppv": (sick_called, float(called)),
        "npv": (rest - sick_rest, float(rest)),
    }[metric]
    return min(1.0, max(0.0, part / whole)) if whole > 1e-9 else None


def wrong_labels(n: int, seen: float, miss: float, alarm: float) -> tuple[int, int] | None:
    """Numbers of labels that are wrongly positive and wrongly negative, at most; None where impossible."""
    prevalence = true_prevalence(seen, miss, alarm)
    if prevalence is None:
        return None
    return int(alarm * (1 - prevalence) * n + 1e-9), int(miss * prevalence * n + 1e-9)


def worst_rates(counts: Counts, metric: str, positive: int, negative: int) -> tuple[float, float]:
    """Lowest and highest rate when that many positive and that many negative labels may be wrong."""
    hits, misses = _basis(counts, metric)
    n = hits + misses
    if metric in ("ppv", "npv"):
        # The calls stay; a wrong label only changes sides within them.
        lost, won = (positive, negative) if metric == "ppv" else (negative, positive)
        return (hits - min(lost, hits)) / n, (hits + min(won, misses)) / n
    other_hits, other_misses = (counts.fp, counts.tn) if metric == "sensitivity" else (counts.fn, counts.tp)
    leave, join = (positive, negative) if metric == "sensitivity" else (negative, positive)
    worst = hits - min(leave, hits), n - min(leave, hits) + min(join, other_misses)
    best = hits + min(join, other_hits), n - min(leave, misses) + min(join, other_hits)
    return worst[0] / worst[1] if worst[1] else 0.0, best[0] / best[1] if best[1] else 1.0


def _basis(counts: Counts, metric: str) -> tuple[int, int]:
    return {
        "sensitivity": (counts.tp, counts.fn),
        "specificity": (counts.tn, counts.fp),
        "ppv": (counts.tp, counts.fp),
        "npv": (counts.tn, counts.fn),
    }[metric]


def _auroc_band(
    score: Floats,
    truth: Bools,
    prevalence: float,
    rates: Sequence[tuple[float, float]],
    flips: Sequence[tuple[int, int] | None],
) -> ErrorBand:
    ranks = stats.rankdata(score)
    positives, n = int(np.count_nonzero(truth)), truth.size
    seen = _auroc(float(ranks[truth].sum()), positives, n)
    found = [corrected_auroc(seen, prevalence, *pair) for pair in rates]
    most = [each for each in flips if each is not None]
    # More labels may be wrong than are: a pair that another one covers adds nothing.
    largest = {a for a in most if not any(a != b and a[0] <= b[0] and a[1] <= b[1] for b in most)}
    worst = [worst_aurocs(ranks, truth, *each) for each in sorted(largest)]
    return _band("auroc", None, seen, found, worst)


def corrected_auroc(seen: float, prevalence: float, miss: float, alarm: float) -> float | None:
    """AUROC against the truth: the labelled classes are mixtures of the true ones."""
    truth = true_prevalence(prevalence, miss, alarm)
    if truth is None:
        return None
    right_positive = (1 - miss) * truth / prevalence
    right_negative = (1 - alarm) * (1 - truth) / (1 - prevalence)
    shrunk = right_positive + right_negative - 1
    value = 0.5 + (seen - 0.5) / shrunk if shrunk > 1e-12 else -1.0
    return min(1.0, max(0.0, value)) if -1e-9 <= value <= 1 + 1e-9 else None


def worst_aurocs(ranks: Floats, truth: Bools, positive: int, negative: int) -> tuple[float, float]:
    """Lowest and highest AUROC when up to that many positive and that many negative labels are wrong."""
    inside, outside = np.sort(ranks[truth]), np.sort(ranks[~truth])
    m, n = inside.size, truth.size
    # With the sizes fixed the rank sum decides, so the ends of both classes change sides; how many of the stated
    # number do is searched, as one more can undo what the others did.
    leave, join = _counts(min(positive, m - 1)), _counts(min(negative, n - m - 1))
    size = m - leave[:, None] + join
    total = float(inside.sum())

    def aurocs(left: Floats, joined: Floats) -> Floats:
        """AUROC for each number that leaves the positives (rows) and joins them (columns)."""
        sums = total - _first(left)[leave][:, None] + _first(joined)[join]
        return np.asarray((sums - size * (size + 1) / 2) / (size * (n - size)))

    return float(aurocs(inside[::-1], outside).min()), float(aurocs(inside, outside[::-1]).max())


def _counts(most: int) -> Integers:
    """Numbers of labels from 0 to ``most``: all of them, or as many evenly spread."""
    return np.unique(np.linspace(0, most, min(most + 1, _COUNTS)).round().astype(np.int64))


def _first(values: Floats) -> Floats:
    """Sums of the first 0, 1, 2 and so on."""
    return np.concatenate(([0.0], np.cumsum(values)))


def _auroc(rank_sum: float, positives: int, n: int) -> float:
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (n - positives))


def _band(
    metric: str,
    point: str | None,
    seen: float,
    found: Sequence[float | None],
    worst: Sequence[tuple[float, float]],
) -> ErrorBand:
    known = [value for value in found if value is not None]
    return ErrorBand(
        metric=metric,
        operating_point=point,
        seen=seen,
        low=min(known, default=None),
        high=max(known, default=None),
        worst_low=min((low for low, _ in worst), default=seen),
        worst_high=max((high for _, high in worst), default=seen),
        impossible=len(found) - len(known),
        combinations=len(found),
    )
