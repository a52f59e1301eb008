"""Tasks with several classes, grades or labels, as one table of calls for each of them against the rest.

A class, grade or label (a *subject*) is a binary task of its own: its cells are named and told as those of any binary
task. What holds between the subjects of one case, which is one of the classes, is knowledge of every reader and enters
the structure.

Of a multilabel task AUROC is told too, because the calls are thresholds on the score behind it. Of classes and grades
it is not: their calls compare several scores, so that the audit cannot tell what a class's AUROC says of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sandbox.disclosure.cells import between, difference, equal, total
from sandbox.disclosure.counted import Counted
from sandbox.disclosure.fields import Constraint
from sandbox.outcome.results import (
    Analysis,
    Estimate,
    LevelCount,
    OperatingPointResult,
    Results,
    StratumResult,
)
from sandbox.plan.metric_catalogue import TaskKind
from sandbox.plan.protocol import Protocol

EXCLUSIVE: frozenset[TaskKind] = frozenset({"multiclass", "ordinal"})
SUBJECT_TASKS: frozenset[TaskKind] = EXCLUSIVE | {"multilabel"}
CALL = "call"
"""Operating point of a task whose calls need no threshold."""


def subjects_of(results: Results) -> tuple[str, ...]:
    """The classes, grades or labels, in the protocol's order."""
    found = (each.subject for each in _named(results.analysis("worst_case")) if each.metric == "sensitivity")
    return tuple(dict.fromkeys(name for name in found if name is not None))


def planned_subjects(protocol: Protocol) -> tuple[str, ...]:
    """The same, from the protocol."""
    part = protocol.output.classes or protocol.output.grades
    return () if part is None else tuple(part.names)


def planned_points(protocol: Protocol) -> tuple[str, ...]:
    """Names of the operating points of each subject."""
    if protocol.task.kind in EXCLUSIVE:
        return (CALL,)
    return tuple(point.name for point in protocol.operating_points)


def against_rest(results: Results, subject: str) -> Results:
    """The results as those of a binary task whose target is ``subject``; criteria are left out."""
    chosen, whole = results.analysis(), results.analysis("worst_case")
    asked, strata = _sizes(whole, subject), {_key(each): each for each in whole.strata}
    composition = []
    for item in results.composition:
        n, positives, patients = _sizes(strata[item.attribute, item.level], subject)
        composition.append(
            LevelCount(
                attribute=item.attribute, level=item.level, cases=n, patients=patients, positives=positives,
                share=item.share,
            )
        )  # fmt: skip
    n, positives, patients = asked
    failed = n - _sizes(results.analysis("excluded"), subject)[0]
    return replace(
        results,
        target=f"{results.target}:{subject}",
        flow=replace(
            results.flow,
            cases=n,
            patients=patients,
            positives=positives,
            negatives=n - positives,
            failed=failed,
        ),
        composition=tuple(composition),
        analyses=(_analysis(chosen, results, subject),),
        acceptance=(),
    )


def between_subjects(parts: Sequence[Counted], *, exclusive: bool) -> Iterator[Constraint]:
    """What holds between the tables of one hold-out's subjects."""
    first = parts[0]
    for group in first.truth:
        cases = total([first.truth[group]["positives"], first.truth[group]["negatives"]])
        for other in parts[1:]:
            for left, right in (
                (cases, total([other.truth[group]["positives"], other.truth[group]["negatives"]])),
                (total([first.truth[group]["patients"]]), total([other.truth[group]["patients"]])),
            ):
                # A label may be unknown for some cases; where it never is, everybody knows that the sizes are equal.
                if first.value(left) == other.value(right):
                    yield equal(left, right)
        if exclusive:
            yield equal(total(part.truth[group]["positives"] for part in parts), cases)
            yield from _one_call_each(parts, group)


