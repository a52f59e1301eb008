"""By which mechanism a hold-out answers: what a protocol asks for, within what the policy allows.

A protocol may ask for the same or for less than the policy gives, never for more; a request for a release may ask for
a mechanism that tells less than the protocol's. Nothing is adjusted silently: what was registered is what answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol as Structure

from sandbox.reuse.errors import ReuseRefusedError
from sandbox.reuse.mechanisms import CHEAPEST_FIRST, Mechanism
from sandbox.reuse.rules import LadderRules, ReuseRules, ThresholdoutRules

FINEST_STEP = Fraction(1, 100)
"""Of a fixed ladder where the policy gives the parameter-free one: from 100 cases on it tells no more than that."""


class Asked(Structure):
    """What a protocol says of its release; see ``sandbox.plan.release_section``."""

    @property
    def mechanism(self) -> Mechanism: ...  # noqa: D102
    @property
    def ladder(self) -> LadderRules | None: ...  # noqa: D102
    @property
    def thresholdout(self) -> ThresholdoutRules | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """How evaluations under one protocol answer here."""

    mechanism: Mechanism
    ladder: LadderRules
    thresholdout: ThresholdoutRules


def choose(asked: Asked | None, rules: ReuseRules) -> Chosen:
    """What a protocol asks for, or the policy's default when it asks for nothing.

    Raises:
        ReuseRefusedError: the policy does not allow the mechanism, or only with parameters that tell less.
    """
    if asked is None:
        return Chosen(mechanism=rules.mechanism, ladder=rules.ladder, thresholdout=rules.thresholdout)
    _check_allowed(asked.mechanism, rules, "The protocol asks for")
    chosen = Chosen(
        mechanism=asked.mechanism,
        ladder=asked.ladder or rules.ladder,
        thresholdout=asked.thresholdout or rules.thresholdout,
    )
    for problem in (
        _more_than(chosen.ladder, rules.ladder),
        _looser(chosen.thresholdout, rules.thresholdout),
    ):
        if problem:
            raise ReuseRefusedError(f"{problem} Register a protocol that asks for no more than that.")
    return chosen


def check_request(wanted: Mechanism, chosen: Chosen, rules: ReuseRules) -> None:
    """Let pass a request for the protocol's mechanism, or for one that tells less.

    Raises:
        ReuseRefusedError: it would tell more, or the policy does not allow it.
    """
    if wanted == chosen.mechanism:
        return
    _check_allowed(wanted, rules, "The request asks for")
    if CHEAPEST_FIRST.index(wanted) > CHEAPEST_FIRST.index(chosen.mechanism):
        raise ReuseRefusedError(
            f"Evaluations under this protocol answer by the mechanism {chosen.mechanism}, as was settled before the "
            f"run; {wanted} tells more. A request may only ask for less: {_below(chosen.mechanism)}."
        )


def _check_allowed(wanted: Mechanism, rules: ReuseRules, who: str) -> None:
    if wanted not in rules.mechanisms:
        raise ReuseRefusedError(
            f"{who} the mechanism {wanted}, which this institution's policy does not allow (reuse.mechanisms: "
            f"{', '.join(rules.mechanisms)})."
        )


def _below(mechanism: Mechanism) -> str:
    return ", ".join(CHEAPEST_FIRST[: CHEAPEST_FIRST.index(mechanism)]) or "there is none below it"


def _more_than(asked: LadderRules, allowed: LadderRules) -> str:
    if asked == allowed:
        return ""
    if asked.step is None:
        return f"The protocol asks for the parameter-free ladder; the policy allows steps of {allowed.step} or more."
    least = FINEST_STEP if allowed.step is None else Fraction(allowed.step)
    if Fraction(asked.step) < least:
        return f"The protocol asks for a ladder in steps of {asked.step}; the policy allows {float(least)} or more."
    return ""


def _looser(asked: ThresholdoutRules, allowed: ThresholdoutRules) -> str:
    if asked.variant == "auc" and allowed.variant == "dwork":
        # Without noise on its threshold, who probes it learns where it lies.
        return "The protocol asks for Thresholdout's variant auc; the policy allows dwork."
    if asked.budget > allowed.budget:
        return (
            f"The protocol asks for Thresholdout's budget {asked.budget}; the policy allows {allowed.budget}."
        )
    for name in ("threshold", "rate", "grid"):
        wanted, least = getattr(asked, name), getattr(allowed, name)
        if Fraction(wanted) < Fraction(least):
            return f"The protocol asks for Thresholdout's {name} {wanted}; the policy allows {least} or more."
    return ""
