"""Stress tests in words and rows: what breaks first, the verdicts, the heat map by severity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.outcome.results import Estimate
from sandbox.outcome.stress_results import (
    StressCell,
    StressGroup,
    StressResults,
    StressTestResult,
    StressVerdict,
)
from sandbox.report.text import decimal

STRESS_WORDS: Final[dict[StressVerdict, str]] = {
    "outside": "Breaks",
    "answered_nonsense": "Answers nonsense",
    "cannot_tell": "Cannot tell",
    "within": "Within margin",
    "equal": "Equal",
    "refused": "Refused",
    "not_applicable": "Not applicable",
}
STRESS_ICONS: Final[dict[StressVerdict, str]] = {
    "outside": "not_met",
    "answered_nonsense": "not_met",
    "cannot_tell": "cannot_tell",
    "within": "met",
    "equal": "met",
    "refused": "met",
    "not_applicable": "cannot_tell",
}
SHORTCUT_WORDS: Final[dict[StressVerdict, str]] = {
    "outside": "Told apart",
    "within": "Not told apart",
    "cannot_tell": "Cannot tell",
    "not_applicable": "Too few",
}
MOST_CURVES: Final = 6
_CURVES: Final = {"auroc": "AUROC", "dice": "mean Dice", "wafroc": "the wAFROC area"}
_MARGINS: Final = {
    "auroc": "AUROC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "score": "score",
    "dice": "mean Dice",
    "nsd": "mean NSD",
    "wafroc": "wAFROC area",
    "froc_sensitivity": "sensitivity by false positives a case",
}
_MODALITIES: Final = frozenset({"ct", "mr", "us", "dr", "mg", "nm", "pt"})
_ALONE: Final = ("auroc", "difference_to_pixels", "answer_shift")
_SHORT: Final = {
    "auroc_change": "AUROC",
    "sensitivity_change": "sens.",
    "specificity_change": "spec.",
    "dice_change": "Dice",
    "nsd_change": "NSD",
    "wafroc_change": "wAFROC",
    "froc_sensitivity_change": "sens.",
}
_CHANGES: Final = tuple(_SHORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """One square of the heat map: what stands in it, and how dark it is (0 to 9)."""

    verdict: StressVerdict
    text: str
    tenth: int
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """One perturbation: a square for each severity that any was asked at, None where it was not asked."""

    test: StressTestResult
    squares: tuple[HeatCell | None, ...]


def stress_line(results: StressResults) -> str:
    """Say in a sentence or two what came of it, what breaks first at the head."""
    if not results.tests:
        return "The protocol asks for no perturbation."
    counts = {item.verdict: item.tests for item in results.verdicts}
    broken = [results.test(name) for name in results.ranked if results.test(name).breaks_at is not None]
    tests = len(results.tests) - 1
    if not broken:
        told = counts.get("cannot_tell", 0)
        rest = f"; for {told} this sample cannot tell" if told else ""
        return f"None of {tests} perturbations shows a loss beyond the margins{rest}."
    names = "; ".join(f"{words_of(test.name)} at {_where(test)}" for test in broken[:3])
    more = f"; and {len(broken) - 3} more" if len(broken) > 3 else ""
    return f"{len(broken)} of {tests} perturbations break it, first of all {names}{more}."


def words_of(name: str) -> str:
    """Write a perturbation's name as words; the modality that it is for stays an abbreviation."""
    first, *rest = name.split("_")
    return " ".join([first.upper() if first in _MODALITIES else first, *rest])


def comparisons(results: StressResults) -> int:
    """How many losses were adjusted for each other."""
    return sum(len(cell.losses) for test in results.tests for cell in test.cells)


def _where(test: StressTestResult) -> str:
    return next(cell.label for cell in test.cells if cell.severity == test.breaks_at)


def at(test: StressTestResult, severity: int | None) -> str:
    """Label of a severity; a dash for none."""
    return next((cell.label for cell in test.cells if cell.severity == severity), "–")


def ranked(results: StressResults) -> list[StressTestResult]:
    """Tests in the order in which they break."""
    return [results.test(name) for name in results.ranked]


def heat_rows(results: StressResults) -> list[HeatRow]:
    """Rows of the heat map in the order of the ranking, the clean case again last."""
    tests = [*ranked(results), *results.tests[:1]]
    asked = severities(results)
    return [
        HeatRow(test=test, squares=tuple(_square(test, severity) for severity in asked)) for test in tests
    ]


