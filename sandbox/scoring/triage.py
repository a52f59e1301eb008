"""A triage device: a binary task whose alarms change the order in which cases are read.

Beside everything of the binary task: minutes from delivery of a case to a true alarm, as measured here plus the
declared transfer; and what the alarms do to waiting, by the closed form with the device's rates on these cases
(:mod:`queue_waiting`) and by simulation (:mod:`queue_simulation`). The waits of missed cases and of false alarms are
counted: a saving over true alarms only would flatter. Intervals: quantiles by inverting the score interval of the share
below (Woodruff 1952, J Am Stat Assoc 47:635); waits by resamples of whole patients, over the rates' uncertainty alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from sandbox.outcome.results import Analysis, Estimate
from sandbox.outcome.truth import binary_truth
from sandbox.plan.analysis_section import Queue
from sandbox.plan.protocol import Protocol
from sandbox.scoring import bootstrap
from sandbox.scoring.binary import score_binary
from sandbox.scoring.bootstrap import Seed, percentile_interval
from sandbox.scoring.cases import Floats, Integers, ScoredCases, count_patients
from sandbox.scoring.estimates import Basis, basis_of, estimate, method_name, undefined
from sandbox.scoring.failures import analysed
from sandbox.scoring.proportions import effective_size, wilson
from sandbox.scoring.queue_simulation import simulate
from sandbox.scoring.queue_waiting import mean_waits
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.store import make_store

BOOTSTRAP = "bootstrap-percentile-patients"
SIMULATION = "simulation-batch-means"
_QUANTILES = (("time_to_notification_median", 0.5), ("time_to_notification_p90", 0.9))
_WAITS = ("wait_saved_diseased", "wait_added_non_diseased")


def score_triage(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a triage device.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    scored = score_binary(labelled, protocol, evaluation)
    times = notification_times(labelled, protocol)
    store = make_store(labelled, protocol)
    analyses = []
    for analysis in scored.analyses:
        cases = store.cases.where(np.flatnonzero(analysed(analysis.failure_rule, store.failed)))
        waits = _waits(cases, analysis, protocol, evaluation)
        analyses.append(replace(analysis, estimates=(*analysis.estimates, *times, *waits)))
    queue = declared_queue(protocol)
    return replace(
        scored,
        analyses=tuple(analyses),
        notes=(
            *scored.notes,
            "Waits rest on the declared reading list (one reader, arrivals at random) and on the rates found here.",
            f"Times to notification hold on this machine, with {queue.transfer_minutes:g} minutes of transfer added.",
        ),
    )


def declared_queue(protocol: Protocol) -> Queue:
    """The reading list; a checked triage protocol has one."""
    assert protocol.queue is not None
    return protocol.queue


def _threshold(protocol: Protocol) -> float:
    queue = declared_queue(protocol)
    point = next(each for each in protocol.operating_points if each.name == queue.operating_point)
    assert point.threshold is not None
    return point.threshold - 1e-9 * (protocol.score.maximum - protocol.score.minimum)


def notification_times(labelled: pa.Table, protocol: Protocol) -> tuple[Estimate, ...]:
    """Median and 90th percentile of minutes to a true alarm; undefined where no times were kept."""
    level = protocol.intervals.level
    if "seconds" not in labelled.column_names:
        basis = Basis(n=0, positives=None, patients=0, level=level)
        return tuple(undefined(name, basis, "woodruff", "No times were kept.") for name, _ in _QUANTILES)
    seconds = labelled["seconds"].to_numpy().astype(np.float64)
    score = labelled["score"].to_numpy().astype(np.float64)
    chosen = (
        binary_truth(labelled)
        & (np.nan_to_num(score, nan=-np.inf) >= _threshold(protocol))
        & ~np.isnan(seconds)
    )
    patient = np.unique(labelled["patient_key"].to_numpy(), return_inverse=True)[1][chosen].astype(np.int64)
    minutes = seconds[chosen] / 60 + declared_queue(protocol).transfer_minutes
    return tuple(quantile_estimate(name, minutes, share, patient, level) for name, share in _QUANTILES)


def quantile_estimate(metric: str, values: Floats, share: float, patient: Integers, level: float) -> Estimate:
    """A quantile with Woodruff's interval."""
    patients = count_patients(patient)
    basis = Basis(n=values.size, positives=None, patients=patients, level=level)
    name = method_name("woodruff", patients < values.size)
    if values.size == 0:
        return undefined(metric, basis, name, "There is no true alarm.")
    value = float(np.quantile(values, share, method="inverted_cdf"))
    size = effective_size(values <= value, patient, level)
    low, high = (float(each) for each in wilson(share * size, size, level))
    limits = np.quantile(values, (low, high), method="inverted_cdf")
    return estimate(metric, value, (float(limits[0]), float(limits[1])), basis, name)


def _waits(
    cases: ScoredCases, analysis: Analysis, protocol: Protocol, evaluation: str
) -> tuple[Estimate, ...]:
    queue, level = declared_queue(protocol), protocol.intervals.level
    basis = basis_of(cases, level)
    names = (*_WAITS, *(f"{name}_simulated" for name in _WAITS))
    if cases.positives == 0 or cases.negatives == 0 or basis.patients < 2:
        reason = "It needs a positive and a negative case of two patients."
        return tuple(undefined(name, basis, "none", reason) for name in names)
    called = cases.score >= _threshold(protocol)
    sensitivity = float(called[cases.reference].mean())
    specificity = float(1 - called[~cases.reference].mean())
    seed = Seed(evaluation=evaluation, metric="waits", purpose=f"bootstrap-{analysis.failure_rule}")
    drawn_se, drawn_sp = bootstrap.rates(
        cases, _threshold(protocol), seed, protocol.intervals.bootstrap_replicates
    )
    here, drawn = mean_waits(queue, sensitivity, specificity), mean_waits(queue, drawn_se, drawn_sp)
    found = []
    for name, value, spread in (
        (_WAITS[0], here.saved_diseased, drawn.saved_diseased),
        (_WAITS[1], here.added_non_diseased, drawn.added_non_diseased),
    ):
        found.append(estimate(name, float(value), percentile_interval(spread, level), basis, BOOTSTRAP))
    simulated = simulate(queue, sensitivity, specificity, level, replace(seed, purpose="simulation"))
    for name, each in zip(names[2:], simulated, strict=True):
        runs = Basis(n=each.cases, positives=None, patients=each.cases, level=level)
        found.append(estimate(name, each.value, (each.low, each.high), runs, SIMULATION))
    return tuple(found)
