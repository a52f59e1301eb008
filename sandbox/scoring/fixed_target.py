"""Operating points by a declared sensitivity or specificity: the other rate there, the threshold found on these cases.

The threshold is the highest that reaches the declared sensitivity (the lowest that reaches the declared specificity).
Because it is found on the same cases, an interval for a fixed threshold would be too narrow. Interval: BTII of Zhou
and Qin 2005 (Stat Med 24:465), after Platt, Hanley and Yang 2000 (Stat Med 19:313): patients are resampled, the
threshold is found anew in each resample, the rate there gets z^2/2 successes and as many failures, and the interval
is the mean of these rates plus and minus z times their standard deviation.
"""

from __future__ import annotations

import numpy as np

from sandbox.outcome.results import Estimate, OperatingPointResult
from sandbox.plan.output_schema import ScoreOutput
from sandbox.plan.protocol import Protocol
from sandbox.plan.task_section import OperatingPoint
from sandbox.scoring.bootstrap import Seed, replicate_counts
from sandbox.scoring.cases import Floats, Integers, ScoredCases, count_patients, tie_groups
from sandbox.scoring.estimates import Basis, estimate, quantile, undefined

METHOD = "bootstrap-bt2-patients"
FIXED = "chosen-on-these-cases"


def at_target(
    cases: ScoredCases, point: OperatingPoint, protocol: Protocol, seed: Seed
) -> OperatingPointResult | None:
    """Counts and both rates where the declared rate is reached; None without both kinds of case."""
    if cases.positives == 0 or cases.negatives == 0:
        return None
    groups, distinct = tie_groups(cases.score)
    column = groups + distinct * cases.reference
    whole = np.bincount(column, minlength=2 * distinct).astype(np.float64)[None, :]
    scores = np.unique(cases.score)
    # No threshold calls a failed positive positive, or a failed negative negative.
    ends = (int(scores[0] == -np.inf), distinct - int(scores[-1] == np.inf))
    index = int(_index(whole, distinct, ends, point)[0])
    negative, positive = whole[0, :distinct], whole[0, distinct:]
    tp, fp = int(positive[index:].sum()), int(negative[index:].sum())
    fn, tn = cases.positives - tp, cases.negatives - fp
    by_sensitivity = point.sensitivity is not None
    target, other = ("sensitivity", "specificity") if by_sensitivity else ("specificity", "sensitivity")
    reached = (tp / cases.positives) if by_sensitivity else (tn / cases.negatives)
    counts = {"sensitivity": (tp, cases.positives), "specificity": (tn, cases.negatives)}
    patients = {
        "sensitivity": count_patients(cases.patient[cases.reference]),
        "specificity": count_patients(cases.patient[~cases.reference]),
    }

    def basis(metric: str) -> Basis:
        n = counts[metric][1]
        positives = n if metric == "sensitivity" else 0
        return Basis(n=n, positives=positives, patients=patients[metric], level=protocol.intervals.level)

    given = estimate(
        target, reached, None, basis(target), FIXED, successes=counts[target][0],
        reason="The protocol fixes this rate: no interval belongs to it.",
    )  # fmt: skip
    found: Estimate
    wanted = point.sensitivity or point.specificity or 0.0
    if reached < wanted - 1e-9:
        reason = f"With the cases that failed no threshold reaches a {target} of {wanted:g}."
        found = undefined(other, basis(other), METHOD, reason, successes=counts[other][0])
    else:
        hits, n = counts[other]
        drawn = _drawn(cases, column, distinct, ends, point, protocol, seed)
        centre, half = float(drawn.mean()), quantile(protocol.intervals.level) * float(drawn.std(ddof=1))
        interval = (max(0.0, centre - half), min(1.0, centre + half))
        found = estimate(other, hits / n, interval, basis(other), METHOD, successes=hits)
    return OperatingPointResult(
        name=point.name,
        threshold=_shown(scores, index, protocol.score),
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        estimates=(given, found),
        chosen_by=f"found on these cases for a {target} of {wanted:g}",
    )


def _shown(scores: Floats, index: int, output: ScoreOutput) -> float:
    """The threshold as a number; above all answers it is one level beyond the highest."""
    if index < scores.size and np.isfinite(scores[index]):
        return float(scores[index])
    finite = scores[np.isfinite(scores)]
    step = (output.maximum - output.minimum) / (output.levels - 1)
    return (float(finite[-1]) if finite.size else output.maximum) + step


def _index(counts: Floats, distinct: int, ends: tuple[int, int], point: OperatingPoint) -> Integers:
    """Index of the distinct score that is the threshold, in each row of counts; ``distinct``: above all scores."""
    negative, positive = counts[:, :distinct], counts[:, distinct:]
    if point.sensitivity is not None:
        tail = np.cumsum(positive[:, ::-1], axis=1)[:, ::-1]
        reached = tail >= point.sensitivity * positive.sum(axis=1, keepdims=True) - 1e-9
        return np.asarray(np.clip(reached.sum(axis=1) - 1, *ends), dtype=np.int64)
    assert point.specificity is not None
    below = np.concatenate((np.zeros((counts.shape[0], 1)), np.cumsum(negative, axis=1)), axis=1)
    missed = below < point.specificity * negative.sum(axis=1, keepdims=True) - 1e-9
    return np.asarray(np.clip(missed.sum(axis=1), *ends), dtype=np.int64)


def _drawn(
    cases: ScoredCases,
    column: Integers,
    distinct: int,
    ends: tuple[int, int],
    point: OperatingPoint,
    protocol: Protocol,
    seed: Seed,
) -> Floats:
    """The other rate in each resample, with its threshold found anew and z^2/2 of both outcomes added."""
    z2 = quantile(protocol.intervals.level) ** 2
    found = []
    for counts in replicate_counts(
        cases.patient, column, 2 * distinct, seed, protocol.intervals.bootstrap_replicates
    ):
        index = _index(counts, distinct, ends, point)
        negative, positive = counts[:, :distinct], counts[:, distinct:]
        side = negative if point.sensitivity is not None else positive
        below = np.concatenate((np.zeros((side.shape[0], 1)), np.cumsum(side, axis=1)), axis=1)
        under = below[np.arange(side.shape[0]), index]
        total = below[:, -1]
        hits = under if point.sensitivity is not None else total - under
        found.append((hits + z2 / 2) / (total + z2))
    return np.concatenate(found)
