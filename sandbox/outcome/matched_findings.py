"""Answered findings matched with the lesions of their case by the protocol's hit rule; no place goes further."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sandbox.outcome.true_lesions import Lesions, true_lesions
from sandbox.plan.analysis_section import Hits
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Floats
from sandbox.scoring.detection.hits import boxes_by_iou, centres, points_by_distance
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
        findings = np.array(numbers, dtype=np.float64).reshape(-1, output.numbers_each)
        scores = output.minimum + step * findings[:, -1]
        places = findings[:, :-1] / output.parts
        points = places if output.form == "points_in_volume" else centres(places)
        merits = _merits(places, points, truth.lesions, hits)
        ignored = truth.leaves_open(points)
        ratings.append(scores.tolist())
        matched.append(
            match(scores, merits, order=hits.order, repeats=hits.repeats, ignored=ignored).tolist()
        )
    found = {
        "answer:ratings": pa.array(ratings, pa.list_(pa.float64())),
        "answer:matched": pa.array(matched, pa.list_(pa.int64())),
    }
    return found | ({WEIGHTS: pa.array(weights, pa.list_(pa.float64()))} if hits.weights else {})


def _merits(boxes: Floats, points: Floats, lesions: Lesions, hits: Hits) -> Floats:
    if hits.rule == "iou":
        assert hits.least is not None
        return boxes_by_iou(boxes, lesions.boxes, hits.least)
    if hits.rule in ("centre", "radius"):
        # The radius rule takes spheres alone, and lies within the sphere.
        return lesions.holding(points)
    assert hits.most_distance is not None
    return points_by_distance(points, lesions.middles, hits.most_distance, (1.0,) * points.shape[1])
