"""How often each case of a hold-out has answered, and when a hold-out version has answered enough.

Every evaluation of which something was released, to whomever, is one use of each case that it asked. Counts are
derived from the record of the evaluations, so that nothing is counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sandbox.reuse.rules import Retirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One evaluation and the cases that it asked."""

    evaluation: str
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """Uses of a hold-out version: of the case used most, of the one used least, and the mean over its cases."""

    evaluations: int
    most: int
    least: int
    mean: float


def uses_per_case(uses: Iterable[Use]) -> Mapping[str, int]:
    """Number of evaluations that asked each case; the same evaluation recorded twice counts once."""
    once = {use.evaluation: use for use in uses}
    return Counter(case for use in once.values() for case in set(use.cases))


def wear(uses: Iterable[Use], cases: Iterable[str]) -> Wear:
    """Summarise the uses of a hold-out version.

    Args:
        uses: of this version.
        cases: all of its cases, used or not.
    """
    once = {use.evaluation: use for use in uses}
    counted = uses_per_case(once.values())
    numbers = [counted.get(case, 0) for case in cases]
    return Wear(
        evaluations=len(once),
        most=max(numbers, default=0),
        least=min(numbers, default=0),
        mean=sum(numbers) / len(numbers) if numbers else 0.0,
    )


def retired(rules: Retirement, *, most_uses: int, today: date) -> str | None:
    """Say in a sentence why a hold-out version answers no more, or None while it does.

    Args:
        rules: the policy's.
        most_uses: uses of the case that was used most, :attr:`Wear.most`.
        today: the day of the request.
    """
    if rules.uses is not None and most_uses >= rules.uses:
        return f"A case of this hold-out version was used {most_uses} times; the policy retires it at {rules.uses}."
    if rules.date is not None and today >= date.fromisoformat(rules.date):
        return f"The policy retires this hold-out version from {rules.date} on."
    return None
