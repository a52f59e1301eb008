"""A task whose answer is a measured value, held against a reference measurement of the same thing.

Independent cases: bias by t, limits of agreement exactly by the noncentral t distribution (Carkeet 2015, Optom Vis
Sci 92:e71), the standard deviation by chi-square, concordance on Fisher's z scale (Lin 1989, with the correction of
2000), ICC by F (McGraw and Wong 1996). Several cases to a patient: percentiles of resamples of whole patients for all
of these. Deming's line always by the jackknife over patients (Linnet 1993); Passing and Bablok's by ranks of slopes,
for independent cases.

Under ``worst_case`` a failed case counts as wrong by the whole declared range, in the direction of the mean error of
the answered cases: its error is at least as large as any that could have been answered, so a miss improves no mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from scipy import stats

from sandbox.outcome.results import Estimate
from sandbox.plan.analysis_section import Agreement
from sandbox.plan.protocol import Protocol
from sandbox.scoring.agreement_of_measurements import (
    STATISTICS,
    concordance_influence,
    root_mean_square_influence,
    statistics_of,
    sums_by_patient,
)
from sandbox.scoring.bootstrap import patient_weights, percentile_interval
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.estimates import Basis, estimate, quantile, undefined
from sandbox.scoring.measurement_plots import measurement_plots
from sandbox.scoring.outcomes import Outcome, Part, Statistic, mean, statistic
from sandbox.scoring.passing_bablok import MOST_CASES, passing_bablok
from sandbox.scoring.readers.intraclass import intraclass_correlation
from sandbox.scoring.repeatability import repeatability
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.task_analysis import Place, TaskParts, score_task
from sandbox.scoring.task_columns import TaskColumns, task_columns

BOOTSTRAP = "bootstrap-percentile-patients"
JACKKNIFE = "linnet-jackknife"
PASSING_BABLOK = "passing-bablok-ranks"
_BLOCK = 32 * 2**20
_DEMING = ("deming_slope", "deming_intercept")
_MINIMUM = 3
NOTES = (
    "A failed case counts as wrong by the whole declared range, in the direction of the answered cases' mean error.",
    "Each limit of agreement has an interval of its own; together the two cover less often.",
)


def score_measurement(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a measurement.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    cases, levels = task_columns(labelled, protocol)
    parts = TaskParts(
        estimates=_estimates,
        overall=lambda entered, plan, _place: (*_line(entered, plan), *repeatability(entered, plan)),
        plots=lambda entered, plan, place: measurement_plots(
            *counted_values(entered, plan), _estimates(entered, plan, place), plan
        ),
        compared=_compared,
        worst_by=(("mean_absolute_error", True), ("concordance_correlation", False)),
        notes=NOTES,
    )
    return score_task(cases, levels, parts, protocol, evaluation)


def counted_values(cases: TaskColumns, protocol: Protocol) -> tuple[Floats, Floats]:
    """Reference and value that each case counts with; a failed case is off by the whole range."""
    output = protocol.output.value
    assert output is not None
    reference, value = cases.truth[:, 0], cases.answer[:, 0]
    error = (value - reference)[~cases.failed]
    direction = -1.0 if error.size and error.mean() < 0 else 1.0
    worst = reference + direction * (output.maximum - output.minimum)
    return reference, np.where(cases.failed, worst, value)


def _compared(asked: TaskColumns, counted: Bools, protocol: Protocol, _place: Place) -> tuple[Outcome, ...]:
    """What is compared between groups; how a failed case counts depends on the errors of its own group."""

    def of(made: Callable[[Floats, Floats], tuple[float, Floats] | None]) -> Statistic:
        def part(chosen: Integers) -> Part | None:
            found = made(*counted_values(asked.where(chosen), protocol))
            return None if found is None else Part(value=found[0], influence=found[1])

        return part

    output = protocol.output.value
    assert output is not None
    span = output.maximum - output.minimum
    reference, value = counted_values(asked, protocol)
    return (
        # A failed case has no direction: which one it is given would differ from group to group.
        mean("answered_bias", ~asked.failed, value - reference, low=-span, high=span),
        mean("mean_absolute_error", counted, np.abs(value - reference), high=span),
        statistic("root_mean_square_error", counted, of(root_mean_square_influence), high=math.inf),
        statistic("concordance_correlation", counted, of(concordance_influence), low=-1.0),
    )


def _estimates(cases: TaskColumns, protocol: Protocol, place: Place) -> tuple[Estimate, ...]:
    level, basis = protocol.intervals.level, cases.basis(protocol.intervals.level)
    plan = protocol.agreement or Agreement()
    if cases.patients < _MINIMUM:
        reason = f"It needs {_MINIMUM} patients; there are {cases.patients}."
        return tuple(undefined(metric, basis, "none", reason) for metric in STATISTICS)
    reference, value = counted_values(cases, protocol)
    # Sums of squares about a far-off zero would lose digits.
    centre = float(reference.mean())
    sums = sums_by_patient(reference - centre, value - centre, cases.patient)
    z = quantile(plan.coverage)

    def made(added: Floats) -> dict[str, Floats]:
        found = dict(statistics_of(added, coverage_z=z, error_variance_ratio=plan.error_variance_ratio))
        found["deming_intercept"] = found["deming_intercept"] + centre * (1 - found["deming_slope"])
        return found

    values = {name: float(each) for name, each in made(sums.sum(axis=0)).items()}
    # Every patient left out in turn.
    left_out = made(sums.sum(axis=0) - sums)
    limits = {name: _jackknife(values[name], left_out[name], level) for name in _DEMING}
    methods = dict.fromkeys(STATISTICS, BOOTSTRAP) | dict.fromkeys(_DEMING, JACKKNIFE)
    drawn: tuple[str, ...] = ("mean_absolute_error", "root_mean_square_error")
    if basis.patients == basis.n:
        for exact, method, interval in _exact(reference, value, values, z, level):
            limits[exact], methods[exact] = interval, method
    else:
        drawn = tuple(name for name in STATISTICS if name not in _DEMING)
    weights = patient_weights(
        sums.shape[0],
        place.seed("measurement"),
        protocol.intervals.bootstrap_replicates,
        max(1, _BLOCK // (24 * sums.shape[0])),
    )
    resampled = made(np.concatenate([block @ sums for block in weights]))
    limits |= {name: percentile_interval(resampled[name], level) for name in drawn}
    return tuple(_made(name, values[name], limits[name], methods[name], basis) for name in STATISTICS)


def _line(cases: TaskColumns, protocol: Protocol) -> Iterator[Estimate]:
    """Passing and Bablok's line; its interval holds for independent cases only."""
    basis = cases.basis(protocol.intervals.level)
    names = ("passing_bablok_slope", "passing_bablok_intercept")
    if not _MINIMUM <= cases.n <= MOST_CASES:
        reason = f"It needs {_MINIMUM} to {MOST_CASES} cases; there are {cases.n}."
        yield from (undefined(name, basis, PASSING_BABLOK, reason) for name in names)
        return
    line = passing_bablok(*counted_values(cases, protocol), basis.level)
    clustered = basis.patients < basis.n
    few = (
        "Some patients have several cases: there is no interval."
        if clustered
        else "Too few cases for an interval."
    )
    for name, value, limits in (
        (names[0], line.slope, (line.slope_low, line.slope_high)),
        (names[1], line.intercept, (line.intercept_low, line.intercept_high)),
    ):
        if not math.isfinite(value):
            reason = "The measurements do not rise together: there is no such line."
            yield undefined(name, basis, PASSING_BABLOK, reason)
        elif clustered or not all(map(math.isfinite, limits)):
            yield estimate(name, value, None, basis, PASSING_BABLOK, reason=few)
        else:
            yield estimate(name, value, limits, basis, PASSING_BABLOK)