def _one_call_each(parts: Sequence[Counted], group: str) -> Iterator[Constraint]:
    """A case that is missed for its own class is a false alarm for another, and for all others where it failed.

    Misses are the row sums and false alarms the column sums of a table without diagonal; that neither of a class
    exceeds the others of the rest is all that the sums say of one another.
    """
    for point in parts[0].confusion:
        tables = [part.confusion[point][group] for part in parts]
        values = {cell: part.values[cell] for part in parts for cell in part.confusion[point][group].values()}
        every = {kind: total(table[kind] for table in tables) for kind in ("fn", "fp")}
        gap = difference(every["fp"], every["fn"])
        same = between(gap, 0, 0).holds(values)
        found = [between(gap, 0, 0 if same else None)]
        for index, table in enumerate(tables):
            rest = tables[:index] + tables[index + 1 :]
            for kind, other in (("fp", "fn"), ("fn", "fp")):
                found.append(
                    between(difference(total(each[other] for each in rest), total([table[kind]])), 0, None)
                )
        # Odd costs may make a failed case count as its own grade, which is no false alarm for another.
        yield from (each for each in found if each.holds(values))


def _analysis(chosen: Analysis, results: Results, subject: str) -> Analysis:
    exclusive = results.task in EXCLUSIVE
    n, positives, _ = _sizes(chosen, subject)
    strata = []
    for each in chosen.strata:
        size, own, patients = _sizes(each, subject)
        strata.append(
            replace(
                each,
                n=size,
                positives=own,
                negatives=size - own,
                patients=patients,
                failures=_failures(results, each, subject),
                estimates=() if exclusive else _about(each.estimates, subject),
                operating_points=_points(each, subject, exclusive=exclusive),
            )
        )
    return replace(
        chosen,
        n=n,
        positives=positives,
        negatives=n - positives,
        estimates=() if exclusive else _about(chosen.estimates, subject),
        operating_points=_points(chosen, subject, exclusive=exclusive),
        strata=tuple(strata),
    )


def _failures(results: Results, stratum: StratumResult, subject: str) -> int:
    """Failed cases of a stratum for which the subject is known."""
    sizes = {}
    for rule in ("worst_case", "excluded"):
        analysis = next(each for each in results.analyses if each.failure_rule == rule)
        (own,) = (each for each in analysis.strata if _key(each) == _key(stratum))
        sizes[rule] = _sizes(own, subject)[0]
    return sizes["worst_case"] - sizes["excluded"]


def _points(
    part: Analysis | StratumResult, subject: str, *, exclusive: bool
) -> tuple[OperatingPointResult, ...]:
    if not exclusive:
        return tuple(
            replace(each, subject=None, estimates=_about(each.estimates, subject))
            for each in part.operating_points
            if each.subject == subject
        )
    tp, fn, fp, tn = _table(part, subject)
    rates = tuple(each for each in _about(part.estimates, subject) if each.metric != "auroc")
    return (OperatingPointResult(name=CALL, threshold=0.0, tp=tp, fn=fn, fp=fp, tn=tn, estimates=rates),)


def _table(part: Analysis | StratumResult, subject: str) -> tuple[int, int, int, int]:
    """TP, FN, FP and TN of one class or grade against the rest."""
    found = {each.metric: each for each in _about(part.estimates, subject)}
    hit, size = _ratio(found.get("sensitivity"))
    if "specificity" in found:
        right, rest = _ratio(found["specificity"])
        return hit, size - hit, rest - right, right
    own, called = _ratio(found.get("ppv"))
    return hit, size - hit, called - own, part.n - size - (called - own)


def _sizes(part: Analysis | StratumResult, subject: str) -> tuple[int, int, int]:
    """Cases, positives and patients for one subject."""
    tables = [each for each in part.operating_points if each.subject == subject]
    if tables:
        table = tables[0]
        known = next(each for each in part.estimates if each.subject == subject and each.metric == "auroc")
        return table.tp + table.fn + table.fp + table.tn, table.tp + table.fn, known.patients
    return part.n, _table(part, subject)[0] + _table(part, subject)[1], part.patients


def _ratio(found: Estimate | None) -> tuple[int, int]:
    return (0, 0) if found is None else (found.successes or 0, found.n)


def _named(analysis: Analysis) -> tuple[Estimate, ...]:
    points = (each for point in analysis.operating_points for each in point.estimates)
    return (*analysis.estimates, *points)


def _about(estimates: Sequence[Estimate], subject: str) -> tuple[Estimate, ...]:
    return tuple(replace(each, subject=None) for each in estimates if each.subject == subject)


def _key(part: StratumResult | LevelCount) -> tuple[str, str]:
    return part.attribute, part.level
