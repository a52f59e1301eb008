"""Scoring of a task with one score for one 0/1 target: every metric, stratum, curve and gap under one failure rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from sandbox.outcome.result_figures import Plot
from sandbox.outcome.results import (
    Analysis,
    Curves,
    Estimate,
    FailureRule,
    OperatingPointResult,
    StratumResult,
)
from sandbox.plan.metric_catalogue import SCORE_ONLY_OVERALL
from sandbox.plan.protocol import Protocol
from sandbox.plan.task_section import OperatingPoint
from sandbox.scoring import calibration, failures, precision_recall, roc
from sandbox.scoring.association import associate
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.case_mix.intended_population import compare_with_population
from sandbox.scoring.case_mix.searched import search_slices
from sandbox.scoring.case_mix.within_strata import compare_within_strata
from sandbox.scoring.cases import ScoredCases, count_patients
from sandbox.scoring.claims import lacking, mark_claims, mark_points, worst_strata
from sandbox.scoring.estimates import basis_of, undefined
from sandbox.scoring.fixed_target import at_target
from sandbox.scoring.gaps import find_gaps
from sandbox.scoring.intended_use import decision_curve, net_benefit, predictive_values
from sandbox.scoring.operating_points import at_threshold
from sandbox.scoring.outcomes import outcomes
from sandbox.scoring.partial_auroc import partial_auroc
from sandbox.scoring.readers.misclassified import error_bands
from sandbox.scoring.scored_task import RULES, ScoredTask
from sandbox.scoring.store import Store, make_store
from sandbox.scoring.strata import Levels

_NOT_PROBABILITY = "The protocol does not declare the score as a probability (range 0 to 1)."
NOTES = (
    "Failed cases have no score: calibration intercept, slope, error and curve rest on answered cases.",
    "The worst stratum is the lowest of several estimates, partly by chance; read its interval.",
)


def score_binary(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a binary task; see :func:`sandbox.scoring.score.score`.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    store = make_store(labelled, protocol)
    # These rest on answered cases, which are the same under both rules: made once.
    calibrated = _overall_only(store.cases, protocol, evaluation)
    return ScoredTask(
        analyses=tuple(_analyse(store, protocol, evaluation, rule, calibrated) for rule in RULES),
        failed=store.failed,
        patient=store.patient,
        levels=store.levels,
        reference=store.reference,
        notes=NOTES,
    )


def _analyse(
    store: Store, protocol: Protocol, evaluation: str, rule: FailureRule, calibrated: tuple[Estimate, ...]
) -> Analysis:
    entered = np.flatnonzero(failures.analysed(rule, store.failed))
    everything = store.cases
    cases = everything.where(entered)
    level, method = protocol.intervals.level, protocol.intervals.proportion
    points, cutoffs = _operating_points(cases, protocol), _cutoffs(protocol)
    own_levels = [each.where(entered) for each in store.levels]
    overall = (*_estimates(cases, protocol), *calibrated)
    parts = _partial(cases, protocol, evaluation, rule)
    failure_rate = failures.failure_rate(
        store.failed, store.reference, store.patient, level=level, method=method
    )
    strata: list[StratumResult] = []
    for levels in store.levels:
        strata += _strata(everything, levels, protocol, rule)
    return Analysis(
        failure_rule=rule,
        n=cases.n,
        positives=cases.positives,
        negatives=cases.negatives,
        patients=count_patients(cases.patient),
        sampling="clustered" if count_patients(cases.patient) < cases.n else "independent",
        estimates=(*mark_claims((*overall, *parts), cases, protocol.minimum), failure_rate),
        operating_points=mark_points(
            (*points, *_targets(cases, protocol, evaluation, rule)), cases, protocol.minimum
        ),
        curves=_curves(cases, protocol),
        strata=tuple(strata),
        associations=tuple(
            associate(
                cases,
                levels,
                level=level,
                method=method,
                seed=Seed(
                    evaluation=evaluation,
                    metric="attribute_auroc",
                    stratum=levels.name,
                    purpose=f"shuffle-{rule}",
                ),
            )
            for levels in own_levels
            if cases.n
        ),
        worst=worst_strata(overall, points, strata),
        plots=_plots(cases, protocol),
        bias=find_gaps(
            everything.patient,
            outcomes(everything, rule, cutoffs, probability=_probability(protocol)),
            store.levels,
            rule,
            protocol,
            evaluation,
        ),
        case_mix=compare_within_strata(cases, own_levels, cutoffs, protocol),
        population=compare_with_population(cases, own_levels, cutoffs, protocol),
        slices=search_slices(cases, own_levels, cutoffs, protocol, evaluation, rule),
        reference_error=error_bands(cases, cutoffs, protocol),
    )


def _probability(protocol: Protocol) -> bool:
    output = protocol.score
    return output.minimum == 0 and output.maximum == 1


def _clip(protocol: Protocol) -> float:
    """Half a level of the score: what a score of 0 or 1 may have been before it was rounded."""
    return 0.5 / (protocol.score.levels - 1)


def _estimates(cases: ScoredCases, protocol: Protocol) -> tuple[Estimate, ...]:
    """Estimate what every group of cases gets, the whole and each stratum alike."""
    level = protocol.intervals.level
    ranked = (roc.auroc(cases, level), precision_recall.average_precision(cases, level))
    if _probability(protocol):
        return (
            *ranked,
            calibration.brier(cases, level),
            calibration.intercept(cases, level, _clip(protocol)),
        )
    basis = basis_of(cases, level)
    return (
        *ranked,
        *(undefined(name, basis, "none", _NOT_PROBABILITY) for name in ("brier", "calibration_intercept")),
    )


def _overall_only(cases: ScoredCases, protocol: Protocol, evaluation: str) -> tuple[Estimate, ...]:
    level = protocol.intervals.level
    if not _probability(protocol):
        basis = basis_of(cases, level)
        return tuple(undefined(name, basis, "none", _NOT_PROBABILITY) for name in sorted(SCORE_ONLY_OVERALL))
    seed = Seed(evaluation=evaluation, metric="expected_calibration_error")
    replicates = protocol.intervals.bootstrap_replicates
    return (
        calibration.slope(cases, level, _clip(protocol)),
        calibration.expected_calibration_error(cases, level, seed, replicates),
    )


def _cutoffs(protocol: Protocol) -> tuple[tuple[str, float], ...]:
    """Name and lowest positive score of each operating point."""
    return tuple((point.name, threshold - _tolerance(protocol)) for point, threshold in _fixed(protocol))


def _fixed(protocol: Protocol) -> list[tuple[OperatingPoint, float]]:
    """Operating points whose threshold was declared."""
    return [(point, point.threshold) for point in protocol.operating_points if point.threshold is not None]


def _tolerance(protocol: Protocol) -> float:
    """Far below one level of the score: 0.1 + 0.2 must reach a threshold of 0.3."""
    output = protocol.score
    return 1e-9 * (output.maximum - output.minimum)


def _operating_points(cases: ScoredCases, protocol: Protocol) -> tuple[OperatingPointResult, ...]:
    """Rates at each declared threshold, with what the protocol asks about intended use."""
    level, tolerance = protocol.intervals.level, _tolerance(protocol)
    found = []
    for point, threshold in _fixed(protocol):
        made = at_threshold(
            cases,
            point.name,
            threshold,
            level=level,
            method=protocol.intervals.proportion,
            tolerance=tolerance,
        )
        called = cases.score >= threshold - tolerance
        more: list[Estimate] = []
        if protocol.intended_prevalence is not None:
            more += predictive_values(cases, called, protocol.intended_prevalence, level)
        if protocol.decision_curve is not None:
            more.append(net_benefit(cases, called, threshold, level))
        found.append(replace(made, estimates=(*made.estimates, *more)))
    return tuple(found)


def _targets(
    cases: ScoredCases, protocol: Protocol, evaluation: str, rule: FailureRule
) -> list[OperatingPointResult]:
    """Operating points by a declared sensitivity or specificity, over all cases only."""
    found = []
    for point in protocol.operating_points:
        if point.sensitivity is None and point.specificity is None:
            continue
        seed = Seed(evaluation=evaluation, metric=point.name, purpose=f"target-{rule}")
        made = at_target(cases, point, protocol, seed)
        if made is not None:
            found.append(made)
    return found


def _partial(cases: ScoredCases, protocol: Protocol, evaluation: str, rule: FailureRule) -> list[Estimate]:
    found: list[Estimate] = []
    for part in protocol.partial_auroc:
        seed = Seed(evaluation=evaluation, metric=f"partial_auroc@{part.name}", purpose=f"bootstrap-{rule}")
        found += partial_auroc(
            cases, part, protocol.intervals.level, seed, protocol.intervals.bootstrap_replicates
        )
    return found


def _plots(cases: ScoredCases, protocol: Protocol) -> tuple[Plot, ...]:
    curve = protocol.decision_curve
    if curve is None or cases.positives == 0 or cases.negatives == 0:
        return ()
    return (decision_curve(cases, curve, protocol.intervals.level),)


def _curves(cases: ScoredCases, protocol: Protocol) -> Curves:
    level = protocol.intervals.level
    if cases.positives == 0 or cases.negatives == 0:
        return Curves(
            roc=None,
            precision_recall=None,
            calibration=None,
            reason="Curves need a positive and a negative case.",
        )
    answered = bool((~cases.failed).any())
    reason = None if _probability(protocol) else _NOT_PROBABILITY
    if not answered:
        reason = "No case was answered."
    return Curves(
        roc=roc.roc_curve(cases, level),
        precision_recall=precision_recall.precision_recall_curve(cases) if answered else None,
        calibration=calibration.calibration_curve(cases, level)
        if _probability(protocol) and answered
        else None,
        reason=reason,
    )


def _strata(
    everything: ScoredCases, levels: Levels, protocol: Protocol, rule: FailureRule
) -> list[StratumResult]:
    level, method = protocol.intervals.level, protocol.intervals.proportion
    found = []
    for name, members in zip(levels.names, levels.slices(), strict=True):
        asked = everything.where(members)
        cases = asked.where(failures.analysed(rule, asked.failed))
        lack = lacking(basis_of(cases, level), protocol.minimum)
        rate = failures.failure_rate(asked.failed, asked.reference, asked.patient, level=level, method=method)
        found.append(
            StratumResult(
                attribute=levels.name,
                level=name,
                n=cases.n,
                positives=cases.positives,
                negatives=cases.negatives,
                patients=count_patients(cases.patient),
                failures=int(np.count_nonzero(asked.failed)),
                estimates=(*mark_claims(_estimates(cases, protocol), cases, protocol.minimum), rate),
                operating_points=mark_points(_operating_points(cases, protocol), cases, protocol.minimum),
                status="too_few" if lack else "ok",
                reason=lack,
            )
        )
    return found
