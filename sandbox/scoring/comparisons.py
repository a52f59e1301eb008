"""The levels of one stratum compared on one metric, before anything is adjusted for there being many.

Each level against all other cases, or against the level that the protocol names as reference; of two levels
that are all there is, one against the other. Statistics: for rates the score statistic with the variance that
a common rate would have (its square is Pearson's chi-square for independent cases), for AUROC the unpaired
comparison of DeLong, DeLong and Clarke-Pearson 1988 on the logit scale, for means Welch's, for other statistics the
same on the scale of their range (:mod:`sandbox.scoring.scale`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.outcome.bias_results import REST, ChanceGap, Heterogeneity, LeftOut, Shrinkage
from sandbox.plan.strata_section import Minimum
from sandbox.scoring import chance
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.chance import Contrast, Drawn
from sandbox.scoring.common_correlation import Class, covariance, make_class
from sandbox.scoring.differences import as_normal
from sandbox.scoring.estimates import method_name
from sandbox.scoring.heterogeneity import heterogeneity
from sandbox.scoring.outcomes import Outcome, unfit
from sandbox.scoring.roc import win_shares
from sandbox.scoring.scale import Scale
from sandbox.scoring.shrinkage import shrink_rates, shrink_values
from sandbox.scoring.sides import Measured, measure
from sandbox.scoring.strata import Levels

MOST_PERMUTED_CASES, MOST_PERMUTATIONS = 3000, 1000
FEW_CASES = 50
"""With fewer positives or negatives in a compared level its AUROC is not taken as normal."""
_TESTS = {
    "rate": "chi-square",
    "mean": "cochran-q",
    "auroc": "cochran-q-logit",
    "statistic": "cochran-q-scaled",
}
_NAMES = {
    "rate": "newcombe-10",
    "mean": "mover-t",
    "auroc": "mover-delong-logit",
    "statistic": "mover-t-scaled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One comparison: both sides, the correlation of their estimates, the statistic and what makes it."""

    group: Measured
    against: Measured
    correlation: float
    statistic: float
    contributions: Floats
    chance: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumCompared:
    """One metric over one stratum; ``reason`` says why nothing was compared."""

    stratum: Levels
    reference: str | None
    outcome: Outcome
    compared: tuple[Compared, ...]
    left_out: tuple[LeftOut, ...]
    heterogeneity: Heterogeneity | None
    chance: ChanceGap | None
    shrinkage: Shrinkage | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What holds for every comparison: the patient of each case (0..patients-1), the minimum, draws and their seed."""

    patient: Integers
    patients: int
    minimum: Minimum
    level: float
    replicates: int
    evaluation: str
    purpose: str


def compare(setting: Setting, stratum: Levels, reference: str | None, outcome: Outcome) -> StratumCompared:
    """Compare the levels of ``stratum`` on ``outcome``."""
    measured = [_level(setting, outcome, stratum, index) for index in range(len(stratum.names))]
    reasons = [_unfit(setting, outcome, each) for each in measured]
    contrasts, problem = _contrasts(setting, stratum, reference, outcome, reasons)
    pairs = [_pair(setting, outcome, stratum, measured, contrast) for contrast in contrasts]
    kept = [(contrast, pair) for contrast, pair in zip(contrasts, pairs, strict=True) if pair is not None]
    if len(kept) < len(contrasts):
        problem = problem or "The other cases are too few for a comparison."
    left_out = tuple(
        LeftOut(
            level=name,
            n=each.side.n if each else 0,
            successes=each.side.successes if each else None,
            reason=reason,
        )
        for name, each, reason in zip(stratum.names, measured, reasons, strict=True)
        if reason
    )
    compared: tuple[Compared, ...] = ()
    by_chance = test = None
    if kept:
        contrasts = tuple(contrast for contrast, _ in kept)
        sides = [pair for _, pair in kept if pair is not None]
        classes, centre = _classes(setting, outcome, stratum)
        if outcome.kind == "statistic":
            drawn = _draw_sides(setting, stratum, outcome, sides, contrasts)
        else:
            drawn = _draw(setting, stratum, outcome, classes, centre, contrasts)
        limits = chance.percentile(chance.single_gaps(drawn, contrasts))
        clustered = bool(setting.patients < setting.patient.size)
        compared = tuple(
            _compared(outcome, *sides[row], classes, contrast, centre, limits[row], clustered)
            for row, contrast in enumerate(contrasts)
        )
        indices = sorted({i for each in contrasts for i in (each.group, each.against) if i is not None})
        values = [each.side.value for i in indices if (each := measured[i]) is not None]
        gaps = [each.group.side.value - each.against.side.value for each in compared]
        by_chance = chance.chance_gap(drawn, contrasts, gaps, max(values) - min(values))
        test = _heterogeneity(
            outcome, [m for i in indices if (m := measured[i])], classes, indices, clustered
        )
    return StratumCompared(
        stratum=stratum,
        reference=reference,
        outcome=outcome,
        compared=compared,
        left_out=left_out,
        heterogeneity=test,
        chance=by_chance,
        shrinkage=_shrink(setting, outcome, stratum, measured),
        reason=problem if not compared else None,
    )


def _level(setting: Setting, outcome: Outcome, stratum: Levels, index: int) -> Measured | None:
    chosen = np.flatnonzero((stratum.codes == index) & outcome.counted)
    name = stratum.names[index]
    return measure(name, outcome, chosen, setting.patient, setting.patients)


def _unfit(setting: Setting, outcome: Outcome, each: Measured | None) -> str | None:
    if each is None:
        lacking = {
            "auroc": "positive and negative cases",
            "ppv": "cases called positive",
            "npv": "cases called negative",
        }
        if outcome.kind == "statistic":
            return "It has no value here, or none in more than one of twenty resamples of the patients."
        return f"There are no {lacking.get(outcome.metric, 'cases')} to compare."
    side = each.side
    reason = unfit(outcome.metric, side.n, side.positives, side.patients, setting.minimum)
    if reason is None and outcome.kind in ("mean", "statistic") and each.error == 0:
        return "All cases add the same: there is no spread to judge by."
    return reason


def _contrasts(
    setting: Setting, stratum: Levels, reference: str | None, outcome: Outcome, reasons: Sequence[str | None]
) -> tuple[tuple[Contrast, ...], str | None]:
    """Return the comparisons to make, and the reason when there is none."""
    fit = [index for index, reason in enumerate(reasons) if reason is None]
    if reference is not None:
        if reference not in stratum.names:
            return (), f"The reference level {reference} does not occur."
        base = stratum.names.index(reference)
        if base not in fit:
            return (), f"The reference level {reference} is left out: {reasons[base]}"
        others = tuple(Contrast(group=index, against=base) for index in fit if index != base)
        return others, None if others else "No other level has enough cases."
    present = np.flatnonzero(np.bincount(stratum.codes[outcome.counted], minlength=len(stratum.names)))
    if present.size < 2:
        return (), "There is only one level."
    if not fit:
        return (), "No level has enough cases."
    # By the stratum, not by who is counted: the same comparisons for every metric.
    if len(fit) == 2 and len(stratum.names) == 2:
        cases = np.bincount(stratum.codes, minlength=len(stratum.names))
        smaller = min(reversed(fit), key=lambda index: cases[index])
        return (Contrast(group=smaller, against=next(i for i in fit if i != smaller)),), None
    return tuple(Contrast(group=index, against=None) for index in fit), None


def _pair(
    setting: Setting,
    outcome: Outcome,
    stratum: Levels,
    measured: Sequence[Measured | None],
    contrast: Contrast,
) -> tuple[Measured, Measured] | None:
    group = measured[contrast.group]
    if contrast.against is not None:
        against = measured[contrast.against]
    else:
        chosen = np.flatnonzero((stratum.codes != contrast.group) & outcome.counted)
        against = measure(REST, outcome, chosen, setting.patient, setting.patients)
    if group is None or against is None or _unfit(setting, outcome, against):
        return None
    return group, against


def _classes(setting: Setting, outcome: Outcome, stratum: Levels) -> tuple[tuple[Class, ...], float]:
    """Residuals over all counted cases by patient and level, and the value that levels share by chance."""
    if outcome.kind == "statistic":
        return (), math.nan
    patient = setting.patient

    def by_level(residual: Floats, counted: Bools) -> Class:
        return make_class(residual, counted, patient, setting.patients, stratum.codes, len(stratum.names))

    if outcome.kind != "auroc":
        n = int(np.count_nonzero(outcome.counted))
        centre = float(outcome.value[outcome.counted].sum()) / n
        return (by_level(outcome.value - centre, outcome.counted),), centre
    rising = outcome.rising(np.flatnonzero(outcome.counted))
    within = outcome.ranked(rising, patient)
    wins_positive, wins_negative = win_shares(within)
    centre = float(wins_positive.mean())
    residual = np.zeros(patient.size)
    residual[rising[within.reference]] = wins_positive - centre
    residual[rising[~within.reference]] = wins_negative - centre
    assert outcome.positive is not None
    positive = outcome.counted & outcome.positive
    return (by_level(residual, positive), by_level(residual, outcome.counted & ~outcome.positive)), centre


def _draw(
    setting: Setting,
    stratum: Levels,
    outcome: Outcome,
    classes: Sequence[Class],
    centre: float,
    contrasts: Sequence[Contrast],
) -> Drawn:
    seed = _chance_seed(setting, stratum, outcome)
    if outcome.kind == "rate" and classes[0].of_patient.max(initial=0.0) <= 1:
        n = classes[0].n.astype(np.int64)
        successes = int(np.count_nonzero(outcome.value[outcome.counted]))
        return chance.draw_rates(successes, n, contrasts, seed, setting.replicates)
    if outcome.kind == "auroc" and _few(setting, classes, contrasts):
        rising = outcome.rising(np.flatnonzero(outcome.counted))
        return chance.permute_aurocs(
            outcome.ranked(rising, setting.patient),
            stratum.codes[rising],
            len(stratum.names),
            contrasts,
            seed,
            min(setting.replicates, MOST_PERMUTATIONS),
        )
    bounds = (outcome.low, outcome.high)
    return chance.draw_means(classes, centre, bounds, contrasts, seed, setting.replicates)


def _chance_seed(setting: Setting, stratum: Levels, outcome: Outcome) -> Seed:
    return Seed(
        evaluation=setting.evaluation,
        metric=outcome.key,
        stratum=stratum.name,
        purpose=f"chance-{setting.purpose}",
    )


def _draw_sides(
    setting: Setting,
    stratum: Levels,
    outcome: Outcome,
    pairs: Sequence[tuple[Measured, Measured]],
    contrasts: Sequence[Contrast],
) -> Drawn:
    """Draw a statistic of every side about one value, with the variances and covariances that the sides have."""
    groups = {contrast.group: pair[0] for contrast, pair in zip(contrasts, pairs, strict=True)}
    groups |= {
        contrast.against: pair[1]
        for contrast, pair in zip(contrasts, pairs, strict=True)
        if contrast.against is not None
    }
    precision = np.array([1 / each.error**2 for each in groups.values()])
    centre = float(precision @ np.array([each.working for each in groups.values()]) / precision.sum())
    cases = int(np.count_nonzero(outcome.counted))
    return chance.draw_values(
        {index: shared_row(each) for index, each in groups.items()},
        [shared_row(against) for _, against in pairs],
        centre,
        Scale(low=outcome.low, high=outcome.high, n=cases),
        contrasts,
        len(stratum.names),
        _chance_seed(setting, stratum, outcome),
        setting.replicates,
    )


def shared_row(each: Measured) -> Floats:
    """What a side deviates on its scale, so that inner products are covariances and its own is its variance."""
    length = math.sqrt(float(each.influence @ each.influence))
    return np.asarray(each.influence * (each.error / length if length > 0 else 0.0))


def _few(setting: Setting, classes: Sequence[Class], contrasts: Sequence[Contrast]) -> bool:
    """Whether the AUROC of a compared level is far from normal, and permuting is possible and cheap."""
    independent = setting.patients == setting.patient.size
    smallest = min(own.n[contrast.group] for own in classes for contrast in contrasts)
    return independent and setting.patient.size <= MOST_PERMUTED_CASES and bool(smallest < FEW_CASES)


def _compared(
    outcome: Outcome,
    group: Measured,
    against: Measured,
    classes: Sequence[Class],
    contrast: Contrast,
    centre: float,
    limit: float,
    clustered: bool,
) -> Compared:
    lengths = math.sqrt(
        float(group.influence @ group.influence) * float(against.influence @ against.influence)
    )
    shared = float(group.influence @ against.influence)
    correlation = shared / lengths if lengths > 0 else 0.0
    if outcome.kind == "rate":
        statistic, contributions = _score(group, against, classes[0], contrast, centre)
    else:
        variance = group.error**2 + against.error**2 - 2 * correlation * group.error * against.error
        difference = group.working - against.working
        statistic = difference / math.sqrt(variance) if variance > 0 else 0.0
        if outcome.kind != "auroc":
            parts = group.error**4 / group.degrees + against.error**4 / against.degrees
            statistic = as_normal(statistic, (group.error**2 + against.error**2) ** 2 / parts)
        contributions = group.slope * group.influence - against.slope * against.influence
    clustered = _is_clustered(classes, clustered)
    return Compared(
        group=group,
        against=against,
        correlation=correlation,
        statistic=statistic,
        contributions=contributions,
        chance=limit,
        method=method_name(_NAMES[outcome.kind], clustered),
    )


def _score(
    group: Measured, against: Measured, own: Class, contrast: Contrast, centre: float
) -> tuple[float, Floats]:
    """Score statistic of two rates, and each patient's contribution about the rate of both together."""
    n = group.side.n + against.side.n
    common = ((group.side.successes or 0) + (against.side.successes or 0)) / n
    weights = -chance.other_weights([contrast], own.n)[0]
    weights[contrast.group] += 1
    scale = common * (1 - common) / own.variance if own.variance > 0 else 0.0
    variance = float(weights @ covariance(own) @ weights) * scale
    gap = group.side.value - against.side.value
    by_case = np.divide(weights, own.n, out=np.zeros_like(weights), where=own.n > 0)
    if contrast.against is None:
        # Mean over the other cases: every one of them weighs the same, whatever its level.
        by_case = np.where(own.n > 0, -1.0 / against.side.n, 0.0)
        by_case[contrast.group] = 1.0 / group.side.n
    contributions = own.sums @ by_case + (own.sizes @ by_case) * (centre - common)
    return (gap / math.sqrt(variance) if variance > 0 else 0.0), np.asarray(contributions)


