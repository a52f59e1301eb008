"""Verdicts of stress tests, by what each perturbation is expected to do; each with a reason in a sentence.

A loss is judged by its interval: ``within`` when a loss beyond the margin is excluded; ``outside`` when it is shown,
also after allowing for every metric of every perturbation and severity (:mod:`sandbox.scoring.stress.family`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.outcome.results import Estimate
from sandbox.outcome.stress_results import VERDICTS, StressCell, StressTestResult, StressVerdict
from sandbox.stress.perturbation import Perturbation

Judged = tuple[StressVerdict, str]
BROKEN: tuple[StressVerdict, ...] = ("outside", "answered_nonsense")
_NOT_SURE: tuple[StressVerdict, ...] = (*BROKEN, "cannot_tell")
_SHIFTS = {"score_shift": "mean score", "answer_shift": "mean distance to the clean answer, of the range,"}
# Silence of a container that was not asked is no refusal.
_NEVER_PUT = ("staging_failed", "not_started", "run_timeout")
_CHANGES = {
    "auroc_change": "AUROC",
    "sensitivity_change": "sensitivity",
    "specificity_change": "specificity",
    "dice_change": "mean Dice",
    "nsd_change": "mean NSD",
    "wafroc_change": "wAFROC area",
    "froc_sensitivity_change": "sensitivity by false positives a case",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """How much may be lost, by the metric of the change; what has no margin is not judged.

    ``score``: how far one answer may move, in units of the score; of a mask what it is worth, in ``score_word``.
    """

    losses: Mapping[str, float]
    score: float
    score_word: str = ""

    def of(self, metric: str) -> float:
        """Margin of one of the changes."""
        return self.losses[metric]


def judge(
    cell: StressCell, perturbation: Perturbation, margins: Margins, *, lost: int, altered: int
) -> Judged:
    """Judge one cell; ``lost`` cases had an answer without the stress and have none under it, ``altered`` another."""
    if cell.cases == 0:
        return "not_applicable", "The perturbation has no meaning for these cases."
    refused = sum(item.cases for item in cell.failures if item.code == "refused")
    failed = cell.cases - cell.answered
    host = sum(item.cases for item in cell.failures if item.code in _NEVER_PUT)
    if host == cell.cases:
        return "not_applicable", "None of these cases could be put to the container."
    if perturbation.expectation == "must refuse":
        return _refusal(cell, refused, failed - host)
    if cell.answered == 0:
        return _unanswered(cell, refused)
    if perturbation.readout == "auroc near 0.5":
        return _near_chance(cell, margins)
    if perturbation.readout == "score follows the pixels":
        return _follows(cell, margins)
    if perturbation.expectation == "must not change":
        return _unchanged(cell, refused, lost, altered, margins)
    return _small_loss(cell, margins)


def _refusal(cell: StressCell, refused: int, failed: int) -> Judged:
    if cell.answered:
        return "answered_nonsense", f"{cell.answered} of {cell.cases} were answered as if they were cases."
    if refused == failed:
        return "refused", f"All {refused} were declined."
    return "refused", f"None was answered: {refused} declined, {failed - refused} failed otherwise."


def _unanswered(cell: StressCell, refused: int) -> Judged:
    if refused == cell.cases:
        return "refused", f"All {refused} were declined."
    return "outside", f"None of {cell.cases} was answered; {refused} were declined."


def _unchanged(cell: StressCell, refused: int, lost: int, altered: int, margins: Margins) -> Judged:
    largest = cell.largest_difference or 0.0
    if cell.different == 0:
        return "equal", f"All {cell.cases} answers are the clean ones."
    words = f"{cell.different} of {cell.cases} answers differ"
    unit = f" {margins.score_word}" if margins.score_word else ""
    words = f"{words}, by {largest:.3g}{unit} at most" if altered else words
    if not altered and lost and lost <= refused:
        return "refused", f"{lost} were declined; all other answers are the clean ones."
    if lost:
        return "outside", f"{words}; {lost} that were answered are not any more."
    if largest <= margins.score:
        return "within", f"{words}: within the margin {margins.score:g}, yet not equal."
    return "outside", f"{words}: beyond the margin {margins.score:g}."


def _small_loss(cell: StressCell, margins: Margins) -> Judged:
    if cell.different == 0:
        return "equal", f"All {cell.cases} answers are the clean ones."
    losses = {(each.metric, each.subject): each for each in cell.losses}
    judged = []
    for found in cell.estimates:
        if found.metric not in (*margins.losses, *_SHIFTS):
            continue
        verdict, reason = (_shift if found.metric in _SHIFTS else _loss)(found, margins)
        loss = losses.get((found.metric, found.subject))
        if verdict == "outside" and loss is not None and not loss.shown:
            verdict = "cannot_tell"
            reason = f"{reason} Not shown after allowing for all comparisons (p = {loss.adjusted_p:.2g})."
        elif verdict == "outside" and loss is not None:
            reason = f"{reason} p = {loss.adjusted_p:.2g} after allowing for all comparisons."
        judged.append((VERDICTS.index(verdict), -_size(found, margins), verdict, reason))
    if not judged:
        return "cannot_tell", "Nothing was estimated."
    *_, verdict, reason = min(judged)
    return verdict, reason


def _size(found: Estimate, margins: Margins) -> float:
    """A loss, or the shift of a score, in units of its margin."""
    value = found.value or 0.0
    return abs(value) / margins.score if found.metric in _SHIFTS else -value / margins.of(found.metric)


def _loss(found: Estimate, margins: Margins) -> Judged:
    margin, name = margins.of(found.metric), _CHANGES[found.metric]
    name = f"{name} at {found.subject}" if found.subject else name
    if found.value is None or found.low is None or found.high is None:
        same = found.value == 0
        return ("within" if same else "cannot_tell"), f"{name}: {found.reason}"
    shown = f"{name} {_signed(found.value)} ({_signed(found.low)} to {_signed(found.high)})"
    if found.high < -margin:
        return "outside", f"{shown}: a loss beyond {margin:g} is shown."
    if found.low > -margin:
        return "within", f"{shown}: no loss beyond {margin:g}."
    return "cannot_tell", f"{shown}: a loss beyond {margin:g} is not excluded."


def _shift(found: Estimate, margins: Margins) -> Judged:
    margin = margins.score
    if found.value is None or found.low is None or found.high is None:
        return "cannot_tell", f"score: {found.reason}"
    shown = f"{_SHIFTS[found.metric]} {_signed(found.value)} ({_signed(found.low)} to {_signed(found.high)})"
    if found.low > margin or found.high < -margin:
        return "outside", f"{shown}: a shift beyond {margin:g} is shown."
    if -margin < found.low and found.high < margin:
        return "within", f"{shown}: no shift beyond {margin:g}."
    return "cannot_tell", f"{shown}: a shift beyond {margin:g} is not excluded."


def _near_chance(cell: StressCell, margins: Margins) -> Judged:
    found = next(each for each in cell.estimates if each.metric == "auroc")
    if found.value is None or found.low is None or found.high is None:
        return "cannot_tell", f"AUROC of what is left: {found.reason}"
    shown = f"AUROC of what is left {found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    margin = margins.of("auroc_change")
    if found.low > 0.5 + margin or found.high < 0.5 - margin:
        return "outside", f"{shown}: classes are told apart without anatomy."
    if abs(found.low - 0.5) < margin and abs(found.high - 0.5) < margin:
        return "within", f"{shown}: near 0.5."
    return "cannot_tell", f"{shown}: neither near 0.5 nor away from it."


def _follows(cell: StressCell, margins: Margins) -> Judged:
    pixels = next(each for each in cell.estimates if each.metric == "difference_to_pixels")
    if pixels.value is None or pixels.low is None or pixels.high is None:
        return "cannot_tell", f"Scores against those of the pixels' patient: {pixels.reason}"
    shown = (
        f"mean difference to the pixels' own score {pixels.value:.3f} ({pixels.low:.3f} to {pixels.high:.3f})"
    )
    if pixels.high == 0:
        return "equal", "Every score is that of the pixels, whatever the header."
    if pixels.low > margins.score:
        return "outside", f"{shown}: scores follow the header."
    if pixels.high < margins.score:
        return "within", f"{shown}: scores follow the pixels."
    return "cannot_tell", f"{shown}: the margin {margins.score:g} is neither kept nor broken for sure."


def of_test(cells: Sequence[StressCell]) -> tuple[StressVerdict, str, int | None, int | None]:
    """Verdict of a test with its reason, and the weakest severities not within, and broken.

    The reason is that of the weakest severity with the worst verdict; the largest loss is named beside it.
    """
    worst = min(cells, key=lambda cell: (VERDICTS.index(cell.verdict), cell.severity))
    where = f"at {worst.label}: " if len(cells) > 1 else ""
    crosses = [cell.severity for cell in cells if cell.verdict in _NOT_SURE]
    breaks = [cell.severity for cell in cells if cell.verdict in BROKEN]
    return (
        worst.verdict,
        where + worst.reason + _largest(cells, worst),
        min(crosses, default=None),
        min(breaks, default=None),
    )


def _largest(cells: Sequence[StressCell], told: StressCell) -> str:
    found = [
        (each.value, each, cell)
        for cell in cells
        for each in cell.estimates
        if each.metric in _CHANGES and each.value is not None
    ]
    if len(cells) == 1 or not found or told.verdict not in (*_NOT_SURE, "within"):
        return ""
    value, largest, cell = min(found, key=lambda each: (each[0], each[2].severity))
    if value >= 0:
        return ""
    name = _CHANGES[largest.metric] + (f" at {largest.subject}" if largest.subject else "")
    return f" Largest loss: {name} {_signed(value)} at {cell.label}."


def ranking(tests: Sequence[StressTestResult]) -> tuple[str, ...]:
    """Names of the tests, what breaks first at the head: by severity, then by the size of the loss."""

    def key(test: StressTestResult) -> tuple[int, int, float, str]:
        at = test.breaks_at or test.crosses_at or 9
        first = VERDICTS.index(test.verdict) if test.breaks_at is None else -1
        return first, at, -_loss_of(test), test.name

    return tuple(test.name for test in sorted(tests, key=key))


def _loss_of(test: StressTestResult) -> float:
    """Largest loss of a rate or of AUROC at the severity where the test breaks, or at its strongest."""
    cell = next((cell for cell in test.cells if cell.severity == test.breaks_at), test.cells[-1])
    losses = [-each.value for each in cell.estimates if each.metric in _CHANGES and each.value is not None]
    return max(losses, default=0.0)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\u2212")
