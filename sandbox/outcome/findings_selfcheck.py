"""The standing checks of a detection: the reference's own lesions as findings, and no finding at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.asking.predictions import typed_answer
from sandbox.outcome.matched_findings import match_findings
from sandbox.outcome.true_lesions import target_lesions
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Floats
from sandbox.scoring.detection import curves
from sandbox.scoring.detection.marks import CaseMarks, make_marks

PRECISION = "average precision"


def findings_checks(reference: pa.Table, protocol: Protocol) -> tuple[tuple[str, float, float], ...]:
    """Score a perfect and an empty submission: (name, expected, observed) of each."""
    known = reference.filter(pc.is_valid(reference[protocol.subject]))
    output = protocol.output.findings
    assert output is not None
    lesions = [each for each in target_lesions(known[protocol.subject], protocol) if each is not None]
    places = [each.middles if output.form == "points_in_volume" else each.boxes for each in lesions]
    nothing = [each[:0] for each in places]
    return (
        ("a container that knows the reference standard", 1.0, _precision(known, places, places, protocol)),
        ("a container that finds nothing", 0.0, _precision(known, places, nothing, protocol)),
    )


def _precision(
    known: pa.Table, places: Sequence[Floats], answers: Sequence[Floats], protocol: Protocol
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
            lesions=len(place),
        )
        for place, ratings, matched in zip(
            places, found["answer:ratings"].to_pylist(), found["answer:matched"].to_pylist(), strict=True
        )
    ]
    marks = make_marks(cases, np.arange(len(cases)))
    return float(curves.average_precision(marks, marks.total())[0])
