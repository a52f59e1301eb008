"""Gaps between groups in words: the line on the first page, the rows of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.outcome.bias_results import REST, Bias, EqualisedOdds, Gap, GapFamily, GapVerdict, StratumGaps
from sandbox.outcome.results import Analysis
from sandbox.report.glossary import metric_label
from sandbox.report.text import decimal, words

CROSS: Final = " x "
BY_PREVALENCE: Final = frozenset({"ppv", "npv", "calibration_in_the_large", "accuracy"})
NAMED_IF_NOT_SHOWN: Final = (
    "auroc", "sensitivity", "specificity", "macro_auroc", "balanced_accuracy", "quadratic_kappa", "exact_agreement",
    "mean_absolute_error", "concordance_correlation", "mean_dice", "mean_nsd", "mean_hd95", "average_precision",
    "wafroc", "case_auroc",
)  # fmt: skip
PANELS: Final = {
    "multiclass": ("accuracy", "balanced_accuracy", "macro_auroc"),
    "multilabel": ("macro_auroc",),
    "ordinal": ("quadratic_kappa", "exact_agreement", "within_one_agreement"),
    "measurement": ("answered_bias", "mean_absolute_error", "concordance_correlation"),
    "detection": ("average_precision", "wafroc", "case_auroc"),
    "segmentation": ("mean_dice", "mean_nsd", "mean_hd95"),
}
"""What the gap plot shows of tasks without an operating point for all; the table has the rest."""
GAP_VERDICTS: Final[dict[GapVerdict, str]] = {
    "within_margin": "Within margin",
    "gap_shown": "Gap shown",
    "cannot_tell": "Cannot tell",
}
GAP_ICONS: Final[dict[GapVerdict, str]] = {
    "within_margin": "met",
    "gap_shown": "not_met",
    "cannot_tell": "cannot_tell",
}
"""The sign that stands beside each verdict; the words tell what it means here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow:
    """One family with the gap that stands for it and the stratum that holds it."""

    family: GapFamily
    stratum: StratumGaps
    gap: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionRow:
    """One level under the fairness criteria at one operating point; None where it was not compared."""

    attribute: str
    level: str
    against: str
    equal_opportunity: Gap | None
    equalised_odds: EqualisedOdds | None
    predictive_parity: Gap | None
    negative_parity: Gap | None
    calibration: Gap | None
    failure_rate: Gap | None


def family_label(family: GapFamily | StratumGaps) -> str:
    """Name a metric with its operating point, and of one stratum with the class, label or rate that it is about."""
    label = metric_label(family.metric)
    if isinstance(family, StratumGaps) and family.subject:
        label = f"{label} ({family.subject})"
    return f"{label} at {family.operating_point}" if family.operating_point else label


def against(gap: Gap) -> str:
    """Say what a level was compared with."""
    return "" if gap.against.name == REST else f"against {gap.against.name}"


def family_rows(bias: Bias) -> list[FamilyRow]:
    """Give every family with its surest gap where one is shown, else with its largest."""
    return [
        FamilyRow(family=family, stratum=stratum, gap=gap)
        for family in bias.families
        for stratum, gap in [max(_gaps(bias, family), key=lambda pair: _weight(pair[1]))]
    ]


def _weight(gap: Gap) -> tuple[bool, float]:
    shown = gap.verdict == "gap_shown"
    return shown, _at_least(gap) if shown else abs(gap.value)


def _at_least(gap: Gap) -> float:
    """Size that a shown gap has at least: by its value, the smallest group would win through its noise."""
    return min(abs(gap.simultaneous_low), abs(gap.simultaneous_high))


def p_words(p: float) -> str:
    """Write a p-value with three decimals, never as 0."""
    return "< 0.001" if p < 0.001 else decimal(p)


def signed(value: float) -> str:
    """Write a gap with its sign."""
    return decimal(value) if round(value, 3) <= 0 else f"+{decimal(value)}"


