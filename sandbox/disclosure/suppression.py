"""Which fields are withheld, and why: thresholds first, then what would give a withheld number back.

A decision is made for each value of a group (a rate at an operating point, an AUROC, a count); its interval ends
share it. Reasons name no count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from sandbox.disclosure.cells import EVERYTHING, divisions
from sandbox.disclosure.counted import Counted
from sandbox.disclosure.fields import RuleName
from sandbox.disclosure.outline import RATES, TRUTH
from sandbox.disclosure.rules import DisclosureRules
from sandbox.outcome.results import Analysis, Estimate

RATE_CELLS = {
    "sensitivity": ("tp", "fn"),
    "specificity": ("tn", "fp"),
    "ppv": ("tp", "fp"),
    "npv": ("tn", "fn"),
}
"""Numerator and remainder of each rate."""


@dataclass(frozen=True, slots=True)
class Key:
    """One value: its name (a metric or a count), the group, and the operating point if it has one."""

    name: str
    group: str
    point: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A refusal: the rule, its sentence, and the cells that a reader then knows to be at most so large."""

    rule: RuleName
    sentence: str
    at_most: tuple[tuple[str, int], ...] = ()


def decide(
    counted: Counted, estimates: Mapping[Key, Estimate], rules: DisclosureRules
) -> dict[Key, Withheld | None]:
    """Decide on every value; None lets it pass."""
    found: dict[Key, Withheld | None] = {}
    for group in (EVERYTHING.name, *(group.name for group in counted.groups)):
        found |= dict(_group(counted, estimates, rules, group))
    _add_secondary(found, counted, rules)
    return found


def _group(
    counted: Counted, estimates: Mapping[Key, Estimate], rules: DisclosureRules, group: str
) -> Iterator[tuple[Key, Withheld | None]]:
    truth = counted.truth[group]
    lone = _few_patients(counted, rules, group)
    for name in TRUTH:
        yield Key(name, group), lone or _cells(counted, rules, (truth[name],))
    key = Key("auroc", group)
    yield key, lone or _auroc(counted, estimates.get(key), rules, group)
    failing = (counted.failing[group],)
    cases = counted.values[truth["positives"]] + counted.values[truth["negatives"]]
    yield Key("failure_rate", group), lone or _cells(counted, rules, failing) or _grid_lacks(rules, cases)
    for point, table in counted.confusion.items():
        for name in RATES:
            cells = tuple(table[group][kind] for kind in RATE_CELLS[name])
            base = sum(counted.values[cell] for cell in cells)
            yield Key(name, group, point), lone or _cells(counted, rules, cells) or _grid_lacks(rules, base)
    if group == EVERYTHING.name:
        for code, cell in counted.codes.items():
            yield Key(f"failures/{code}", group), lone or _cells(counted, rules, (cell,))


def _few_patients(counted: Counted, rules: DisclosureRules, group: str) -> Withheld | None:
    patients = counted.truth[group]["patients"]
    if counted.values[patients] >= rules.minimum_cell:
        return None
    return Withheld(
        rule="patients",
        sentence="The group has fewer patients than the policy asks for.",
        at_most=((patients, rules.minimum_cell - 1),),
    )


def _cells(counted: Counted, rules: DisclosureRules, cells: tuple[str, ...]) -> Withheld | None:
    small = tuple(cell for cell in cells if 0 < counted.values[cell] < rules.minimum_cell)
    empty = tuple(cell for cell in cells if counted.values[cell] == 0)
    if small:
        return Withheld(
            rule="cells",
            sentence="A count behind this number is below the policy's minimum cell.",
            at_most=tuple((cell, rules.minimum_cell - 1) for cell in small),
        )
    if empty and rules.extreme_rates == "withheld":
        return Withheld(
            rule="extreme_rates",
            sentence="A count behind this number is empty, and the policy withholds rates of 0 % and 100 %.",
            at_most=tuple((cell, rules.minimum_cell - 1) for cell in empty),
        )
    return None


