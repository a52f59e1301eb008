"""What is kept of a stressed answer that marks places: what it is worth against the truth, and a digest of it.

The answer itself is gone once it was compared, while the container waits for its next question: a thousand stressed
masks take no more room than a thousand rows of numbers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sandbox.asking.asks import Ask, Kept
from sandbox.canonical import digest_bytes
from sandbox.outcome.compared_masks import compare_masks
from sandbox.outcome.matched_findings import match_findings
from sandbox.plan.protocol import Protocol
from sandbox.stress.asking import CLEAN_COPY
from sandbox.stress.registry import registry

DIGEST = "answer:digest"
"""Column of the digest of an answer: equal answers, and no others, have equal ones."""


def kept_fields(protocol: Protocol) -> tuple[pa.Field, ...]:
    """Columns of what is kept of an answer, null where there is none."""
    if protocol.output.findings is not None:
        return (
            pa.field(DIGEST, pa.string()),
            pa.field("answer:ratings", pa.list_(pa.float64())),
            pa.field("answer:matched", pa.list_(pa.int64())),
        )
    return (
        pa.field(DIGEST, pa.string()),
        *(pa.field(name, pa.float64()) for name in protocol.answer_columns),
    )


def answer_digest(levels: list[int], protocol: Protocol) -> str:
    """Digest of a typed answer.

    A mask has one list of run lengths only, so it is that of the decoded mask; of findings the order says nothing.
    """
    numbers = np.asarray(levels, dtype="<i4")
    if protocol.output.findings is not None:
        findings = numbers.reshape(-1, protocol.output.findings.numbers_each)
        numbers = findings[np.lexsort(findings.T)]
    return digest_bytes(numbers.tobytes())


def with_digests(table: pa.Table, answered: pa.Table, protocol: Protocol) -> pa.Table:
    """Scored cases with the digests of their answers (``answered``: predictions, one row for each of the cases)."""
    row = {case_id: index for index, case_id in enumerate(answered["case_id"].to_pylist())}
    digests = []
    for case_id, failure in zip(table["case_id"].to_pylist(), table["failure"].to_pylist(), strict=True):
        levels = None if failure is not None else answered["levels"][row[case_id]].as_py()
        digests.append(None if levels is None else answer_digest(levels, protocol))
    return table.append_column(DIGEST, pa.array(digests, pa.string()))


class MarkKeeper:
    """Holds the answers of stressed asks against the truth of their cases, one at a time, from several threads.

    An answer to what must be refused is compared with nothing: there is no truth of it.

    Args:
        reference: the opened reference standard.
        protocol: of a task whose answers mark places.
    """

    def __init__(self, reference: pa.Table, protocol: Protocol) -> None:
        self._protocol = protocol
        self._reference = reference
        self._row = {case_id: row for row, case_id in enumerate(reference["case_id"].to_pylist())}

    def __call__(self, ask: Ask, levels: list[int]) -> Kept:
        """What is kept of one answer.

        Raises:
            ProtocolError: the label of the reference standard is not what the protocol says.
        """
        values: dict[str, object] = {DIGEST: answer_digest(levels, self._protocol)}
        perturbation = registry().get(ask.perturbation or "", CLEAN_COPY)
        if perturbation.expectation == "must refuse":
            return Kept(values=values)
        answered = pa.table(
            {"levels": pa.array([levels], pa.list_(pa.int32())), "failure": pa.nulls(1, pa.string())}
        )
        truth = self._reference.slice(self._row[ask.case_id], 1)
        if self._protocol.output.findings is not None:
            found = match_findings(truth, answered, self._protocol)
            return Kept(
                values=values | {name: found[name][0].as_py() for name in self._protocol.answer_columns}
            )
        compared = compare_masks(truth[self._protocol.subject], answered, self._protocol)
        failure = compared.failure[0].as_py()
        if failure is not None:
            return Kept(values=None, failure=failure)
        return Kept(values=values | {name: column[0].as_py() for name, column in compared.columns.items()})