def _made(metric: str, value: float, interval: tuple[float, float], method: str, basis: Basis) -> Estimate:
    if not math.isfinite(value):
        reason = "The measurements do not vary together: there is no such value."
        return undefined(metric, basis, method, reason)
    finite = all(map(math.isfinite, interval))
    few = None if finite else "The sample is too small or too even for an interval."
    return estimate(metric, value, interval, basis, method, reason=few)


def _jackknife(value: float, left_out: Floats, level: float) -> tuple[float, float]:
    """Pseudo-values' t interval about the value."""
    patients = left_out.size
    pseudo = patients * value - (patients - 1) * left_out
    if not np.isfinite(pseudo).all():
        return math.nan, math.nan
    half = float(stats.t.ppf((1 + level) / 2, patients - 1)) * float(pseudo.std(ddof=1)) / math.sqrt(patients)
    return value - half, value + half


def _exact(
    reference: Floats, value: Floats, values: dict[str, float], z: float, level: float
) -> Iterator[tuple[str, str, tuple[float, float]]]:
    """Intervals for independent cases, as (metric, method, limits)."""
    n, bias = value.size, values["bias"]
    deviation = values["standard_deviation_of_differences"]
    tail = (1 - level) / 2
    half = float(stats.t.ppf(1 - tail, n - 1)) * deviation / math.sqrt(n)
    yield "bias", "mean-t", (bias - half, bias + half)
    low, high = stats.chi2.ppf((1 - tail, tail), n - 1)
    yield (
        "standard_deviation_of_differences",
        "chi-square-sd",
        (deviation * math.sqrt((n - 1) / low), deviation * math.sqrt((n - 1) / high)),
    )
    near, far = (float(each) for each in limit_factors(n, z, level))
    yield "upper_limit_of_agreement", "carkeet-exact", (bias + near * deviation, bias + far * deviation)
    yield "lower_limit_of_agreement", "carkeet-exact", (bias - far * deviation, bias - near * deviation)
    yield "concordance_correlation", "lin-fisher-z", lin_interval(reference, value, level)
    if np.ptp(reference) > 0 or np.ptp(value) > 0:
        for metric, form in (("icc_a1", "2,1"), ("icc_c1", "3,1")):
            found = intraclass_correlation(
                np.vstack((reference, value)), "2,1" if form == "2,1" else "3,1", level
            )
            yield metric, "mcgraw-wong-f", (found.low, found.high)
    else:
        yield "icc_a1", "mcgraw-wong-f", (math.nan, math.nan)
        yield "icc_c1", "mcgraw-wong-f", (math.nan, math.nan)