def _auroc(counted: Counted, found: Estimate | None, rules: DisclosureRules, group: str) -> Withheld | None:
    least = {"positives": rules.minimum_positives, "negatives": rules.minimum_negatives}
    for kind, minimum in least.items():
        if counted.value(counted.analysed(group, kind)) < minimum:
            return Withheld(
                rule="positives_negatives",
                sentence="There are fewer positives or negatives than the policy asks for behind an AUROC.",
                at_most=((counted.truth[group][kind], minimum - 1),) if _whole(counted, group, kind) else (),
            )
    if found is None or found.value is None:
        return Withheld(rule="metric", sentence="The value could not be estimated.")
    if found.value in (0.0, 1.0) and rules.extreme_rates == "withheld":
        return Withheld(
            rule="extreme_rates",
            sentence="The value is 0 or 1, which the policy withholds.",
        )
    return None


def _whole(counted: Counted, group: str, kind: str) -> bool:
    """Whether every case of this kind entered the analysis, so that its cell is what was looked at."""
    return (
        len(counted.analysed(group, kind)) == 1
        or counted.value(counted.analysed(group, kind)) == (counted.values[counted.truth[group][kind]])
    )


def _grid_lacks(rules: DisclosureRules, cases: int) -> Withheld | None:
    if rate_step(rules, cases) is not None:
        return None
    return Withheld(
        rule="rounding",
        sentence="No grid of the policy is coarse enough for a rate over so few cases.",
    )


def rate_step(rules: DisclosureRules, cases: int | Fraction) -> Fraction | None:
    """The finest grid whose step spans the policy's base of cases; None when even the coarsest does not."""
    return next((step for step in map(Fraction, rules.rate_grids) if step * cases >= rules.count_base), None)


def rate_end_step(rules: DisclosureRules, cases: int | Fraction) -> Fraction | None:
    """Grid of the interval ends of a rate over so many cases; None when even the coarsest is too fine."""
    return next(
        (step for step in map(Fraction, rules.rate_grids) if step * cases >= rules.interval_base), None
    )


def score_end_step(rules: DisclosureRules, fewest: int) -> Fraction | None:
    """Grid of AUROC's interval ends for the smaller of positives and negatives.

    A half-width falls with the root of the number, so that one step of it spans about ``step * number**1.5``.
    """
    steps = map(Fraction, rules.rate_grids)
    return next((step for step in steps if float(step) * fewest**1.5 >= rules.interval_base), None)


def _add_secondary(found: dict[Key, Withheld | None], counted: Counted, rules: DisclosureRules) -> None:
    """Withhold more where a total and all levels but one would give the withheld one back.

    Wherever any level is withheld beneath a total that is not, at least two are, and they hold at least the
    minimum of patients between them. The smallest of the others goes first.
    """
    families = {(key.name, key.point) for key in found if key.name != "auroc" and "/" not in key.name}
    lines = divisions(counted.groups)

    def size(group: str) -> int:
        return counted.values[counted.truth[group]["patients"]]

    changed = True
    while changed:
        changed = False
        for name, point in sorted(families, key=str):
            for parent, levels in lines:
                if found[Key(name, parent.name, point)] is not None:
                    continue
                keys = [Key(name, level.name, point) for level in levels]
                hidden = [key for key in keys if found[key] is not None]
                shown = sorted((key for key in keys if found[key] is None), key=lambda key: size(key.group))
                enough = len(hidden) > 1 and sum(size(key.group) for key in hidden) >= rules.minimum_cell
                if hidden and shown and not enough:
                    found[shown[0]] = Withheld(
                        rule="secondary",
                        sentence="Shown beside its total, it would give back another number that is withheld.",
                    )
                    changed = True


def estimates_of(analysis: Analysis) -> dict[Key, Estimate]:
    """Estimates of an analysis by what they are about."""
    found = {Key(item.metric, EVERYTHING.name): item for item in analysis.estimates if item.subject is None}
    for point in analysis.operating_points:
        found |= {Key(item.metric, EVERYTHING.name, point.name): item for item in point.estimates}
    for stratum in analysis.strata:
        group = f"{stratum.attribute}={stratum.level}"
        found |= {Key(item.metric, group): item for item in stratum.estimates if item.subject is None}
        for point in stratum.operating_points:
            found |= {Key(item.metric, group, point.name): item for item in point.estimates}
    return found
