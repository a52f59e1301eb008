"""Answered findings matched with the lesions of their case by the protocol's hit rule; no box goes further."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sandbox.predictions import PARTS_OF_A_PIXEL
from sandbox.protocol import Hits, Protocol
from sandbox.scoring.cases import Floats
from sandbox.scoring.detection.hits import boxes_by_iou, centres, points_by_distance, points_in_boxes
from sandbox.scoring.detection.matching import match
from sandbox.true_lesions import lesion_boxes


def match_findings(truth: pa.ChunkedArray, answered: pa.Table, protocol: Protocol) -> dict[str, pa.Array]:
    """Rating of each finding, and the lesion that it counts for, by case.

    Args:
        truth: the reference standard's boxes or masks, null where there is none.
        answered: predictions (``levels``) in the same order.
        protocol: the registered protocol.

    Returns:
        ``answer:ratings`` (list of float64) and ``answer:matched`` (list of int64, as
        :func:`sandbox.scoring.detection.matching.match` gives), null where there is no answer or no truth.

    Raises:
        ProtocolError: the label holds neither boxes nor masks.
    """
    hits, output = protocol.hits, protocol.output.findings
    assert hits is not None
    assert output is not None
    ratings: list[list[float] | None] = []
    matched: list[list[int] | None] = []
    step = (output.maximum - output.minimum) / (output.levels - 1)
    lesions = lesion_boxes(truth, protocol)
    for boxes, numbers in zip(lesions, answered["levels"].to_pylist(), strict=True):
        if boxes is None or numbers is None:
            ratings.append(None)
            matched.append(None)
            continue
        findings = np.array(numbers, dtype=np.float64).reshape(-1, 5)
        scores = output.minimum + step * findings[:, 4]
        merits = _merits(findings[:, :4] / PARTS_OF_A_PIXEL, boxes, hits)
        ratings.append(scores.tolist())
        matched.append(match(scores, merits, order=hits.order, repeats=hits.repeats).tolist())
    ratings_column = pa.array(ratings, pa.list_(pa.float64()))
    return {"answer:ratings": ratings_column, "answer:matched": pa.array(matched, pa.list_(pa.int64()))}


def _merits(findings: Floats, lesions: Floats, hits: Hits) -> Floats:
    if hits.rule == "iou":
        assert hits.least is not None
        return boxes_by_iou(findings, lesions, hits.least)
    if hits.rule == "centre":
        return points_in_boxes(centres(findings), lesions)
    assert hits.most_distance is not None
    return points_by_distance(centres(findings), centres(lesions), hits.most_distance, (1.0, 1.0))