def _is_clustered(classes: Sequence[Class], of_all: bool) -> bool:
    """Whether a patient has several of the cases that are averaged; of all cases where there are no classes."""
    return any(each.of_patient.max(initial=0.0) > 1 for each in classes) if classes else of_all


def _heterogeneity(
    outcome: Outcome,
    sides: Sequence[Measured],
    classes: Sequence[Class],
    indices: Sequence[int],
    clustered: bool,
) -> Heterogeneity | None:
    name = method_name(_TESTS[outcome.kind], _is_clustered(classes, clustered))
    if outcome.kind == "rate":
        own, chosen = classes[0], np.asarray(indices)
        values = np.array([side.side.value for side in sides])
        n = np.array([side.side.n for side in sides], dtype=np.float64)
        common = float((values * n).sum() / n.sum())
        scale = common * (1 - common) / own.variance if own.variance > 0 else 0.0
        return heterogeneity(values, covariance(own)[np.ix_(chosen, chosen)] * scale, name)
    influence = np.array([side.slope * side.influence for side in sides])
    shared = influence @ influence.T
    np.fill_diagonal(shared, [side.error**2 for side in sides])
    return heterogeneity(np.array([side.working for side in sides]), shared, name)


def _shrink(
    setting: Setting, outcome: Outcome, stratum: Levels, measured: Sequence[Measured | None]
) -> Shrinkage | None:
    """Every level that has a value, those too small for a comparison included: they need it most."""
    known = [(name, each) for name, each in zip(stratum.names, measured, strict=True) if each is not None]
    if outcome.kind != "rate":
        known = [(name, each) for name, each in known if each.error > 0]
    if len(known) < 2:
        return None
    names, sides = [name for name, _ in known], [each for _, each in known]
    n = [each.side.n for each in sides]
    values = np.array([each.side.value for each in sides])
    if outcome.kind == "rate":
        return shrink_rates(names, n, values, np.array([each.size for each in sides]), setting.level)
    working = np.array([each.working for each in sides])
    errors = np.array([each.error for each in sides])
    unscaled = Scale(low=-math.inf, high=math.inf, n=1)
    scale = unscaled if outcome.kind == "mean" else Scale(low=outcome.low, high=outcome.high, n=1)
    return shrink_values(names, n, values, working, errors, setting.level, scale)