def limit_factors(n: int, z: float, level: float) -> tuple[float, float]:
    """Standard deviations from the mean to the exact limits of the normal quantile at ``z``.

    The quantile is mean + z SD in truth; its estimate from ``n`` values has a noncentral t distribution (Carkeet 2015;
    Johnson and Welch 1940, Biometrika 31:362).
    """
    tail = (1 - level) / 2
    near, far = stats.nct.ppf((tail, 1 - tail), n - 1, z * math.sqrt(n)) / math.sqrt(n)
    return float(near), float(far)


def lin_interval(reference: Floats, value: Floats, level: float) -> tuple[float, float]:
    """Interval of the concordance correlation on Fisher's z scale, Lin 1989 with the correction of 2000.

    The variance of the transformed value is [(1 - r^2) c^2 / ((1 - c^2) r^2) + 2 c^3 (1 - c) u^2 / (r (1 - c^2)^2)
    - c^4 u^4 / (2 r^2 (1 - c^2)^2)] / (n - 2), with Pearson's r, the concordance c, and u^2 the squared difference of
    the means over the product of the standard deviations. NaN where it does not exist.
    """
    n = reference.size
    x, y = reference.mean(), value.mean()
    xx, yy = reference.var(), value.var()
    xy = float(((reference - x) * (value - y)).mean())
    if n < _MINIMUM or xx == 0 or yy == 0 or xy == 0:
        return math.nan, math.nan
    c = 2 * xy / (xx + yy + (x - y) ** 2)
    r, u2 = xy / math.sqrt(xx * yy), (x - y) ** 2 / math.sqrt(xx * yy)
    if not -1 < c < 1:
        return math.nan, math.nan
    rest = 1 - c**2
    variance = (1 - r**2) * c**2 / (rest * r**2) + 2 * c**3 * (1 - c) * u2 / (r * rest**2)
    variance = (variance - c**4 * u2**2 / (2 * r**2 * rest**2)) / (n - 2)
    half = quantile(level) * math.sqrt(max(0.0, variance))
    return math.tanh(math.atanh(c) - half), math.tanh(math.atanh(c) + half)
