"""Gaps between groups: every comparison with what chance allows, adjusted for there being many.

A family is one metric (at one operating point, of every class, label or rate that it is about) over all declared
strata. Within it p-values are adjusted by
Holm and by max-T over the patients, and intervals widened until they hold for all gaps at once. The test of
all levels together is printed first but opens no gate: max-T alone keeps the error of the family. No
difference found is not equality: ``largest_not_excluded`` says what could still be there, and only an interval
that lies within the margin registered beforehand is called within margin.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sandbox.outcome.bias_results import (
    Bias,
    EqualisedOdds,
    Gap,
    GapFamily,
    GapVerdict,
    StratumGaps,
)
from sandbox.outcome.results import FailureRule
from sandbox.plan.protocol import Protocol
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Floats, Integers, compact
from sandbox.scoring.comparisons import Compared, Setting, StratumCompared, compare
from sandbox.scoring.differences import LARGEST_CRITICAL, level_of, mover, two_sided
from sandbox.scoring.estimates import quantile
from sandbox.scoring.multiplicity import Spread, family_p, holm, largest_statistics, spread_of
from sandbox.scoring.outcomes import Outcome
from sandbox.scoring.strata import Levels

VERSION = 2


def find_gaps(
    patient: Integers,
    asked: Sequence[Outcome],
    levels: Sequence[Levels],
    rule: FailureRule,
    protocol: Protocol,
    evaluation: str,
) -> Bias | None:
    """Compare the levels of every declared stratum.

    Args:
        patient: of every asked case that has a reference standard.
        asked: the metrics over these cases; those of one family follow each other.
        levels: their levels in each stratum, in the protocol's order.
        rule: how failed cases count.
        protocol: level, replicates, minimum, margins and reference levels.
        evaluation: seeds every random stream.

    Returns:
        None without strata or cases.
    """
    if not levels or patient.size == 0:
        return None
    codes, patients = compact(patient)
    setting = Setting(
        patient=codes,
        patients=patients,
        minimum=protocol.minimum,
        level=protocol.intervals.level,
        replicates=protocol.intervals.bootstrap_replicates,
        evaluation=evaluation,
        purpose=rule,
    )
    references = [stratum.reference for stratum in protocol.strata]
    grouped = [list(group) for _, group in itertools.groupby(asked, key=lambda outcome: outcome.family)]
    compared: list[list[StratumCompared]] = []
    spreads: list[Spread] = []
    for outcomes in grouped:
        family = [
            compare(setting, stratum, reference, outcome)
            for outcome in outcomes
            for stratum, reference in zip(levels, references, strict=True)
        ]
        columns = [each.contributions for stratum in family for each in stratum.compared]
        if columns:
            own = Seed(evaluation=evaluation, metric=_word(outcomes[0]), purpose=f"max-t-alone-{rule}")
            resampled = any(each.group.resampled for stratum in family for each in stratum.compared)
            spreads.append(spread_of(np.column_stack(columns), own, by_resample=resampled))
        # Contributions of every patient to every gap are large; from here on the spread has them.
        compared.append([_lighter(stratum) for stratum in family])
    by_family = largest_statistics(spreads, weights_seed(evaluation, rule), setting.replicates)
    # The same patients' weights served all families: their largest go together, resample by resample.
    of_all = np.maximum.reduce(by_family) if by_family else np.zeros(0)
    largest = iter(zip(spreads, by_family, strict=True))
    families: list[GapFamily] = []
    strata: list[StratumGaps] = []
    for outcomes, family in zip(grouped, compared, strict=True):
        if not any(stratum.compared for stratum in family):
            strata += [_stratum(stratum, ()) for stratum in family]
            continue
        spread, statistics = next(largest)
        record, gaps = _family(family, outcomes[0], (statistics, of_all), spread.method, setting, protocol)
        families.append(record)
        strata += [_stratum(stratum, found) for stratum, found in zip(family, gaps, strict=True)]
    return Bias(
        level=setting.level,
        families=tuple(families),
        strata=tuple(strata),
        equalised_odds=tuple(_equalised_odds(strata)),
    )


def weights_seed(evaluation: str, rule: FailureRule) -> Seed:
    """Names the stream of patients' weights that serves every gap of an analysis."""
    return Seed(evaluation=evaluation, metric="gaps", purpose=f"max-t-{rule}")


def _word(outcome: Outcome) -> str:
    metric, point = outcome.family
    return f"{metric}@{point}" if point else metric


def _lighter(stratum: StratumCompared) -> StratumCompared:
    """Drop what each patient adds, which is of no use any more and as long as the hold-out."""
    nothing = np.zeros(0)
    compared = tuple(
        replace(
            each,
            group=replace(each.group, influence=nothing),
            against=replace(each.against, influence=nothing),
            contributions=nothing,
        )
        for each in stratum.compared
    )
    return replace(stratum, compared=compared)


