"""Two standing checks of every evaluation's scoring path, on its own cases.

A container that knew the reference standard must come out at AUROC 1, and one that answers the same score for
every case at 0.5. Their answers take the whole road that real answers take: typed by the output schema, joined
with the reference standard, scored under the registered protocol. A join that shuffles cases, an inverted score
or a case that is lost on the way shows here, whatever the vendor's model does.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import EvaluationError
from sandbox.predictions import level, scores
from sandbox.protocol import Protocol
from sandbox.scoring.roc import auroc_value


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """One standing check: what was expected, what came out."""

    name: str
    expected: float
    observed: float | None

    @property
    def passed(self) -> bool:
        """Whether the machinery gave exactly what it must."""
        return self.observed == self.expected


def run_selfchecks(reference: pa.Table, cases: pa.Table, protocol: Protocol) -> tuple[SelfCheck, ...]:
    """Score a perfect and a constant submission on this hold-out.

    Args:
        reference: columns ``case_id`` and the protocol's target (0, 1 or null), in any order.
        cases: the hold-out's case table; its order is the one that scoring uses.
        protocol: the registered protocol.

    Raises:
        EvaluationError: a check fails; no result of this evaluation could be trusted.
    """
    output = protocol.output.score
    truth = dict(
        zip(reference["case_id"].to_pylist(), reference[protocol.task.target].to_pylist(), strict=True)
    )
    order = cases["case_id"].to_pylist()
    labelled = pa.array([truth.get(case) for case in order], pa.int8())
    if len(set(labelled.drop_null().to_pylist())) < 2:
        return ()
    perfect_answers = {
        case: output.maximum if value == 1 else output.minimum for case, value in truth.items()
    }
    middle = (output.minimum + output.maximum) / 2
    checks = []
    for name, expected, answers in (
        ("a container that knows the reference standard", 1.0, perfect_answers),
        ("a container that always answers the same", 0.5, dict.fromkeys(truth, middle)),
    ):
        levels = pa.array(
            [level(answers[case], output) if case in answers else None for case in order], pa.int32()
        )
        answered = scores(levels, output)
        known = pc.is_valid(labelled)
        observed = auroc_value(
            labelled.filter(known).to_numpy(zero_copy_only=False),
            answered.filter(known).to_numpy(zero_copy_only=False),
        )
        checks.append(SelfCheck(name=name, expected=expected, observed=observed))
    failed = [check for check in checks if not check.passed]
    if failed:
        raise EvaluationError(
            f"The standing self-check failed: {failed[0].name} scored {failed[0].observed}, not {failed[0].expected}. "
            "No result of this evaluation can be trusted; report this as a defect of Proctor."
        )
    return tuple(checks)
