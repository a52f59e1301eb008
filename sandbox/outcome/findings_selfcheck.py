"""The standing checks of a detection: the reference's own boxes as findings, and no finding at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.asking.predictions import typed_answer
from sandbox.outcome.matched_findings import match_findings
from sandbox.outcome.true_lesions import lesion_boxes
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Floats
from sandbox.scoring.detection import curves
from sandbox.scoring.detection.marks import CaseMarks, make_marks

PRECISION = "average precision"


def findings_checks(reference: pa.Table, protocol: Protocol) -> tuple[tuple[str, float, float], ...]:
    """Score a perfect and an empty submission: (name, expected, observed) of each."""
    known = reference.filter(pc.is_valid(reference[protocol.subject]))
    boxes = [each for each in lesion_boxes(known[protocol.subject], protocol) if each is not None]
    nothing = [each[:0] for each in boxes]
    return (
        ("a container that knows the reference standard", 1.0, _precision(known, boxes, boxes, protocol)),
        ("a container that finds nothing", 0.0, _precision(known, boxes, nothing, protocol)),
    )


def _precision(
    known: pa.Table, boxes: Sequence[Floats], answers: Sequence[Floats], protocol: Protocol
) -> float:
    output = protocol.output.findings
    assert output is not None
    levels = []
    for answer in answers:
        scores = np.full((len(answer), 1), output.maximum)
        listed = tuple(np.hstack((answer, scores)).ravel().tolist())
        levels.append(typed_answer({"findings": listed}, protocol.output))
    answered = pa.table({"levels": pa.array(levels, pa.list_(pa.int32()))})
    found = match_findings(known, answered, protocol)
    cases = [
        CaseMarks(
            ratings=np.array(ratings, dtype=np.float64),
            matched=np.array(matched, dtype=np.int64),
            lesions=len(box),
        )
        for box, ratings, matched in zip(
            boxes, found["answer:ratings"].to_pylist(), found["answer:matched"].to_pylist(), strict=True
        )
    ]
    marks = make_marks(cases, np.arange(len(cases)))
    return float(curves.average_precision(marks, marks.total())[0])
