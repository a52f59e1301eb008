"""Every field that a release of one evaluation could hold, known before the run: names, alphabets, bits.

Nothing here depends on what a container said, so that the cost before the run is the cost after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from runners.failures import FailureCode
from sandbox.disclosure.fields import FieldKind
from sandbox.disclosure.rules import DisclosureRules

Selection = Callable[[str], bool]
Family = Literal["verdict", "criterion", "holdout", "auroc", "rate", "mean", "failure_rate", "failure_count"]
Part = Literal["value", "low", "high"]
RATES = ("sensitivity", "specificity", "ppv", "npv")
TRUTH = ("positives", "negatives", "patients")
_PARTS: tuple[Part, ...] = ("value", "low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What decides which fields there are.

    Attributes:
        scope: name of the predictions.
        protocol: a short form of the protocol's digest.
        points: names of the operating points whose threshold was declared.
        groups: ``all`` first, then ``attribute=level``; empty for a task without one binary target.
        criteria: names of the acceptance criteria.
        cases: number of cases.
        subject: the class, grade or label that the numbers are about; None for a task with one target.
        ranked: AUROC may be told.
        means: means over all cases that the task has, by name.
    """

    scope: str
    protocol: str
    points: tuple[str, ...]
    groups: tuple[str, ...]
    criteria: tuple[str, ...]
    cases: int
    subject: str | None = None
    ranked: bool = True
    means: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """The subject as a part of a path."""
        return f"/{self.subject}" if self.subject else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One field without its value; ``levels`` counts every possible text and "withheld"."""

    path: str
    kind: FieldKind
    levels: int
    family: Family
    group: str = "all"
    point: str | None = None
    name: str = ""
    part: Part = "value"

    @property
    def bits(self) -> float:
        """log2 of the levels."""
        return math.log2(self.levels)


def slots(outline: Outline, rules: DisclosureRules, selection: Selection | None) -> tuple[Slot, ...]:
    """The fields that the policy lets be considered and the request asks for, in the order of a report."""
    found = _slots(outline, rules)
    return tuple(slot for slot in found if selection is None or selection(slot.path))


def _slots(outline: Outline, rules: DisclosureRules) -> Iterator[Slot]:
    head = f"{outline.scope}/{outline.protocol}"
    if outline.criteria:
        yield Slot(path=f"{head}/verdict", kind="verdict", levels=4, family="verdict")
    for name in outline.criteria:
        path = f"{head}/acceptance/{name}"
        yield Slot(path=path, kind="verdict", levels=4, family="criterion", name=name)
    for name in outline.means:
        if name in rules.metrics:
            yield from _part_slots(rules, f"{head}/all", "all", None, name, family="mean")
    for group in outline.groups if rules.strata == "rules" else outline.groups[:1]:
        yield from _group_slots(outline, rules, f"{head}{outline.about}", group)
    if rules.label_free == "rules" and outline.groups:
        for code in FailureCode:
            path = f"{head}{outline.about}/all/failures/{code.value}"
            levels = _count_levels(outline.cases, rules)
            yield Slot(path=path, kind="count", levels=levels, family="failure_count", name=code.value)


def _group_slots(outline: Outline, rules: DisclosureRules, head: str, group: str) -> Iterator[Slot]:
    for name in TRUTH:
        path = f"holdout/{outline.protocol}{outline.about}/{group}/{name}"
        levels = _count_levels(outline.cases, rules)
        yield Slot(path=path, kind="count", levels=levels, family="holdout", group=group, name=name)
    if "auroc" in rules.metrics and outline.ranked:
        for part in _PARTS:
            levels = _grid_levels((rules.score_grid,)) if part == "value" else _grid_levels(rules.rate_grids)
            yield Slot(
                path=f"{head}/{group}/auroc/{part}",
                kind="score" if part == "value" else "interval_end",
                levels=levels,
                family="auroc",
                group=group,
                name="auroc",
                part=part,
            )
    if "failure_rate" in rules.metrics and rules.label_free == "rules":
        yield from _part_slots(rules, f"{head}/{group}", group, None, "failure_rate", family="failure_rate")
    for point in outline.points:
        for name in RATES:
            if name in rules.metrics:
                yield from _part_slots(rules, f"{head}/{point}/{group}", group, point, name, family="rate")


def _part_slots(
    rules: DisclosureRules, head: str, group: str, point: str | None, name: str, *, family: Family
) -> Iterator[Slot]:
    """A rate or a mean, and the ends of its interval."""
    kind: FieldKind = "mean" if family == "mean" else "rate"
    for part in _PARTS:
        yield Slot(
            path=f"{head}/{name}/{part}",
            kind=kind if part == "value" else "interval_end",
            levels=_grid_levels(rules.rate_grids),
            family=family,
            group=group,
            point=point,
            name=name,
            part=part,
        )


def _grid_levels(grids: tuple[str, ...]) -> int:
    """Values of every grid that a rate may take, and "withheld": which grid it was is told as well."""
    return sum(int(1 / Fraction(grid)) + 1 for grid in grids) + 1


def _count_levels(cases: int, rules: DisclosureRules) -> int:
    return cases // rules.count_base + 3