def severities(results: StressResults) -> list[int]:
    """The severities that any perturbation was asked at."""
    return sorted({cell.severity for test in results.tests for cell in test.cells})


def shortcut_line(results: StressResults) -> str:
    """Say which site or scanner the score tells; empty when none is shown."""
    told = [found.attribute.replace("_", " ") for found in results.shortcuts if found.verdict == "outside"]
    if not told:
        return ""
    return f"Among patients with the same truth, the score tells {' and '.join(told)}: it may rest on a shortcut."


def _square(test: StressTestResult, severity: int) -> HeatCell | None:
    cell = next((cell for cell in test.cells if cell.severity == severity), None)
    if cell is None:
        return None
    text, size = _shown(cell)
    return HeatCell(
        verdict=cell.verdict, text=text, tenth=min(9, int(10 * size)), label=cell.label, reason=cell.reason
    )


def _shown(cell: StressCell) -> tuple[str, float]:
    """What a square tells: the largest loss of a rate or AUROC, or what came in its place; and its size, 0 to 1."""
    losses = [each for each in cell.estimates if each.metric in _CHANGES and each.value is not None]
    if losses and cell.verdict not in ("equal", "refused", "not_applicable"):
        worst = min(losses, key=lambda each: each.value or 0.0)
        loss = max(0.0, -(worst.value or 0.0))
        return f"{_SHORT[worst.metric]} {decimal(worst.value, 2)}", 2 * loss
    if cell.verdict == "answered_nonsense":
        return f"{cell.answered}/{cell.cases} answered", 0.9
    found = next((each for each in cell.estimates if each.metric in _ALONE), None)
    if found is not None and found.value is not None and cell.verdict in ("outside", "cannot_tell", "within"):
        return decimal(found.value, 2), 0.9 if cell.verdict == "outside" else 0.1
    return {"equal": "=", "refused": "refused", "not_applicable": "n/a"}.get(cell.verdict, ""), 0.0


def curve_tests(results: StressResults) -> list[StressTestResult]:
    """The graded tests that lose most, in the order of the ranking."""
    graded = [
        test
        for test in ranked(results)
        if len(test.cells) > 1 and all(drawn_change(cell) is not None for cell in test.cells)
    ]
    return graded[:MOST_CURVES]


def drawn_change(cell: StressCell) -> Estimate | None:
    """The cell's change of AUROC, of mean Dice or of the wAFROC area, when it has one."""
    drawn = {f"{name}_change" for name in _CURVES}
    return next((each for each in cell.estimates if each.metric in drawn and each.value is not None), None)


def drawn_name(results: StressResults) -> str:
    """What the curves show the change of."""
    named = (name for name in reversed(_CURVES) if getattr(results.margins, name) is not None)
    return _CURVES[next(named, "wafroc")]


def drawn_margin(results: StressResults) -> float | None:
    """The margin of what the curves show."""
    return next(
        (margin for name in reversed(_CURVES) if (margin := getattr(results.margins, name)) is not None), None
    )


def of_classes(results: StressResults) -> bool:
    """Whether the task has positive and negative patients."""
    return any(each.metric == "auroc" for each in results.clean)


def margin_words(results: StressResults) -> str:
    """The declared margins as a phrase."""
    used = results.margins
    if used.auroc is not None and not of_classes(results):
        return f"{used.score:g} of the range"
    named = {name: getattr(used, name) for name in _MARGINS}
    return ", ".join(f"{_MARGINS[name]} {value:g}" for name, value in named.items() if value is not None)


def harm_words(results: StressResults) -> str:
    """What the harm of a group is, as the head of a column; empty where groups are not compared."""
    if results.margins.wafroc is not None or results.margins.froc_sensitivity is not None:
        return ""
    return "Dice lost" if results.margins.dice is not None else "Score moved wrong by"


def hurt_groups(results: StressResults) -> list[tuple[StressTestResult, StressGroup]]:
    """Groups that a perturbation hurts more than the others, after adjustment."""
    found = [(test, group) for test in results.tests for group in test.groups if group.shown]
    return sorted(found, key=lambda pair: pair[1].adjusted_p)
