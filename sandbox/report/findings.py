"""What a reader must not miss, in words: verdict, plain finding, and warnings in order of weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sandbox.outcome.results import Association, Estimate, Results, StratumResult, Verdict, WorstStratum
from sandbox.plan.metric_catalogue import SCORED_KINDS
from sandbox.report.figures import estimate_of
from sandbox.report.gap_findings import gap_line
from sandbox.report.glossary import metric_label
from sandbox.report.model import ReportInput
from sandbox.report.text import count, decimal, percent, words
from sandbox.report.trust_findings import about_trust

Weight = Literal["alarm", "caution", "note"]

# Below this share a missing attribute hardly moves an estimate by stratum; it still stands in the table.
MISSING_SHARE_WORTH_A_WARNING: Final = 0.05
CROSS: Final = " x "
# What the plain finding says of a task that is not about one binary target.
LEADING_METRICS: Final[dict[str, tuple[str, ...]]] = {
    "multiclass": ("accuracy", "balanced_accuracy", "macro_auroc"),
    "multilabel": ("macro_auroc", "label_ranking_average_precision"),
    "ordinal": ("quadratic_kappa", "exact_agreement", "within_one_agreement"),
    "measurement": (
        "bias",
        "lower_limit_of_agreement",
        "upper_limit_of_agreement",
        "concordance_correlation",
    ),
    "detection": ("average_precision", "wafroc", "case_auroc"),
    "segmentation": ("mean_dice", "mean_nsd", "mean_hd95"),
}
VERDICT_WORDS: Final[dict[Verdict | None, str]] = {
    "met": "Met",
    "not_met": "Not met",
    "cannot_tell": "Cannot tell",
    None: "No verdict",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """One thing a reader must not miss, and the anchor of the section that shows it."""

    weight: Weight
    title: str
    text: str
    anchor: str


def verdict_line(results: Results) -> str:
    """Say how many criteria are met, not met and cannot be told."""
    if not results.acceptance:
        return "The protocol registered no acceptance criteria; the numbers stand for themselves."
    verdicts = [criterion.verdict for criterion in results.acceptance]
    parts = [
        f"{verdicts.count(kind)} {phrase}"
        for kind, phrase in (("met", "met"), ("not_met", "not met"), ("cannot_tell", "cannot be told"))
        if kind in verdicts
    ]
    noun = "criterion" if len(verdicts) == 1 else "criteria"
    return f"{len(verdicts)} acceptance {noun}: {', '.join(parts)}."


def with_interval(estimate: Estimate) -> str:
    """Write a value with its interval in a line of text, or why there is none."""
    if estimate.value is None:
        return f"undefined ({estimate.reason})"
    if estimate.low is None or estimate.high is None:
        return decimal(estimate.value)
    level = f"{100 * estimate.level:g}\u202f% CI"
    # A dash between negative numbers is read as a minus sign.
    dash = "–" if estimate.low >= 0 else " to "
    return f"{decimal(estimate.value)} ({level} {decimal(estimate.low)}{dash}{decimal(estimate.high)})"


def named(estimate: Estimate) -> str:
    """Name an estimate: its metric, and its subject where a task has several."""
    label = metric_label(estimate.metric)
    return label if estimate.subject is None else f"{label}, {estimate.subject}"


def why(found: Estimate | StratumResult) -> str:
    """Say why there is no estimate, or why it carries no claim; nothing when it does."""
    if found.reason is None:
        return ""
    if found.status == "too_few":
        return f"too few: {found.reason.removeprefix('Too few to carry a claim: ')}"
    return found.reason


def plain_finding(report: ReportInput) -> str:
    """Say in one or two sentences what was found, in counts first."""
    results = report.results
    analysis = results.analysis()
    unit = f"{results.unit}s" if results.unit != "series" else "series"
    parts = []
    parts += [
        f"{metric_label(name)} {with_interval(found)}."
        for name in LEADING_METRICS.get(results.task, ())
        if (found := estimate_of(analysis.estimates, name)) is not None
    ]
    if results.task in SCORED_KINDS and analysis.operating_points:
        point = analysis.operating_points[0]
        parts.append(
            f"At the operating point {point.name} (score ≥ {point.threshold:g}) the algorithm called "
            f"{count(point.tp)} of {count(point.tp + point.fn)} positive {unit} positive and "
            f"{count(point.tn)} of {count(point.tn + point.fp)} negative {unit} negative."
        )
    auroc = estimate_of(analysis.estimates, "auroc")
    if auroc is not None and auroc.subject is None:
        parts.append(f"AUROC {with_interval(auroc)}.")
    if results.flow.failed:
        counted = "count as wrong" if results.chosen == "worst_case" else "are excluded"
        parts.append(
            f"{count(results.flow.failed)} of {count(results.flow.cases)} {unit} got no valid answer "
            f"and {counted}."
        )
    shortcut = strongest_shortcut(analysis.associations)
    if shortcut is not None and shortcut.conditional.value is not None:
        parts.append(
            f"Among {unit} with the same {_noun(shortcut.attribute)} the AUROC is "
            f"{decimal(shortcut.conditional.value)}."
        )
    return " ".join(parts)


def strongest_shortcut(associations: tuple[Association, ...]) -> Association | None:
    """Give the association that explains most of the pooled AUROC among those where this is shown.

    A crossing explains at least as much as its parts; a single attribute comes first, as it says more.
    """
    shown = [a for a in associations if a.flagged and a.drop_shown and a.drop.value is not None]
    return max(
        shown, key=lambda a: (CROSS not in a.attribute, a.drop.value or 0.0, a.attribute), default=None
    )


def telling(associations: tuple[Association, ...]) -> list[Association]:
    """Give the associations worth a warning; a crossing only when none of its parts is."""
    named = {a.attribute for a in associations if a.flagged or a.drop_shown}
    return [
        a
        for a in associations
        if a.attribute in named and not (CROSS in a.attribute and named & set(a.attribute.split(CROSS)))
    ]


def worst_line(worst: WorstStratum) -> str:
    """Name the worst stratum with its estimate and the one over all cases."""
    at = f" at {worst.operating_point}" if worst.operating_point else ""
    return (
        f"{metric_label(worst.metric)}{at} {with_interval(worst.estimate)}, "
        f"against {decimal(worst.overall.value)} over all cases"
    )


def warnings(report: ReportInput) -> list[Caution]:
    """Give every warning, the heaviest first, in a fixed order within a weight."""
    order: dict[Weight, int] = {"alarm": 0, "caution": 1, "note": 2}
    found = [
        *_about_the_run(report),
        *_about_confounding(report),
        *_about_gaps(report),
        *_about_trust(report),
        *_about_the_data(report),
    ]
    return sorted(found, key=lambda warning: order[warning.weight])


def _about_the_run(report: ReportInput) -> Iterator[Caution]:
    run = report.run
    if report.protocol.registered.index >= run.started.index:
        yield Caution(
            weight="alarm",
            title="The protocol was not registered before the run",
            text="The ledger holds its registration after the start: the analysis may have been chosen late.",
            anchor="verify",
        )
    for check in report.self_checks:
        if not check.passed:
            yield Caution(
                weight="alarm",
                title=f"Self-check failed: {check.name}",
                text=f"Expected {check.expected}, observed {check.observed}. Do not rely on these numbers.",
                anchor="environment",
            )
    for control in report.posture:
        if control.required and not control.held:
            yield Caution(
                weight="caution" if control.waiver else "alarm",
                title=f"Isolation control not held: {control.name}",
                text=f"Expected: {control.expected}. Measured: {control.measured}. {control.waiver}".strip(),
                anchor="posture",
            )
    gaps = [control.name for control in report.posture if not control.required and not control.held]
    if gaps:
        yield Caution(
            weight="caution",
            title=f"{count(len(gaps))} known gaps of the isolation",
            text=f"Not required by the policy and not there: {', '.join(gaps)}.",
            anchor="posture",
        )
    if report.holdout.verified_before is None or report.holdout.verified_after is None:
        yield Caution(
            weight="alarm",
            title="The hold-out was not verified before and after the run",
            text="Without both checks a change of the data during the run cannot be ruled out.",
            anchor="holdout",
        )
    for deviation in run.deviations:
        yield Caution(weight="alarm", title="Deviation from the protocol", text=deviation, anchor="verify")
    flow = report.results.flow
    if flow.failed:
        kinds = ""
        if flow.positives is not None:
            positives = sum(failure.positives or 0 for failure in flow.failures)
            kinds = (
                f": {count(positives)} positive and {count(flow.failed - positives)} negative by the "
                "reference standard"
            )
        yield Caution(
            weight="caution",
            title=f"{count(flow.failed)} of {count(flow.cases)} cases got no valid answer",
            text=(
                f"{percent(flow.failed, flow.cases)} of the cases{kinds}. Both ways of counting "
                "them stand side by side."
            ),
            anchor="failures",
        )


def _about_confounding(report: ReportInput) -> Iterator[Caution]:
    for association in telling(report.results.analysis().associations):
        phrase = "The label goes with" if association.flagged else "The AUROC falls within"
        yield Caution(
            weight="alarm" if association.flagged and association.drop_shown else "caution",
            title=f"{phrase} {_noun(association.attribute)}",
            text=association.sentence,
            anchor="associations",
        )


def _about_gaps(report: ReportInput) -> Iterator[Caution]:
    bias = report.results.analysis().bias
    if bias is not None and any(family.verdict == "gap_shown" for family in bias.families):
        yield Caution(
            weight="alarm" if _beyond_margin(report) else "caution",
            title="A gap between groups is shown",
            text=gap_line(report.results.analysis()),
            anchor="gaps",
        )


def _about_trust(report: ReportInput) -> Iterator[Caution]:
    for told in about_trust(report.results.analysis()):
        yield Caution(weight="caution", title=told.title, text=told.text, anchor=told.anchor)


def _beyond_margin(report: ReportInput) -> bool:
    bias = report.results.analysis().bias
    strata = bias.strata if bias is not None else ()
    return any(gap.verdict == "gap_shown" and gap.beyond_margin for s in strata for gap in s.gaps)


def _about_the_data(report: ReportInput) -> Iterator[Caution]:
    holdout = report.holdout
    if holdout.synthetic:
        yield Caution(
            weight="caution",
            title="Synthetic data",
            text="These images were made by a generator. The numbers say nothing about patients.",
            anchor="holdout",
        )
    for check in holdout.overlap:
        if check.found:
            yield Caution(
                weight="alarm",
                title=f"Overlap found: {check.name}",
                text=f"{count(check.found)} found. {check.note}".strip(),
                anchor="holdout",
            )
    missing = [m for m in holdout.missing if m.of and m.cases / m.of >= MISSING_SHARE_WORTH_A_WARNING]
    if missing:
        shares = ", ".join(f"{words(m.attribute)} {percent(m.cases, m.of)}" for m in missing)
        yield Caution(
            weight="caution",
            title="Attributes with missing values",
            text=f"Share of cases without a value: {shares}. They form the level “unknown”.",
            anchor="holdout",
        )
    for sentence in holdout.warnings:
        yield Caution(weight="caution", title="About the hold-out", text=sentence, anchor="holdout")
    unchecked = [check.name for check in holdout.overlap if check.found is None]
    if unchecked:
        yield Caution(
            weight="note",
            title="Overlap with development data not fully checked",
            text=f"Not checked: {', '.join(unchecked)}.",
            anchor="holdout",
        )
    if report.earlier_use:
        vendors = len({use.vendor_pseudonym for use in report.earlier_use})
        yield Caution(
            weight="note",
            title=f"This hold-out version was used before: {_times(len(report.earlier_use), 'time')}",
            text=f"By {_times(vendors, 'vendor')}. Each use that a vendor learns from weakens the next.",
            anchor="use",
        )
    strata = report.results.analysis().strata
    few = sum(1 for row in strata if row.status != "ok")
    if few:
        yield Caution(
            weight="note",
            title=f"{count(few)} of {count(len(strata))} strata are too small for a claim",
            text="They are shown grey with their counts; no conclusion should be drawn from them.",
            anchor="strata",
        )
    for sentence in report.results.notes:
        yield Caution(weight="note", title="", text=sentence, anchor="methods")


def _noun(attribute: str) -> str:
    """Write an attribute as a noun in a sentence; that it came with a site's table is said elsewhere."""
    return words(attribute.removeprefix("site."))


def _times(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
