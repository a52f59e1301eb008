"""The tables of ``proctor reader-truth``, for the terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.commands.comparison import number
from sandbox.commands.tables_page import Section
from sandbox.scoring.readers.agreement import Agreement
from sandbox.scoring.readers.reader_truth import TruthSensitivity
from sandbox.scoring.readers.reference_error import SensitivityBand
from sandbox.scoring.readers.verification import VerificationResult
from sandbox.studies.truth_study import TruthStudy


def truth_tables(found: TruthStudy) -> list[Section]:
    """Bands of wrong labels; with readings also agreement, correction for verification, and each choice of truth."""
    tables = [*map(_errors_table, found.bands)]
    if found.agreement:
        tables.append(_agreement_table(found.agreement))
    if found.verification is not None:
        tables.append(_verification_table(found.verification))
    rule = f"consensus by {found.rule}"
    return tables + [_truths_table(item, rule) for item in found.by_truth]


def _errors_table(band: SensitivityBand) -> Section:
    return Section(
        heading=f"{band.metric} if labels are wrong; seen {number(band.seen)}",
        columns=("wrong labels", "independent errors", "lowest", "highest"),
        rows=tuple(
            (f"{each.error_rate:.1%}", number(each.independent), number(each.lowest), number(each.highest))
            for each in band.rates
        ),
    )


def _agreement_table(agreement: Sequence[Agreement]) -> Section:
    return Section(
        heading="Agreement of the readers",
        columns=("coefficient", "value", "low", "high", "cases"),
        rows=tuple(
            (each.coefficient, number(each.value), number(each.low), number(each.high), each.cases)
            for each in agreement
        ),
    )


def _verification_table(checked: VerificationResult) -> Section:
    return Section(
        heading="Corrected for cases that the readers did not see",
        columns=("rate", "among those seen", "corrected", "low", "high"),
        rows=tuple(
            (each.metric, number(each.naive), number(each.value), number(each.low), number(each.high))
            for each in (checked.sensitivity, checked.specificity)
        ),
        notes=(
            f"Seen: {checked.verified_called} of {checked.called} called positive, "
            f"{checked.verified_not_called} of {checked.not_called} others. {checked.assumption}",
        ),
    )


def _truths_table(item: TruthSensitivity, consensus: str) -> Section:
    named = (
        (consensus, item.consensus),
        *((each.truth, each.estimate) for each in (*item.each_reader, *item.leave_one_out)),
    )
    ceiling = item.ceiling
    return Section(
        heading=f"{item.metric} by choice of truth",
        columns=("truth", "value", "low", "high", "n"),
        rows=tuple(
            (name, number(each.value), number(each.low), number(each.high), each.n) for name, each in named
        ),
        notes=()
        if ceiling is None
        else (
            f"Noise ceiling: a reader reaches {number(ceiling.lower)} against the others and "
            f"{number(ceiling.upper)} against all. {item.undecided} cases are undecided.",
        ),
    )
