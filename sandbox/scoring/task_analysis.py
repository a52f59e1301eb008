"""One way from a task's own estimates to its analyses: both failure rules, every stratum, claims marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sandbox.outcome.result_figures import CountTable, Plot
from sandbox.outcome.results import (
    Analysis,
    Curves,
    Estimate,
    FailureRule,
    OperatingPointResult,
    StratumResult,
    WorstStratum,
)
from sandbox.plan.protocol import Protocol
from sandbox.plan.strata_section import Minimum
from sandbox.scoring import failures
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Bools
from sandbox.scoring.claims import lacking
from sandbox.scoring.estimates import Basis, too_few
from sandbox.scoring.failures import analysed
from sandbox.scoring.gaps import find_gaps
from sandbox.scoring.outcomes import Outcome, failure_rate
from sandbox.scoring.scored_task import RULES, ScoredTask
from sandbox.scoring.strata import Levels
from sandbox.scoring.task_columns import TaskColumns

_RATES = frozenset({"sensitivity", "specificity", "ppv", "npv", "f1"})
_NO_CURVES = "The curves of this kind of task stand among its own figures."


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where estimates are made: under which rule, in which stratum, and what seeds their random streams."""

    rule: FailureRule
    evaluation: str
    stratum: str = ""

    def seed(self, metric: str) -> Seed:
        """Seed of one metric's random stream here."""
        return Seed(evaluation=self.evaluation, metric=metric, stratum=self.stratum, purpose=self.rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskParts:
    """What a kind of task makes of cases that entered an analysis.

    Attributes:
        estimates: made over all cases and in each stratum.
        points: rates at operating points, for tasks that have them.
        overall: estimates over all cases only.
        tables, plots: over all cases only.
        compared: what is compared between groups, over all asked cases, those that count marked.
        lowest: metric to name the worst stratum by, and whether high values are bad.
        notes: how the numbers are to be read.
    """

    estimates: Callable[[TaskColumns, Protocol, Place], tuple[Estimate, ...]]
    points: Callable[[TaskColumns, Protocol, Place], tuple[OperatingPointResult, ...]] = lambda *_: ()
    overall: Callable[[TaskColumns, Protocol, Place], tuple[Estimate, ...]] = lambda *_: ()
    tables: Callable[[TaskColumns, Protocol, Place], tuple[CountTable, ...]] = lambda *_: ()
    plots: Callable[[TaskColumns, Protocol, Place], tuple[Plot, ...]] = lambda *_: ()
    compared: Callable[[TaskColumns, Bools, Protocol, Place], tuple[Outcome, ...]] = lambda *_: ()
    worst_by: tuple[tuple[str, bool], ...] = ()
    notes: tuple[str, ...] = ()


def score_task(
    cases: TaskColumns, levels: Sequence[Levels], parts: TaskParts, protocol: Protocol, evaluation: str
) -> ScoredTask:
    """Make the analyses of a task under both failure rules."""
    return ScoredTask(
        analyses=tuple(_analyse(cases, levels, parts, protocol, evaluation, rule) for rule in RULES),
        failed=cases.failed,
        patient=cases.patient,
        levels=tuple(levels),
        notes=(
            *parts.notes,
            "The worst stratum is the lowest of several estimates, partly by chance; read its interval.",
        ),
        measure_unit=measure_unit(protocol),
    )


def measure_unit(protocol: Protocol) -> str | None:
    """Unit of a measurement, or of the distances of masks."""
    if protocol.boundary is not None:
        return protocol.boundary.unit
    return None if protocol.output.value is None else protocol.output.value.unit


def _analyse(
    asked: TaskColumns,
    levels: Sequence[Levels],
    parts: TaskParts,
    protocol: Protocol,
    evaluation: str,
    rule: FailureRule,
) -> Analysis:
    place = Place(rule=rule, evaluation=evaluation)
    cases = asked.entered(rule)
    strata = [row for each in levels for row in _strata(asked, each, parts, protocol, place)]
    overall = _marked(
        (*parts.estimates(cases, protocol, place), *parts.overall(cases, protocol, place)), protocol
    )
    counted = analysed(rule, asked.failed)
    outcomes = (
        (failure_rate(asked.failed), *parts.compared(asked, counted, protocol, place)) if levels else ()
    )
    return Analysis(
        failure_rule=rule,
        n=cases.n,
        positives=None,
        negatives=None,
        patients=cases.patients,
        sampling="clustered" if cases.patients < cases.n else "independent",
        estimates=(*overall, _failure_rate(asked, protocol)),
        operating_points=_marked_points(parts.points(cases, protocol, place), protocol),
        curves=Curves(roc=None, precision_recall=None, calibration=None, reason=_NO_CURVES),
        strata=tuple(strata),
        associations=(),
        worst=tuple(_worst(overall, strata, parts.worst_by)),
        tables=parts.tables(cases, protocol, place),
        plots=parts.plots(cases, protocol, place) if cases.n else (),
        bias=find_gaps(asked.patient, outcomes, levels, rule, protocol, evaluation),
    )


def _strata(
    asked: TaskColumns, levels: Levels, parts: TaskParts, protocol: Protocol, place: Place
) -> Iterable[StratumResult]:
    for name, members in zip(levels.names, levels.slices(), strict=True):
        inside = asked.where(members)
        cases = inside.entered(place.rule)
        here = replace(place, stratum=f"{levels.name}={name}")
        lack = lacking(cases.basis(protocol.intervals.level), protocol.minimum)
        yield StratumResult(
            attribute=levels.name,
            level=name,
            n=cases.n,
            positives=None,
            negatives=None,
            patients=cases.patients,
            failures=int(np.count_nonzero(inside.failed)),
            estimates=(
                *_marked(parts.estimates(cases, protocol, here), protocol),
                _failure_rate(inside, protocol),
            ),
            operating_points=_marked_points(parts.points(cases, protocol, here), protocol),
            status="too_few" if lack else "ok",
            reason=lack,
        )


def _failure_rate(asked: TaskColumns, protocol: Protocol) -> Estimate:
    return failures.failure_rate(
        asked.failed,
        None,
        asked.patient,
        level=protocol.intervals.level,
        method=protocol.intervals.proportion,
    )


def _marked(estimates: Iterable[Estimate], protocol: Protocol) -> tuple[Estimate, ...]:
    """Mark the estimates that the protocol's minimum does not let carry a claim."""
    return tuple(
        too_few(found, lack) if (lack := _lacking(found, protocol.minimum)) else found for found in estimates
    )


def _marked_points(
    points: Iterable[OperatingPointResult], protocol: Protocol
) -> tuple[OperatingPointResult, ...]:
    return tuple(replace(point, estimates=_marked(point.estimates, protocol)) for point in points)


def _lacking(found: Estimate, minimum: Minimum) -> str | None:
    least = min(minimum.positives, minimum.negatives)
    if found.metric in _RATES and found.n < least:
        return f"Too few to carry a claim: {found.n} cases in the denominator."
    # A rate's denominator holds one kind of case; only its patients are counted further.
    positives = None if found.metric in _RATES else found.positives
    basis = Basis(n=found.n, positives=positives, patients=found.patients, level=found.level)
    return lacking(basis, minimum)


def _worst(
    overall: Sequence[Estimate], strata: Sequence[StratumResult], ranked: Sequence[tuple[str, bool]]
) -> Iterable[WorstStratum]:
    """Name the worst level by each ranked metric, among estimates that carry a claim."""
    for metric, high_is_bad in ranked:
        whole = next((found for found in overall if found.metric == metric), None)
        able = [
            ((-1 if high_is_bad else 1) * found.value, index, found)
            for index, row in enumerate(strata)
            for found in row.estimates
            if found.metric == metric and found.status == "ok" and found.value is not None
        ]
        if whole is None or not able:
            continue
        _, index, found = min(able, key=lambda item: item[:2])
        yield WorstStratum(
            metric=metric,
            operating_point=None,
            attribute=strata[index].attribute,
            level=strata[index].level,
            estimate=found,
            overall=whole,
        )
