"""The true counts of an evaluation, named as cells, and what holds between them by their meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from runners.failures import FailureCode
from sandbox.disclosure.cells import (
    ALL,
    EVERYTHING,
    Group,
    between,
    difference,
    divisions,
    equal,
    nested_calls,
    sums,
    total,
)
from sandbox.disclosure.fields import Constraint, Term
from sandbox.outcome.results import Analysis, OperatingPointResult, Results
from sandbox.scoring.strata import OUTSIDE

CONFUSION = ("tp", "fn", "fp", "tn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Names of cells by group and kind, and their true values.

    Attributes:
        groups: all groups but the whole.
        truth: group name to kind (``positives``, ``negatives``, ``patients``) to cell.
        failed: group name to kind (``failed_positive``, ``failed_negative``) to cell: cases left out as failed.
        failing: group name to the cell of all failed cases, left out or counted as wrong.
        codes: failure code to its cell, over all cases.
        confusion: operating point to group name to kind to cell.
        values: every cell's true value.
        structure: what holds between them.
    """

    groups: tuple[Group, ...]
    truth: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    confusion: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    structure: tuple[Constraint, ...] = ()

    def analysed(self, group: str, kind: str) -> tuple[Term, ...]:
        """``positives`` or ``negatives`` that entered the analysis."""
        gone = self.failed[group]["failed_" + kind.removesuffix("s")]
        return difference(total([self.truth[group][kind]]), total([gone]))

    def value(self, terms: tuple[Term, ...]) -> int:
        """True value of a sum of cells."""
        return sum(term.coefficient * self.values[term.cell] for term in terms)


def count(results: Results, scope: str, protocol: str) -> Counted:
    """Name and count the cells of the analysis that the protocol chose.

    Args:
        results: of a task with one binary target.
        scope: name of the predictions.
        protocol: short form of the protocol's digest.
    """
    analysis = results.analysis()
    groups = tuple(
        Group(attribute=item.attribute, level=item.level, key=_key(item.attribute, item.level, protocol))
        for item in results.composition
    )
    found = Counted(groups=groups)
    hold_out = f"holdout/{results.target}/{results.unit}"
    rule = f"{scope}/{analysis.failure_rule}"
    flow = results.flow
    assert flow.positives is not None
    sizes = {ALL: (flow.cases, flow.positives, flow.patients)}
    for group, item in zip(groups, results.composition, strict=True):
        assert item.positives is not None
        sizes[group.name] = (item.cases, item.positives, item.patients)
    scored = _scored(analysis)
    failing = {ALL: flow.failed} | {f"{s.attribute}={s.level}": s.failures for s in analysis.strata}
    reasons = {item.code: item.cases for item in flow.failures}
    by_code = {code.value: reasons.get(code.value, 0) for code in FailureCode}
    found.codes.update(_enter(found, f"{scope}/all/failures", by_code))
    for group in (EVERYTHING, *groups):
        cases, positives, patients = sizes[group.name]
        known = {"positives": positives, "negatives": cases - positives, "patients": patients}
        found.truth[group.name] = _enter(found, f"{hold_out}/{group.key}", known)
        seen_positives, seen_negatives = scored.get(group.name, (0, 0))
        failures = {
            "failed_positive": positives - seen_positives,
            "failed_negative": cases - positives - seen_negatives,
        }
        found.failed[group.name] = _enter(found, f"{rule}/{group.key}", failures)
        wrong = {"failing": failing.get(group.name, cases - seen_positives - seen_negatives)}
        found.failing[group.name] = _enter(found, f"{scope}/{group.key}", wrong)["failing"]
    for point in analysis.operating_points:
        if point.chosen_by is None and point.subject is None:
            found.confusion[point.name] = _confusion(found, analysis, point, f"{rule}/{point.threshold:g}")
    return replace(found, structure=tuple(_structure(found, analysis, sizes)))


def _key(attribute: str, level: str, protocol: str) -> str:
    """A group's part in the names of its cells; what lies outside the bands depends on the protocol's bands."""
    return f"{attribute}={level}" + (f"@{protocol}" if OUTSIDE in level else "")


