"""A task whose answer is a mask: means over cases of overlap, border distance and volume error, and of objects.

Intervals: percentiles of resamples of whole patients; the median of independent cases by its order statistics, for
which common bootstrap intervals fail. Panoptic quality adds up the objects of all cases before it divides.

Under ``worst_case`` a failed case counts as the worst that could have been answered: overlap 0, distances as long as
the image's diagonal, all its objects missed, and the volume of whichever of nothing and the whole image is farther off.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from scipy import stats

from sandbox.outcome.result_figures import CountTable
from sandbox.outcome.results import Estimate
from sandbox.plan.metric_catalogue import GAP_METRICS, MASK_COLUMNS
from sandbox.plan.protocol import Protocol
from sandbox.scoring.bootstrap import patient_weights, percentile_interval
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.estimates import Basis, estimate, undefined
from sandbox.scoring.outcomes import Outcome, Part, Statistic, mean, statistic
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.task_analysis import Place, TaskParts, score_task
from sandbox.scoring.task_columns import TaskColumns, task_columns

BOOTSTRAP = "bootstrap-percentile-patients"
EXPANDED = "bootstrap-expanded-percentile-patients"
ORDER = "median-order-statistics"
_BLOCK = 32 * 2**20
_WORST = {"dice": 0.0, "iou": 0.0, "nsd": 0.0, "matched": 0.0, "matched_iou": 0.0, "false_positive": 0.0}
_MEANS = {
    "mean_dice": "dice",
    "mean_iou": "iou",
    "mean_nsd": "nsd",
    "mean_hd95": "hd95",
    "mean_assd": "assd",
    "volume_bias": "volume_error",
    "mean_absolute_volume_error": "absolute_volume_error",
}
_MEDIANS = {"median_dice": "dice", "median_hd95": "hd95"}
_OBJECTS = ("panoptic_quality", "recognition_quality")
_COUNTED = ("matched_iou", "matched", "false_positive", "missed")
_COUNT = np.array([0.0, 1.0])
_QUALITY = np.array([0.0, 1.0, 0.5, 0.5])
_ONE_PATIENT = "One patient: there is no interval."
NOTES = (
    "Border distances are of the voxel-border family: border elements are the mask's elements with a neighbour outside "
    "across a face; HD95 is the larger of the two directed 95th percentiles. Other families give other numbers.",
    "A mask that is missing where there is something, or there where there is nothing, has overlap 0 and a distance of "
    "the image's diagonal: a miss improves no mean.",
    "A failed case counts as the worst mask that could have been answered.",
)


def score_segmentation(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a segmentation.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    cases, levels = task_columns(labelled, protocol)
    parts = TaskParts(
        estimates=_estimates,
        tables=lambda entered, _plan, _place: (_empty_table(entered),),
        compared=_compared,
        worst_by=(("mean_dice", False), ("mean_hd95", True)),
        notes=(*NOTES, _empty_note(protocol)),
    )
    return score_task(cases, levels, parts, protocol, evaluation)


def _empty_note(protocol: Protocol) -> str:
    assert protocol.boundary is not None
    if protocol.boundary.both_empty == "right":
        return "Two empty masks count as right: overlap 1, distance 0."
    return "Two empty masks enter no mean of overlaps and distances."


def counted_values(cases: TaskColumns) -> dict[str, Floats]:
    """What each case counts, by name; NaN where it enters no mean."""
    reference, farthest, whole, objects = cases.truth.T
    found = {
        name: np.where(cases.failed, _WORST.get(name, 0.0), cases.answer[:, index])
        for index, name in enumerate(MASK_COLUMNS)
    }
    for name in ("hd95", "assd"):
        found[name] = np.where(cases.failed, farthest, found[name])
    found["missed"] = np.where(cases.failed, objects, found["missed"])
    farther = np.where(reference > whole / 2, 0.0, whole)
    error = np.where(cases.failed, farther, found["volume"]) - reference
    found["volume_error"], found["absolute_volume_error"] = error, np.abs(error)
    return found


def _estimates(cases: TaskColumns, protocol: Protocol, place: Place) -> tuple[Estimate, ...]:
    level = protocol.intervals.level
    values = counted_values(cases)
    codes, patients = compact(cases.patient)
    columns = {name: _sums(values[column], codes, patients) for name, column in _MEANS.items()}
    objects = np.column_stack([_added(values[name], codes, patients) for name in _COUNTED])
    clustered = patients < cases.n
    medians: dict[str, list[Floats]] = {name: [] for name in _MEDIANS}
    drawn: dict[str, list[Floats]] = {name: [] for name in (*_MEANS, "objects")}
    replicates = protocol.intervals.bootstrap_replicates if patients > 1 else 0
    step = max(1, _BLOCK // (24 * max(cases.n, 1)))
    for block in patient_weights(patients, place.seed("masks"), replicates, step):
        for name, sums in columns.items():
            drawn[name].append(block @ sums)
        drawn["objects"].append(block @ objects)
        for name in medians if clustered else ():
            medians[name].append(weighted_medians(values[_MEDIANS[name]], block[:, codes]))
    found = []
    for metric, column in _MEANS.items():
        here = _within(cases, ~np.isnan(values[column]), level)
        found.append(_ratio(metric, columns[metric], drawn[metric], 0, _COUNT, here))
    for metric, column in _MEDIANS.items():
        counted = ~np.isnan(values[column])
        found.append(
            _median(metric, values[column][counted], medians[metric], _within(cases, counted, level))
        )
    for index, metric in enumerate(_OBJECTS):
        found.append(_ratio(metric, objects, drawn["objects"], index, _QUALITY, cases.basis(level)))
    return tuple(found)


def _compared(asked: TaskColumns, counted: Bools, protocol: Protocol, _place: Place) -> tuple[Outcome, ...]:
    """What is compared between groups: every mean over cases, and the qualities that add up objects."""
    values, rules = counted_values(asked), GAP_METRICS[protocol.task.kind]
    objects = np.column_stack([values[name] for name in _COUNTED])

    def quality(index: int) -> Statistic:
        def made(chosen: Integers) -> Part | None:
            above, below = objects[chosen, index], objects[chosen] @ _QUALITY
            total = float(below.sum())
            if total == 0:
                return None
            value = float(above.sum()) / total
            return Part(value=value, influence=(above - value * below) / total)

        return made

    return (
        *(
            mean(
                metric,
                counted & ~np.isnan(values[column]),
                np.nan_to_num(values[column]),
                low=rules[metric].low,
                high=rules[metric].high,
            )
            for metric, column in _MEANS.items()
        ),
        *(statistic(metric, counted, quality(index)) for index, metric in enumerate(_OBJECTS)),
    )


def _added(values: Floats, codes: Integers, patients: int) -> Floats:
    return np.bincount(codes, values, patients).astype(np.float64)


def _sums(values: Floats, codes: Integers, patients: int) -> Floats:
    """Sum and count of the values of each patient, without those that are not there."""
    counted = ~np.isnan(values)
    there = counted.astype(np.float64)
    return np.column_stack(
        (_added(np.where(counted, values, 0.0), codes, patients), _added(there, codes, patients))
    )


def _ratio(
    metric: str, sums: Floats, drawn: list[Floats], numerator: int, denominator: Floats, basis: Basis
) -> Estimate:
    """A ratio of sums over patients: one column over a weighted sum of columns."""
    total = sums.sum(axis=0)
    below = float(total @ denominator)
    if below == 0:
        return undefined(metric, basis, EXPANDED, "There is nothing to count.")
    value = float(total[numerator] / below)
    if not drawn:
        return estimate(metric, value, None, basis, EXPANDED, reason=_ONE_PATIENT)
    each = np.concatenate(drawn)
    parts = each @ denominator
    ratios = np.divide(each[:, numerator], parts, out=np.full(parts.shape, np.nan), where=parts > 0)
    interval = percentile_interval(ratios, basis.level, basis.patients)
    return estimate(metric, value, interval, basis, EXPANDED, reason=_unless_finite(interval))


def _median(metric: str, values: Floats, drawn: list[Floats], basis: Basis) -> Estimate:
    method = BOOTSTRAP if basis.patients < basis.n else ORDER
    if not values.size:
        return undefined(metric, basis, method, "There is no case with a value.")
    value = float(np.median(values))
    if method == ORDER:
        interval = order_interval(np.sort(values), basis.level)
    elif drawn:
        interval = percentile_interval(np.concatenate(drawn), basis.level)
    else:
        return estimate(metric, value, None, basis, method, reason=_ONE_PATIENT)
    return estimate(metric, value, interval, basis, method, reason=_unless_finite(interval))


def weighted_medians(values: Floats, weights: Floats) -> Floats:
    """Median of ``values`` as often as each row of ``weights`` says; NaN values do not count.

    Args:
        values: shape (n,).
        weights: whole numbers from 0, shape (replicates, n).

    Returns:
        Shape (replicates,); NaN where no value has a weight. Between two values the median is their mean.
    """
    counted = ~np.isnan(values)
    if not counted.any():
        return np.full(weights.shape[0], np.nan)
    order = np.flatnonzero(counted)[np.argsort(values[counted], kind="stable")]
    ordered, last = values[order], order.size - 1
    added = np.cumsum(weights[:, order], axis=1)
    half = added[:, -1:] / 2
    low, high = (added < half).sum(axis=1), (added <= half).sum(axis=1)
    middle = (ordered[np.minimum(low, last)] + ordered[np.minimum(high, last)]) / 2
    return np.where(added[:, -1] > 0, middle, np.nan)


def order_interval(ordered: Floats, level: float) -> tuple[float, float]:
    """Interval of the median between two order statistics, by the binomial distribution; NaN where too few.

    The widest ranks whose tail is at most (1 - level) / 2 each (Conover 1999, Practical Nonparametric Statistics, 3.2).
    """
    rank = int(stats.binom.ppf((1 - level) / 2, ordered.size, 0.5))
    # The tail below the rank must not be more than allowed.
    if stats.binom.cdf(rank - 1, ordered.size, 0.5) > (1 - level) / 2:
        rank -= 1
    if rank < 1:
        return math.nan, math.nan
    return float(ordered[rank - 1]), float(ordered[ordered.size - rank])


def _empty_table(cases: TaskColumns) -> CountTable:
    """How often there was something, by the reference and by the answer."""
    there = cases.truth[:, 0] > 0
    volume = cases.answer[:, MASK_COLUMNS.index("volume")]
    kinds = (volume > 0, volume == 0, cases.failed)
    rows: list[tuple[int, ...]] = [
        tuple(int(np.count_nonzero(side & kind)) for kind in kinds) for side in (there, ~there)
    ]
    return CountTable(
        name="empty-masks",
        title="Masks with and without anything inside",
        row_title="reference",
        column_title="answer",
        rows=("something", "nothing"),
        columns=("something", "nothing", "no answer"),
        counts=tuple(rows),
        note="Cases. Means hold what each of these counts by the declared rules.",
    )


def _within(cases: TaskColumns, counted: Bools, level: float) -> Basis:
    return cases.where(counted).basis(level)


def _unless_finite(interval: tuple[float, float]) -> str | None:
    return None if all(map(math.isfinite, interval)) else "Too few cases for an interval."
