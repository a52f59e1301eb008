"""The mechanism ``claim``: a vendor registers values before the run and learns only which of them hold.

One bit for each claim, the cheapest answer that is of use: three claims cost what a rounded AUROC costs half of.
There is no state: a claim is charged when its answer is issued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.disclosure.fields import ReleasedField
from sandbox.reuse.errors import ReuseError


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a vendor says of an estimate before the run.

    Attributes:
        name: unique among the vendor's claims for one evaluation.
        metric: e.g. ``auroc``.
        operating_point: for rates, else None.
        stratum: ``attribute=level``, or None for all cases.
        bound: what is held against the limit: the estimate, or an end of its interval.
        direction, limit: ``at_least`` or ``at_most``, and the value claimed.
    """

    name: str
    metric: str
    operating_point: str | None = None
    stratum: str | None = None
    bound: Literal["value", "lower", "upper"] = "value"
    direction: Literal["at_least", "at_most"] = "at_least"
    limit: float


def answer_claim(claim: Claim, value: float | None) -> bool:
    """Whether the claim holds; a value that cannot be given (None) meets no claim, so that there are two answers."""
    if value is None:
        return False
    return value >= claim.limit if claim.direction == "at_least" else value <= claim.limit


def claim_fields(scope: str, answers: Sequence[tuple[Claim, bool]]) -> tuple[ReleasedField, ...]:
    """The answers as fields of one bit each.

    Raises:
        ReuseError: two claims have one name.
    """
    names = [claim.name for claim, _ in answers]
    if len(set(names)) != len(names):
        raise ReuseError("two claims have the same name; give each claim its own")
    return tuple(
        ReleasedField(
            path=f"{scope}/claim/{claim.name}",
            kind="verdict",
            value="met" if met else "not_met",
            grid=None,
            levels=2,
            bits=1.0,
        )
        for claim, met in answers
    )
