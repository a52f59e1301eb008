"""One perturbation at one severity against the clean answers of the same cases.

AUROC by DeLong's paired variance, sensitivity and specificity by Tango's score interval
(``scoring.comparison.paired``), the mean shift of the score by a bootstrap of patients. A case without an answer is
wrong at any threshold, under stress and without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sandbox.protocol import Protocol
from sandbox.results import Estimate
from sandbox.scoring.bootstrap import Seed, paired_means, percentile_interval
from sandbox.scoring.cases import Bools, Floats, count_patients, make_cases
from sandbox.scoring.comparison.paired import Difference, compare_aurocs, compare_rates
from sandbox.scoring.estimates import Basis, estimate, undefined
from sandbox.scoring.failures import count_failures
from sandbox.scoring.proportions import proportion
from sandbox.scoring.roc import auroc
from sandbox.scoring.stress.answers import Put, Sample, ranked_scores
from sandbox.scoring.stress.verdicts import Margins, judge
from sandbox.stress.perturbation import Perturbation
from sandbox.stress_results import PairedCalls, StressCell

NOT_APPLICABLE = "not_applicable"
_NO_VARIATION = "The answers show no variation to make an interval from."


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every cell needs: the protocol's choices, and the lowest score of each threshold that is a call."""

    evaluation: str
    level: float
    replicates: int
    margins: Margins
    thresholds: dict[str, float]
    proportion: str