def _family(
    family: Sequence[StratumCompared],
    outcome: Outcome,
    drawn: tuple[Floats, Floats],
    method: str,
    setting: Setting,
    protocol: Protocol,
) -> tuple[GapFamily, list[tuple[Gap, ...]]]:
    statistics = [each.statistic for stratum in family for each in stratum.compared]
    single = [two_sided(statistic) for statistic in statistics]
    largest, of_all = drawn
    adjusted = zip(
        single, holm(single), family_p(statistics, largest), family_p(statistics, of_all), strict=True
    )
    # Never narrower than for one gap alone, which the quantile of few resamples could be.
    critical = float(np.quantile(largest, setting.level))
    critical = min(LARGEST_CRITICAL, max(critical, quantile(setting.level)))
    margin = None
    if protocol.bias is not None:
        margin = protocol.bias.of(outcome.metric, share=outcome.low >= -1 and outcome.high <= 1)
    gaps = [
        tuple(_gap(each, *next(adjusted), critical, setting.level, margin) for each in stratum.compared)
        for stratum in family
    ]
    every = [gap for found in gaps for gap in found]
    return GapFamily(
        metric=outcome.metric,
        operating_point=outcome.operating_point,
        margin=margin,
        comparisons=len(every),
        critical=critical,
        replicates=setting.replicates,
        largest_not_excluded=max(gap.largest_not_excluded for gap in every),
        method=method,
        version=VERSION,
        verdict=_together([gap.verdict for gap in every]),
    ), gaps


def _gap(
    each: Compared,
    p: float,
    p_holm: float,
    p_family: float,
    p_all: float,
    critical: float,
    level: float,
    margin: float | None,
) -> Gap:
    value = each.group.side.value - each.against.side.value
    low, high = _limits(each, level)
    wide_low, wide_high = _limits(each, level_of(critical))
    wide_low, wide_high = min(wide_low, low), max(wide_high, high)
    verdict: GapVerdict = "cannot_tell"
    if margin is not None and -margin <= wide_low and wide_high <= margin:
        verdict = "within_margin"
    # Score test and interval may differ by a hair; a gap is shown when both say so.
    elif p_family <= 1 - level + 1e-12 and (wide_low > 0 or wide_high < 0):
        verdict = "gap_shown"
    return Gap(
        group=each.group.side,
        against=each.against.side,
        value=value,
        low=low,
        high=high,
        simultaneous_low=wide_low,
        simultaneous_high=wide_high,
        largest_not_excluded=max(abs(wide_low), abs(wide_high)),
        chance=each.chance,
        statistic=each.statistic,
        p=p,
        p_holm=p_holm,
        p_family=p_family,
        p_all=p_all,
        method=each.method,
        version=VERSION,
        verdict=verdict,
        beyond_margin=None if margin is None else bool(wide_low > margin or wide_high < -margin),
    )


def _limits(each: Compared, level: float) -> tuple[float, float]:
    return mover(
        each.group.side.value,
        each.group.limits(level),
        each.against.side.value,
        each.against.limits(level),
        each.correlation,
    )


def _together(verdicts: Sequence[GapVerdict]) -> GapVerdict:
    if "gap_shown" in verdicts:
        return "gap_shown"
    return "within_margin" if all(verdict == "within_margin" for verdict in verdicts) else "cannot_tell"


def _stratum(each: StratumCompared, gaps: tuple[Gap, ...]) -> StratumGaps:
    return StratumGaps(
        attribute=each.stratum.name,
        metric=each.outcome.metric,
        operating_point=each.outcome.operating_point,
        subject=each.outcome.subject,
        reference=each.reference,
        heterogeneity=each.heterogeneity,
        chance=each.chance,
        gaps=gaps,
        left_out=each.left_out,
        shrinkage=each.shrinkage,
        reason=each.reason,
    )


def _equalised_odds(strata: Sequence[StratumGaps]) -> list[EqualisedOdds]:
    """Pair the gap of sensitivity with that of specificity for every level that has both."""
    specificity = {
        (each.attribute, each.operating_point, each.subject, gap.group.name): gap
        for each in strata
        if each.metric == "specificity"
        for gap in each.gaps
    }
    found = []
    for each in strata:
        for gap in each.gaps if each.metric == "sensitivity" else ():
            key = (each.attribute, each.operating_point, each.subject, gap.group.name)
            other = specificity.get(key)
            if other is None or other.against.name != gap.against.name:
                continue
            found.append(
                EqualisedOdds(
                    attribute=each.attribute,
                    level=gap.group.name,
                    against=gap.against.name,
                    operating_point=each.operating_point or "",
                    subject=each.subject,
                    gap=max(abs(gap.value), abs(other.value)),
                    largest_not_excluded=max(gap.largest_not_excluded, other.largest_not_excluded),
                    verdict=_together([gap.verdict, other.verdict]),
                )
            )
    return found
