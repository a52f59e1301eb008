"""What a reader must know before trusting a number: intervals that cover badly, a hold-out unlike its population."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from sandbox.outcome.results import Analysis, Estimate
from sandbox.report.text import count, decimal, words

FEWEST_MISRANKED: Final = 2.0
"""Cases of the smaller class times (1 - AUROC), below which DeLong's interval on the logit scale covers too little.

Simulated, nominal 95 % (tests/coverage): 10 positives, 90 negatives, AUROC 0.85: 90.8 %; 20, 80, 0.95: 91.0 %.
"""
LARGE_DIFFERENCE: Final = 0.1
"""A standardised difference that is usually called imbalance (Austin 2009)."""


class Told(NamedTuple):
    """Title, text and the anchor of the section that shows it."""

    title: str
    text: str
    anchor: str


def about_trust(analysis: Analysis) -> Iterator[Told]:
    """Say which numbers of an analysis are to be read with more care than their intervals ask for."""
    yield from _coverage(analysis)
    yield from _population(analysis)
    yield from _reference(analysis)


def covers_badly(found: Estimate) -> bool:
    """Whether the interval of an AUROC is known to hold the truth less often than it says."""
    if found.metric != "auroc" or found.value is None or found.positives is None:
        return False
    if not found.method.startswith("delong-logit"):
        return False
    smaller = min(found.positives, found.n - found.positives)
    return smaller * (1 - max(found.value, 1 - found.value)) < FEWEST_MISRANKED


def _coverage(analysis: Analysis) -> Iterator[Told]:
    overall = [found for found in analysis.estimates if covers_badly(found)]
    levels = sum(any(covers_badly(found) for found in row.estimates) for row in analysis.strata)
    if not overall and not levels:
        return
    where = ["over all cases"] if overall else []
    if levels:
        where.append(f"in {count(levels)} of {count(len(analysis.strata))} levels")
    yield Told(
        title="Intervals of AUROC that are too short",
        text=(
            f"Few positive or negative cases, or an AUROC near 1, {' and '.join(where)}: in simulations such "
            f"{100 * analysis.estimates[0].level:g}\u202f% intervals held the truth less often than they say "
            "(nominal 95\u202f%: 90.8\u202f% with 10 positives, 90 negatives and an AUROC of 0.85; 91.0\u202f% with "
            "20, 80 and 0.95). Do not let a close limit decide."
        ),
        anchor="performance" if overall else "strata",
    )


def _population(analysis: Analysis) -> Iterator[Told]:
    found = analysis.population
    if found is None:
        return
    far = [each for each in found.attributes if each.distance > LARGE_DIFFERENCE or each.lacking > 0]
    if far:
        named = ", ".join(f"{words(each.attribute)} {decimal(each.distance, 2)}" for each in far)
        lacking = f" Not represented: {', '.join(found.lacking)}." if found.lacking else ""
        yield Told(
            title="The hold-out is unlike the intended population",
            text=f"Standardised difference of {named}; beyond 0.1 is usually called imbalance.{lacking}",
            anchor="population",
        )


def _reference(analysis: Analysis) -> Iterator[Told]:
    found = analysis.reference_error
    if found is None or not found.bands:
        return
    first = found.bands[0]
    if first.low is None or first.high is None:
        text = "No truth fits the counts at the stated error rates of the reference: they are too high."
    else:
        text = (
            f"With the stated error rates of the reference the AUROC, {decimal(first.seen)} as labelled, would be "
            f"{decimal(first.low)} to {decimal(first.high)} if its errors are independent, and "
            f"{decimal(first.worst_low)} to {decimal(first.worst_high)} whatever they are."
        )
    yield Told(title="The reference may be wrong", text=text, anchor="reference-error")