def setting_of(protocol: Protocol, evaluation: str) -> Setting:
    """Read the setting off a protocol with a section ``stress``."""
    stress, score = protocol.stress, protocol.score
    assert stress is not None
    span = score.maximum - score.minimum
    return Setting(
        evaluation=evaluation,
        level=stress.level,
        replicates=protocol.intervals.bootstrap_replicates,
        margins=Margins(
            auroc=stress.margins.auroc,
            sensitivity=stress.margins.sensitivity,
            specificity=stress.margins.specificity,
            score=stress.margins.score * span,
        ),
        # Scores are multiples of a step: a threshold on one of them must not miss it by rounding.
        thresholds={
            point.name: point.threshold - 1e-9 * span
            for point in protocol.operating_points
            if point.threshold is not None
        },
        proportion=protocol.intervals.proportion,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """The cases that are analysed: ``counted`` are stressed, the others stand with their clean answers."""

    reference: Bools
    clean: Floats
    stressed: Floats
    donor: Floats
    counted: Bools
    patient: np.ndarray


def score_cell(
    sample: Sample, put: Put, perturbation: Perturbation, severity: int, label: str, setting: Setting
) -> StressCell:
    """Score one perturbation at one severity, and judge it by its expectation."""
    applicable = put.failure != NOT_APPLICABLE
    meant = {
        "all": np.ones_like(sample.reference),
        "positive": sample.reference,
        "negative": ~sample.reference,
    }[perturbation.cases]
    counted = applicable & meant
    # Where only one class is perturbed, the other stands for itself: what changes is how the two are told apart.
    kept = counted if perturbation.cases == "all" else counted | ~meant
    pairs = _Pairs(
        reference=sample.reference[kept],
        clean=sample.score[kept],
        stressed=np.where(counted, put.score, sample.score)[kept],
        donor=np.where(put.donor >= 0, sample.score[put.donor], np.nan)[kept],
        counted=counted[kept],
        patient=sample.patient[kept],
    )
    clean, stressed = pairs.clean[pairs.counted], pairs.stressed[pairs.counted]
    both = ~np.isnan(clean) & ~np.isnan(stressed)
    reference = pairs.reference[pairs.counted]
    differences = np.abs(stressed[both] - clean[both])
    moved = int(np.count_nonzero(differences > 0)) + int(
        np.count_nonzero(np.isnan(clean) != np.isnan(stressed))
    )
    follows = perturbation.readout == "score follows the pixels"
    calls = () if follows else tuple(_calls(pairs, setting))
    estimates = tuple(_estimates(pairs, perturbation, setting))
    cell = StressCell(
        severity=severity,
        label=label,
        planned=int(sample.reference.size),
        not_applicable=int(np.count_nonzero(~applicable)),
        not_put=int(np.count_nonzero(applicable & ~meant)),
        cases=int(np.count_nonzero(counted)),
        positives=int(np.count_nonzero(reference)),
        negatives=int(np.count_nonzero(~reference)),
        answered=int(np.count_nonzero(~np.isnan(stressed))),
        failures=count_failures(put.failure[counted].tolist(), reference),
        different=moved,
        largest_difference=float(differences.max()) if differences.size else None,
        calls=calls,
        estimates=estimates,
        verdict="not_applicable",
        reason="",
    )
    lost = int(np.count_nonzero(~np.isnan(clean) & np.isnan(stressed)))
    verdict, reason = judge(cell, perturbation, setting.margins, lost=lost)
    return replace(cell, verdict=verdict, reason=reason)


def _calls(pairs: _Pairs, setting: Setting) -> Iterator[PairedCalls]:
    clean, stressed = (ranked_scores(score, pairs.reference) for score in (pairs.clean, pairs.stressed))
    for name, threshold in setting.thresholds.items():
        for positive in (True, False):
            kind = pairs.counted & (pairs.reference == positive)
            first, second = ((score[kind] >= threshold) == positive for score in (clean, stressed))
            yield PairedCalls(
                operating_point=name,
                positive=positive,
                both=int(np.count_nonzero(first & second)),
                only_clean=int(np.count_nonzero(first & ~second)),
                only_stressed=int(np.count_nonzero(~first & second)),
                neither=int(np.count_nonzero(~first & ~second)),
            )


def _estimates(pairs: _Pairs, perturbation: Perturbation, setting: Setting) -> Iterator[Estimate]:
    if not pairs.counted.any():
        return
    if perturbation.readout == "auroc near 0.5":
        yield from _chance(pairs, setting)
    elif perturbation.readout == "score follows the pixels":
        yield _mean("difference_to_pixels", pairs, np.abs(pairs.stressed - pairs.donor), setting)
        yield _mean("difference_to_header", pairs, np.abs(pairs.stressed - pairs.clean), setting)
    elif perturbation.expectation != "must refuse":
        yield _auroc_change(pairs, setting)
        yield from _rate_changes(pairs, setting)
        yield _mean("score_shift", pairs, pairs.stressed - pairs.clean, setting)
    lost = np.isnan(pairs.stressed)[pairs.counted]
    yield proportion(
        "failure_rate",
        lost,
        pairs.patient[pairs.counted],
        positives=int(np.count_nonzero(pairs.reference[pairs.counted])),
        level=setting.level,
        method="clopper-pearson" if setting.proportion == "clopper-pearson" else "wilson",
        empty="There is no case.",
    )


def _basis(pairs: _Pairs, kept: Bools, setting: Setting) -> Basis:
    return Basis(
        n=int(np.count_nonzero(kept)),
        positives=int(np.count_nonzero(pairs.reference[kept])),
        patients=count_patients(pairs.patient[kept]),
        level=setting.level,
    )


def _auroc_change(pairs: _Pairs, setting: Setting) -> Estimate:
    basis = _basis(pairs, np.ones_like(pairs.reference), setting)
    if pairs.reference.all() or not pairs.reference.any():
        return undefined(
            "auroc_change", basis, "delong-paired", "AUROC needs a positive and a negative case."
        )
    found = compare_aurocs(
        pairs.reference,
        ranked_scores(pairs.stressed, pairs.reference),
        ranked_scores(pairs.clean, pairs.reference),
        pairs.patient,
        level=setting.level,
    )
    return _changed("auroc_change", found, basis)


def _rate_changes(pairs: _Pairs, setting: Setting) -> Iterator[Estimate]:
    clean, stressed = (ranked_scores(score, pairs.reference) for score in (pairs.clean, pairs.stressed))
    for name, threshold in setting.thresholds.items():
        for metric, positive in (("sensitivity_change", True), ("specificity_change", False)):
            kind = pairs.counted & (pairs.reference == positive)
            if kind.any():
                first, second = ((score[kind] >= threshold) == positive for score in (stressed, clean))
                found = compare_rates(first, second, pairs.patient[kind], level=setting.level)
                yield replace(_changed(metric, found, _basis(pairs, kind, setting)), subject=name)


def _changed(metric: str, found: Difference, basis: Basis) -> Estimate:
    interval = None if found.low is None or found.high is None else (found.low, found.high)
    reason = _NO_VARIATION if interval is None else None
    return estimate(metric, found.value, interval, basis, found.method, reason=reason)


def _mean(metric: str, pairs: _Pairs, values: Floats, setting: Setting) -> Estimate:
    """Mean over the counted cases that have both answers, with its percentile interval."""
    known = pairs.counted & ~np.isnan(values)
    basis = _basis(pairs, known, setting)
    method = "bootstrap-percentile"
    if not known.any():
        return undefined(metric, basis, method, "No case has both answers.")
    # The same resamples for every perturbation: their differences are then not those of the draws.
    seed = Seed(evaluation=setting.evaluation, metric=metric, purpose="stress")
    drawn = paired_means(
        values[known][None], np.ones(basis.n, dtype=bool), pairs.patient[known], seed, setting.replicates
    )[0]
    low, high = percentile_interval(drawn, setting.level)
    return estimate(metric, float(values[known].mean()), (low, high), basis, method)


def _chance(pairs: _Pairs, setting: Setting) -> Iterator[Estimate]:
    answered = ~np.isnan(pairs.stressed)
    cases = make_cases(pairs.reference[answered], pairs.stressed[answered], pairs.patient[answered])
    yield auroc(cases, setting.level)
