"""Two standing checks of every evaluation's scoring path, on its own cases.

A container that knew the reference standard must come out at the best value of the task's measure, and one that
answers the same for every case at chance. Their answers take the whole road that real answers take: typed by the
output schema, joined with the reference standard, scored. A join that shuffles cases, an inverted score or a case
that is lost on the way shows here, whatever the vendor's model does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.asking.predictions import typed, values
from sandbox.errors import EvaluationError
from sandbox.outcome.findings_selfcheck import PRECISION, findings_checks
from sandbox.outcome.mask_selfcheck import MEASURE, mask_checks
from sandbox.outcome.truth import any_known, read_truth, truth_columns
from sandbox.plan.output_schema import Number
from sandbox.plan.protocol import Protocol
from sandbox.scoring.constant_and_perfect import MEASURES

Truth = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """One standing check: what was measured, what was expected within ``tolerance``, what came out."""

    name: str
    expected: float
    observed: float | None
    measure: str = "AUROC"
    tolerance: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the machinery gave what it must."""
        return self.observed is not None and abs(self.observed - self.expected) <= self.tolerance


def run_selfchecks(reference: pa.Table, cases: pa.Table, protocol: Protocol) -> tuple[SelfCheck, ...]:
    """Score a perfect and a constant submission on this hold-out.

    Args:
        reference: columns ``case_id`` and the protocol's labels, in any order.
        cases: the hold-out's case table; its order is the one that scoring uses.
        protocol: the registered protocol.

    Raises:
        EvaluationError: a check fails; no result of this evaluation could be trusted.
    """
    if protocol.output.mask is not None:
        return _held(
            tuple(
                SelfCheck(name=name, expected=expected, observed=observed, measure=MEASURE, tolerance=1e-12)
                for name, expected, observed in mask_checks(reference, protocol)
            )
        )
    if protocol.output.findings is not None:
        return _held(
            tuple(
                SelfCheck(name=name, expected=expected, observed=observed, measure=PRECISION, tolerance=1e-12)
                for name, expected, observed in findings_checks(reference, protocol)
            )
        )
    names = truth_columns(protocol)
    truths = {"case_id": reference["case_id"], **read_truth(reference, protocol)}
    by_case = {row["case_id"]: {name: row[name] for name in names} for row in pa.table(truths).to_pylist()}
    order = cases["case_id"].to_pylist()
    nothing: dict[str, float | None] = dict.fromkeys(names)
    labelled = pa.table(
        {name: [by_case.get(case, nothing)[name] for case in order] for name in names},
        schema=pa.schema([(name, pa.float64()) for name in names]),
    )
    if not any(pc.count_distinct(labelled[name]).as_py() > 1 for name in names):
        return ()
    numbers = protocol.output.numbers
    measure = MEASURES[protocol.task.kind]
    checks = []
    for name, expected, answer in (
        ("a container that knows the reference standard", 1.0, _perfect(protocol)),
        ("a container that always answers the same", measure.chance, _constant(numbers)),
    ):
        answers = {case: typed(answer(truth), numbers) for case, truth in by_case.items()}
        levels = [
            [answers[case][i] if case in answers else None for case in order] for i in range(len(numbers))
        ]
        known = any_known(labelled, names)
        answered = pa.table(
            {
                column: values(pa.array(one, pa.int32()), number)
                for column, one, number in zip(protocol.answer_columns, levels, numbers, strict=True)
            }
        )
        observed = measure.of(labelled.filter(known), answered.filter(known), protocol)
        checks.append(
            SelfCheck(
                name=name,
                expected=expected,
                observed=observed,
                measure=measure.name,
                tolerance=measure.tolerance,
            )
        )
    return _held(tuple(checks))


def _held(checks: tuple[SelfCheck, ...]) -> tuple[SelfCheck, ...]:
    failed = [check for check in checks if not check.passed]
    if failed:
        raise EvaluationError(
            f"The standing self-check failed: {failed[0].name} scored {failed[0].observed}, not "
            f"{failed[0].expected} ({failed[0].measure}). "
            "No result of this evaluation can be trusted; report this as a defect of Proctor."
        )
    return checks


def _constant(numbers: tuple[Number, ...]) -> Callable[[Truth], dict[str, float]]:
    answer = {number.name: _middle(number) for number in numbers}
    return lambda _truth: answer


def _middle(number: Number) -> float:
    middle = (number.minimum + number.maximum) / 2
    return float(int(middle)) if number.whole else middle


def _perfect(protocol: Protocol) -> Callable[[Truth], dict[str, float]]:
    """What a container answers that knows the truth; any answer where there is none."""
    numbers, names = protocol.output.numbers, truth_columns(protocol)
    kind = protocol.task.kind

    def answer(truth: Truth) -> dict[str, float]:
        if kind == "multiclass":
            return {
                number.name: number.maximum if truth[names[0]] == index else number.minimum
                for index, number in enumerate(numbers)
            }
        if kind == "ordinal":
            grade = truth[names[0]] or 0
            rest = {number.name: float(grade == index) for index, number in enumerate(numbers[1:])}
            return {numbers[0].name: float(grade), **rest}
        if kind == "measurement":
            known = truth[names[0]]
            return {numbers[0].name: numbers[0].minimum if known is None else known}
        return {
            number.name: number.maximum if truth[name] == 1 else number.minimum
            for number, name in zip(numbers, names, strict=True)
        }

    return answer
