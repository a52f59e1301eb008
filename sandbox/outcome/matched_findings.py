"""Answered findings matched with the lesions of their case by the protocol's hit rule; no box goes further."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sandbox.asking.predictions import PARTS_OF_A_PIXEL
from sandbox.outcome.true_lesions import true_lesions
from sandbox.plan.analysis_section import Hits
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Floats
from sandbox.scoring.detection.hits import boxes_by_iou, centres, points_by_distance, points_in_boxes
from sandbox.scoring.detection.matching import match
from sandbox.scoring.detection.task import WEIGHTS


def match_findings(reference: pa.Table, answered: pa.Table, protocol: Protocol) -> dict[str, pa.Array]:
    """Rating of each finding, and the lesion that it counts for, by case; weights of the lesions where declared.

    Args:
        reference: the reference standard's labels, null where there is no truth.
        answered: predictions (``levels``) in the same order.
        protocol: the registered protocol.

    Returns:
        ``answer:ratings`` (list of float64) and ``answer:matched`` (list of int64, as
        :func:`sandbox.scoring.detection.matching.match` gives), null where there is no answer or no truth; and
        ``truth:weights`` (list of float64) where the protocol declares weights.

    Raises:
        ProtocolError: as :func:`sandbox.outcome.true_lesions.true_lesions`.
    """
    hits, output = protocol.hits, protocol.output.findings
    assert hits is not None
    assert output is not None
    ratings: list[list[float] | None] = []
    matched: list[list[int] | None] = []
    step = (output.maximum - output.minimum) / (output.levels - 1)
    weights: list[list[float] | None] = []
    lesions = true_lesions(reference, protocol)
    for truth, numbers in zip(lesions, answered["levels"].to_pylist(), strict=True):
        weights.append(None if truth is None or truth.weights is None else truth.weights.tolist())
        if truth is None or numbers is None:
            ratings.append(None)
            matched.append(None)
            continue
        findings = np.array(numbers, dtype=np.float64).reshape(-1, 5)
        scores = output.minimum + step * findings[:, 4]
        places = findings[:, :4] / PARTS_OF_A_PIXEL
        merits = _merits(places, truth.boxes, hits)
        ignored = truth.leaves_open(centres(places))
        ratings.append(scores.tolist())
        matched.append(
            match(scores, merits, order=hits.order, repeats=hits.repeats, ignored=ignored).tolist()
        )
    found = {
        "answer:ratings": pa.array(ratings, pa.list_(pa.float64())),
        "answer:matched": pa.array(matched, pa.list_(pa.int64())),
    }
    return found | ({WEIGHTS: pa.array(weights, pa.list_(pa.float64()))} if hits.weights else {})


def _merits(findings: Floats, lesions: Floats, hits: Hits) -> Floats:
    if hits.rule == "iou":
        assert hits.least is not None
        return boxes_by_iou(findings, lesions, hits.least)
    if hits.rule == "centre":
        return points_in_boxes(centres(findings), lesions)
    assert hits.most_distance is not None
    return points_by_distance(centres(findings), centres(lesions), hits.most_distance, (1.0, 1.0))