def gap_line(analysis: Analysis) -> str:
    """Name the largest gap that is shown, or say that none is and what is not excluded."""
    bias = analysis.bias
    if bias is None and analysis.strata:
        return "These results were made before gaps between groups were looked for."
    if bias is None:
        return "The protocol declares no strata: gaps between groups were not looked for."
    if not bias.families:
        return "No group has enough cases to be compared with the others."
    shown = [
        (_at_least(gap), family, stratum, gap)
        for family in bias.families
        for stratum, gap in _gaps(bias, family)
        if gap.verdict == "gap_shown"
    ]
    if not shown:
        return f"No gap between groups is shown. {_not_excluded(bias)}"
    # PPV and calibration differ wherever prevalence does: they lead only when nothing else is shown. Millimetres and
    # grades cannot be held against shares.
    shares = [each for each in shown if abs(each[3].group.value) <= 1 and each[3].largest_not_excluded <= 2]
    leading = [each for each in shares if each[1].metric not in BY_PREVALENCE] or shares
    if leading:
        _, family, stratum, gap = max(leading, key=lambda each: each[0])
    else:
        _, family, stratum, gap = max(shown, key=lambda each: abs(each[3].statistic))
    others = len(shown) - 1
    more = f" {others} other{'s are' if others > 1 else ' is'} shown." if others else ""
    return f"Largest gap shown: {gap_words(family, stratum, gap)}{more}"


def gap_words(family: GapFamily, stratum: StratumGaps, gap: Gap) -> str:
    """Describe one gap in a sentence."""
    beyond = {None: "", True: ", beyond the margin", False: ", not surely beyond the margin"}
    return (
        f"{family_label(stratum)} {signed(gap.value)} in {words(stratum.attribute)} {words_of_level(gap.group.name)} "
        f"against {words_of_level(gap.against.name)} (allowing for {family.comparisons} comparisons "
        f"{signed(gap.simultaneous_low)} to {signed(gap.simultaneous_high)}{beyond[gap.beyond_margin]}; "
        f"p over all metrics {p_words(gap.p_all)})."
    )


def words_of_level(level: str) -> str:
    """Write a level, or the levels of a crossing, as words; the rest of it is the site's own text."""
    return level.replace(CROSS, " × ")


def criterion_rows(bias: Bias, point: str) -> list[CriterionRow]:
    """Put each compared level under the fairness criteria at one operating point."""
    found: dict[tuple[str, str, str], dict[str, Gap]] = {}
    for stratum in bias.strata:
        if stratum.operating_point in (None, point):
            for gap in stratum.gaps:
                key = (stratum.attribute, gap.group.name, gap.against.name)
                found.setdefault(key, {})[stratum.metric] = gap
    odds = {
        (each.attribute, each.level, each.against): each
        for each in bias.equalised_odds
        if each.operating_point == point
    }
    order = {attribute: place for place, attribute in enumerate(dict.fromkeys(key[0] for key in found))}
    return [
        CriterionRow(
            attribute=key[0],
            level=key[1],
            against=key[2],
            equal_opportunity=gaps.get("sensitivity"),
            equalised_odds=odds.get(key),
            predictive_parity=gaps.get("ppv"),
            negative_parity=gaps.get("npv"),
            calibration=gaps.get("calibration_in_the_large"),
            failure_rate=gaps.get("failure_rate"),
        )
        for key, gaps in sorted(found.items(), key=lambda item: order[item[0][0]])
    ]


def _gaps(bias: Bias, family: GapFamily) -> Iterator[tuple[StratumGaps, Gap]]:
    for stratum in bias.strata:
        if (stratum.metric, stratum.operating_point) == (family.metric, family.operating_point):
            for gap in stratum.gaps:
                yield stratum, gap


def _not_excluded(bias: Bias) -> str:
    ranked = [family for family in bias.families if family.metric in NAMED_IF_NOT_SHOWN]
    parts = [
        f"{decimal(family.largest_not_excluded, 2)} in {family_label(family)}"
        for family in ranked
        if family.largest_not_excluded is not None
    ]
    return f"Not excluded are gaps of up to {', '.join(parts)}." if parts else ""
