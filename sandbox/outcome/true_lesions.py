"""The lesions that a reference standard holds for a case: boxes in an image, or points, spheres or boxes in a volume.

In an image they are given as boxes, or each object of a mask is one. A protocol may name further labels of the same
forms: regions that the reference standard leaves open, and lesions that weigh more or less than others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import ndimage

from holdout.boxes import true_boxes
from holdout.errors import MaskError
from holdout.mask_runs import MASK_BEGINS, decode, true_mask
from holdout.volume_lesions import NUMBERS, volume_lesions
from sandbox.errors import ProtocolError
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Bools, Floats
from sandbox.scoring.detection.hits import centres, points_by_distance, points_in_boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesions:
    """Lesions, or regions, of one case.

    Attributes:
        boxes: shape (lesions, 4): left, top, right, bottom in pixels; or (lesions, 6): x y z of the lowest corner and
            of the highest, LPS in mm. Of a sphere it is the cube around it.
        radii: of spheres, in mm, 0 for points; None: they are boxes.
    """

    boxes: Floats
    radii: Floats | None = None

    @property
    def middles(self) -> Floats:
        """Centre of each, shape (lesions, 2 or 3)."""
        return centres(self.boxes)

    def holding(self, points: Floats) -> Floats:
        """Merits of points that lie inside, shape (points, lesions): the nearer to the centre the better."""
        if self.radii is None:
            return points_in_boxes(points, self.boxes)
        return points_by_distance(points, self.middles, self.radii, (1.0,) * points.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesions:
    """What a finding of a case is held against.

    Attributes:
        lesions: the lesions.
        weights: of the lesions, adding up to 1; None: all the same.
        ignored: a mask, shape (rows, columns), or regions, within which a finding that hits no lesion counts for
            nothing; None: nowhere.
    """

    lesions: Lesions
    weights: Floats | None = None
    ignored: Lesions | Bools | None = None

    def leaves_open(self, points: Floats) -> Bools:
        """Which points, shape (points, 2 or 3), lie where a finding counts for nothing."""
        if self.ignored is None:
            return np.zeros(len(points), dtype=bool)
        if isinstance(self.ignored, Lesions):
            return np.asarray((~np.isnan(self.ignored.holding(points))).any(axis=1))
        columns, rows = np.floor(points).astype(np.int64).T
        inside = (rows < self.ignored.shape[0]) & (columns < self.ignored.shape[1])
        found = np.zeros(len(points), dtype=bool)
        found[inside] = self.ignored[rows[inside], columns[inside]]
        return found


def true_lesions(reference: pa.Table, protocol: Protocol) -> Iterator[TrueLesions | None]:
    """The lesions of each row of the reference standard, None where there is no truth.

    A weighed label holds some of the target's lesions again, box by box; a lesion of none of them weighs 1. No value of
    the label of regions says that there are none.

    Raises:
        ProtocolError: a label is absent, holds nothing of a form that the task can take, or a weighed lesion is none of
            the target's.
    """
    hits = protocol.hits
    assert hits is not None
    named = (*((hits.ignored,) if hits.ignored else ()), *hits.weights)
    for label in named:
        if label not in reference.column_names:
            raise ProtocolError(f"hits: the reference standard has no label {label}.")
    columns = {label: reference[label].to_pylist() for label in named}
    for row, lesions in enumerate(target_lesions(reference[protocol.subject], protocol)):
        if lesions is None:
            yield None
            continue
        here = {label: texts[row] for label, texts in columns.items() if texts[row] is not None}
        try:
            ignored = _regions(str(here[hits.ignored]), protocol) if hits.ignored in here else None
            weighed = [
                (_lesions(str(here[label]), protocol).boxes, weight)
                for label, weight in hits.weights.items()
                if label in here
            ]
        except MaskError as error:
            what = "no lesions in a volume" if _in_volume(protocol) else "neither boxes nor masks"
            raise ProtocolError(f"hits: one of {', '.join(named)} holds {what}.") from error
        yield TrueLesions(
            lesions=lesions,
            weights=_weights(lesions.boxes, weighed) if hits.weights and len(lesions.boxes) else None,
            ignored=ignored,
        )


def _in_volume(protocol: Protocol) -> bool:
    assert protocol.output.findings is not None
    return protocol.output.findings.in_volume


def _regions(text: str, protocol: Protocol) -> Lesions | Bools:
    if _in_volume(protocol) or not text.startswith(MASK_BEGINS):
        found = _lesions(text, protocol)
        if found.radii is not None and not found.radii.all():
            raise ProtocolError("hits.ignored: a label of points has no regions; it needs spheres or boxes.")
        return found
    mask = decode(true_mask(text).runs)
    if mask.ndim != 2:
        raise MaskError("A mask of several planes has no region in an image.")
    return mask


def _weights(boxes: Floats, weighed: list[tuple[Floats, float]]) -> Floats:
    found = np.ones(len(boxes))
    for own, weight in weighed:
        same = (boxes[:, None] == own[None]).all(axis=2)
        if not same.any(axis=0).all():
            raise ProtocolError("hits.weights: a label holds a lesion that is none of the target's lesions.")
        found[same.any(axis=1)] = weight
    return np.asarray(found / found.sum())


def target_lesions(column: pa.ChunkedArray, protocol: Protocol) -> Iterator[Lesions | None]:
    """Lesions of each case; None where there is no truth.

    Raises:
        ProtocolError: the label holds nothing of a form that the task can take, or that the hit rule cannot be held to.
    """
    for text in column.to_pylist():
        try:
            found = None if text is None else _lesions(str(text), protocol)
        except MaskError as error:
            if _in_volume(protocol):
                raise ProtocolError(
                    f"task.target: {protocol.subject} holds no lesions in a volume. Declare it with lesions: spheres "
                    "(or points, or boxes) in the reference standard, or choose another target."
                ) from error
            raise ProtocolError(
                f"task.target: {protocol.subject} holds neither boxes nor masks of one plane. Declare it with boxes: "
                "true or mask: true in the reference standard, or choose another target."
            ) from error
        if found is not None and len(found.boxes):
            _check_rule(found, protocol)
        yield found


def _check_rule(found: Lesions, protocol: Protocol) -> None:
    assert protocol.hits is not None
    rule = protocol.hits.rule
    if rule == "radius" and found.radii is None:
        raise ProtocolError(
            f"hits.rule: {protocol.subject} holds boxes, which have no radius. Use centre, iou or distance."
        )
    if rule != "distance" and found.radii is not None and not found.radii.all():
        raise ProtocolError(
            f"hits.rule: {protocol.subject} holds points without a diameter. Use distance, or declare spheres."
        )


def lesion_counts(reference: pa.Table, protocol: Protocol) -> pa.ChunkedArray:
    """Number of lesions of each case, null where there is no truth.

    Raises:
        ProtocolError: as :func:`true_lesions`.
    """
    found = true_lesions(reference, protocol)
    counts = [None if each is None else float(len(each.lesions.boxes)) for each in found]
    return pa.chunked_array([pa.array(counts, pa.float64())])


def _lesions(text: str, protocol: Protocol) -> Lesions:
    if not _in_volume(protocol):
        return Lesions(boxes=_boxes(text))
    found = volume_lesions(text)
    numbers = np.array(found.lesions, dtype=np.float64).reshape(-1, NUMBERS[found.kind])
    if found.kind == "boxes":
        return Lesions(boxes=numbers)
    radii = numbers[:, 3] / 2 if found.kind == "spheres" else np.zeros(len(numbers))
    middle, reach = numbers[:, :3], radii[:, None]
    return Lesions(boxes=np.hstack((middle - reach, middle + reach)), radii=radii)


def _boxes(text: str) -> Floats:
    if not text.startswith(MASK_BEGINS):
        return np.array(true_boxes(text), dtype=np.float64).reshape(-1, 4)
    mask = decode(true_mask(text).runs)
    if mask.ndim != 2:
        raise MaskError("A mask of several planes has no box in an image.")
    labels, _ = ndimage.label(mask, np.ones((3, 3), dtype=bool))
    found = [
        (columns.start, rows.start, columns.stop, rows.stop) for rows, columns in ndimage.find_objects(labels)
    ]
    return np.array(found, dtype=np.float64).reshape(-1, 4)