def _scored(analysis: Analysis) -> dict[str, tuple[int, int]]:
    """Positives and negatives that entered the analysis, by group."""
    found = {ALL: (analysis.positives or 0, analysis.negatives or 0)}
    for stratum in analysis.strata:
        found[f"{stratum.attribute}={stratum.level}"] = (stratum.positives or 0, stratum.negatives or 0)
    return found


def _enter(found: Counted, head: str, values: dict[str, int]) -> dict[str, str]:
    names = {kind: f"{head}/{kind}" for kind in values}
    found.values.update({names[kind]: value for kind, value in values.items()})
    return names


def _confusion(
    found: Counted, analysis: Analysis, point: OperatingPointResult, head: str
) -> dict[str, dict[str, str]]:
    tables = {ALL: point}
    for stratum in analysis.strata:
        for own in stratum.operating_points:
            if own.name == point.name and own.subject is None:
                tables[f"{stratum.attribute}={stratum.level}"] = own
    cells = {}
    for group in (EVERYTHING, *found.groups):
        table = tables.get(group.name)
        values = {kind: getattr(table, kind) if table else 0 for kind in CONFUSION}
        cells[group.name] = _enter(found, f"{head}/{group.key}", values)
    return cells


def _structure(
    found: Counted, analysis: Analysis, sizes: dict[str, tuple[int, int, int]]
) -> Iterator[Constraint]:
    keys = {group.name: group.key for group in (EVERYTHING, *found.groups)}
    excluded = analysis.failure_rule == "excluded"
    for name in keys:
        truth = found.truth[name]
        for kind in ("positives", "negatives"):
            yield between(found.analysed(name, kind), 0, None)
        for table in found.confusion.values():
            own = table[name]
            yield equal(total([own["tp"], own["fn"]]), found.analysed(name, "positives"))
            yield equal(total([own["fp"], own["tn"]]), found.analysed(name, "negatives"))
        yield from _failures(found, name, excluded)
        cases = total([truth["positives"], truth["negatives"]])
        # Where each patient has one case this is common knowledge of such a hold-out.
        same = sizes[ALL][0] == sizes[ALL][2]
        yield between(difference(cases, total([truth["patients"]])), 0, 0 if same else None)
    told, failing = total(found.codes.values()), total([found.failing[ALL]])
    # A label that is unknown for some cases leaves failed cases out of its table.
    yield between(difference(told, failing), 0, 0 if found.value(told) == found.value(failing) else None)
    additive: list[dict[str, dict[str, str]]] = [found.failed, *found.confusion.values()]
    additive.append({name: {"failing": cell} for name, cell in found.failing.items()})
    additive.append(
        {name: {kind: own[kind] for kind in ("positives", "negatives")} for name, own in found.truth.items()}
    )
    for part in additive:
        kinds = next(iter(part.values())).keys()
        by_kind = {kind: {keys[name]: own[kind] for name, own in part.items()} for kind in kinds}
        yield from sums(found.groups, by_kind)
    yield from _patients(found)
    yield from nested_calls(
        own[kind] for table in found.confusion.values() for own in table.values() for kind in ("tp", "fp")
    )


def _failures(found: Counted, name: str, excluded: bool) -> Iterator[Constraint]:
    """Failed cases are left out, or counted as wrong at every threshold."""
    failing = total([found.failing[name]])
    if excluded:
        yield equal(total(found.failed[name].values()), failing)
        return
    yield from (between(total([cell]), 0, 0) for cell in found.failed[name].values())
    for table in found.confusion.values():
        yield between(difference(total([table[name]["fn"], table[name]["fp"]]), failing), 0, None)


def _patients(found: Counted) -> Iterator[Constraint]:
    """A patient may have cases in several levels; where none has, the levels add up."""
    for parent, levels in divisions(found.groups):
        whole = total([found.truth[parent.name]["patients"]])
        parts = [total([found.truth[level.name]["patients"]]) for level in levels]
        together = tuple(term for part in parts for term in part)
        same = found.value(together) == found.value(whole)
        yield between(difference(together, whole), 0, 0 if same else None)
        yield from (between(difference(whole, part), 0, None) for part in parts)
