"""The section ``release`` of a protocol: by which mechanism the hold-out answers, and with which parameters.

    release:
      mechanism: thresholdout
      thresholdout: {variant: dwork, threshold: "0.05", rate: "0.02", budget: 5, grid: "0.02"}

The institution's policy says which mechanisms it allows and how much each may tell; a protocol may ask for the same or
less (:mod:`sandbox.reuse.chosen`). What is left out is the policy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from holdout.yamlfile import Where
from sandbox.plan.metric_catalogue import SCORED_KINDS
from sandbox.reuse.mechanisms import Mechanism
from sandbox.reuse.rules import LadderRules, ThresholdoutRules

if TYPE_CHECKING:
    from sandbox.plan.protocol import Protocol


class AskedRelease(BaseModel):
    """How the protocol's evaluations answer; ``ladder`` and ``thresholdout`` belong to the mechanism of that name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mechanism: Mechanism
    ladder: LadderRules | None = None
    thresholdout: ThresholdoutRules | None = None


def find_release_mistakes(protocol: Protocol) -> Iterator[tuple[Where, str]]:
    """Yield what is impossible in the section, as (path, message)."""
    asked = protocol.release
    if asked is None:
        return
    for name in ("ladder", "thresholdout"):
        if getattr(asked, name) is not None and asked.mechanism != name:
            yield ("release", name), f"belongs to the mechanism {name}, and this one is {asked.mechanism}."
    where: Where = ("release", "mechanism")
    if asked.mechanism != "full" and protocol.task.kind not in SCORED_KINDS:
        yield where, f"{asked.mechanism} needs a task with a score; a {protocol.task.kind} task has none."
    elif asked.mechanism == "ladder" and not any(p.threshold is not None for p in protocol.operating_points):
        yield where, "ladder counts wrong calls, so it needs an operating point with a threshold."
