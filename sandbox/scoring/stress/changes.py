"""How much AUROC, rates and scores change under stress, each with what it takes to adjust it for there being many.

AUROC by DeLong's paired variance, sensitivity and specificity by Tango's score interval
(``scoring.comparison.paired``), the mean shift of the score, and of what masks are worth, by a bootstrap of patients. A
case without an answer is wrong at any threshold, and worth nothing, under stress and without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sandbox.outcome.results import Estimate
from sandbox.scoring.bootstrap import Seed, paired_means, percentile_interval
from sandbox.scoring.cases import Bools, Floats
from sandbox.scoring.comparison.paired import Difference, compare_aurocs, compare_rates, tango_statistic
from sandbox.scoring.estimates import estimate, undefined
from sandbox.scoring.ranking_components import components
from sandbox.scoring.stress import findings
from sandbox.scoring.stress.answers import ranked_scores
from sandbox.scoring.stress.masks import counted_worth, mean_worth
from sandbox.scoring.stress.pairs import Pairs, Setting

_NO_VARIATION = "The answers show no variation to make an interval from."


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change, stressed minus clean.

    Attributes:
        beyond: how far the loss (of a score: the shift) lies beyond its margin, in standard errors; negative inside,
            None where nothing can be said.
        contribution: what each case of ``Pairs`` adds to the change, centred.
    """

    estimate: Estimate
    beyond: float | None
    contribution: Floats


def changes_of(pairs: Pairs, setting: Setting) -> Iterator[Change]:
    """Changes of AUROC, of sensitivity and specificity at each threshold, and of the score.

    Of other answers than one score: how far they moved; of masks: the mean of what they are worth; of findings: the
    figures of their curves.
    """
    if setting.masks:
        yield from _worths(pairs, setting)
        return
    if setting.figures:
        yield from _figures(pairs, setting)
        return
    if not setting.scored:
        yield _shift(pairs, setting, "answer_shift")
        return
    yield _auroc(pairs, setting)
    yield from _rates(pairs, setting)
    yield _shift(pairs, setting, "score_shift")


def _auroc(pairs: Pairs, setting: Setting) -> Change:
    truth = pairs.reference
    basis = pairs.basis(np.ones_like(truth), setting.level)
    nothing = np.zeros(truth.size)
    if truth.all() or not truth.any():
        found = undefined(
            "auroc_change", basis, "delong-paired", "AUROC needs a positive and a negative case."
        )
        return Change(estimate=found, beyond=None, contribution=nothing)
    stressed, clean = (ranked_scores(score, truth) for score in (pairs.stressed, pairs.clean))
    compared = compare_aurocs(truth, stressed, clean, pairs.patient, level=setting.level)
    share = components(truth, stressed) - components(truth, clean)
    size = np.where(truth, np.count_nonzero(truth), np.count_nonzero(~truth))
    beyond = None
    if compared.statistic:
        beyond = (-setting.margins.of("auroc_change") - compared.value) * compared.statistic / compared.value
    return Change(
        estimate=_changed("auroc_change", compared, pairs, np.ones_like(truth), setting),
        beyond=beyond,
        contribution=(share - compared.value) / size,
    )


def _rates(pairs: Pairs, setting: Setting) -> Iterator[Change]:
    stressed, clean = (ranked_scores(score, pairs.reference) for score in (pairs.stressed, pairs.clean))
    for name, threshold in setting.thresholds.items():
        for metric, positive in (("sensitivity_change", True), ("specificity_change", False)):
            kind = pairs.counted & (pairs.reference == positive)
            if not kind.any():
                continue
            first, second = ((score[kind] >= threshold) == positive for score in (stressed, clean))
            compared = compare_rates(first, second, pairs.patient[kind], level=setting.level)
            contribution = np.zeros(kind.size)
            contribution[kind] = (first.astype(np.float64) - second - compared.value) / first.size
            yield Change(
                estimate=replace(_changed(metric, compared, pairs, kind, setting), subject=name),
                beyond=-tango_statistic(
                    int(np.count_nonzero(first & ~second)),
                    int(np.count_nonzero(~first & second)),
                    first.size,
                    -setting.margins.of(metric),
                ),
                contribution=contribution,
            )


def _changed(metric: str, found: Difference, pairs: Pairs, kept: Bools, setting: Setting) -> Estimate:
    interval = None if found.low is None or found.high is None else (found.low, found.high)
    reason = _NO_VARIATION if interval is None else None
    basis = pairs.basis(kept, setting.level)
    return estimate(metric, found.value, interval, basis, found.method, reason=reason)


def _worths(pairs: Pairs, setting: Setting) -> Iterator[Change]:
    counted = pairs.counted
    for name, (clean, stressed) in pairs.worth.items():
        metric = f"{name}_change"
        change = counted_worth(stressed[counted]) - counted_worth(clean[counted])
        found = mean_worth(
            metric,
            change,
            pairs.patient[counted],
            evaluation=setting.evaluation,
            level=setting.level,
            replicates=setting.replicates,
        )
        contribution = np.zeros(counted.size)
        contribution[counted] = (change - change.mean()) / change.size
        margin, beyond = setting.margins.losses.get(metric), None
        if margin is not None and found.low is not None:
            beyond = (-margin - float(change.mean())) / _error(contribution)
        yield Change(estimate=found, beyond=beyond, contribution=contribution)


def _figures(pairs: Pairs, setting: Setting) -> Iterator[Change]:
    clean, stressed = pairs.marks
    found = findings.changes(
        clean,
        stressed,
        pairs.patient,
        setting.figures,
        evaluation=setting.evaluation,
        level=setting.level,
        replicates=setting.replicates,
    )
    for change, contribution in found:
        margin, beyond = setting.margins.losses.get(change.metric), None
        if margin is not None and contribution is not None and change.value is not None:
            beyond = (-margin - change.value) / _error(contribution)
        yield Change(
            estimate=change,
            beyond=beyond,
            contribution=np.zeros(pairs.patient.size) if contribution is None else contribution,
        )


def _shift(pairs: Pairs, setting: Setting, metric: str) -> Change:
    moved = pairs.stressed - pairs.clean
    found = mean_of(metric, pairs, moved, setting)
    known = pairs.counted & ~np.isnan(moved)
    contribution = np.zeros(moved.size)
    beyond = None
    if found.value is not None:
        contribution[known] = (moved[known] - found.value) / found.n
        beyond = (abs(found.value) - setting.margins.score) / _error(contribution) if found.n > 1 else None
    return Change(estimate=found, beyond=beyond, contribution=contribution)


def _error(contribution: Floats) -> float:
    """Standard error of a mean; that of cases which all change alike is as small as can be."""
    return max(math.sqrt(float(contribution @ contribution)), 1e-9)


def mean_of(metric: str, pairs: Pairs, values: Floats, setting: Setting) -> Estimate:
    """Mean over the counted cases that have both answers, with its percentile interval."""
    known = pairs.counted & ~np.isnan(values)
    basis = pairs.basis(known, setting.level)
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
