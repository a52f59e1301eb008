"""The lesions that a reference standard holds for a case, as boxes: given so, or around each object of a mask.

A protocol may name further labels of the same forms: regions that the reference standard leaves open, and lesions that
weigh more or less than others.
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
from sandbox.errors import ProtocolError
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Bools, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesions:
    """What a finding of a case is held against.

    Attributes:
        boxes: shape (lesions, 4): left, top, right, bottom in pixels.
        weights: of the lesions, adding up to 1; None: all the same.
        ignored: a mask, shape (rows, columns), or boxes, shape (regions, 4), within which a finding that hits no lesion
            counts for nothing; None: nowhere.
    """

    boxes: Floats
    weights: Floats | None = None
    ignored: Floats | Bools | None = None

    def leaves_open(self, points: Floats) -> Bools:
        """Which points (x, y), shape (points, 2), lie where a finding counts for nothing."""
        if self.ignored is None:
            return np.zeros(len(points), dtype=bool)
        if self.ignored.dtype == np.bool_:
            columns, rows = np.floor(points).astype(np.int64).T
            inside = (rows < self.ignored.shape[0]) & (columns < self.ignored.shape[1])
            found = np.zeros(len(points), dtype=bool)
            found[inside] = self.ignored[rows[inside], columns[inside]]
            return found
        x, y = points[:, :1], points[:, 1:]
        left, top, right, bottom = self.ignored.T
        return np.asarray(((left <= x) & (x <= right) & (top <= y) & (y <= bottom)).any(axis=1))


def true_lesions(reference: pa.Table, protocol: Protocol) -> Iterator[TrueLesions | None]:
    """The lesions of each row of the reference standard, None where there is no truth.

    A weighed label holds some of the target's lesions again, box by box; a lesion of none of them weighs 1. No value of
    the label of regions says that there are none.

    Raises:
        ProtocolError: a label is absent, holds neither boxes nor masks, or a weighed box is none of the target's.
    """
    hits = protocol.hits
    assert hits is not None
    named = (*((hits.ignored,) if hits.ignored else ()), *hits.weights)
    for label in named:
        if label not in reference.column_names:
            raise ProtocolError(f"hits: the reference standard has no label {label}.")
    columns = {label: reference[label].to_pylist() for label in named}
    for row, boxes in enumerate(lesion_boxes(reference[protocol.subject], protocol)):
        if boxes is None:
            yield None
            continue
        here = {label: texts[row] for label, texts in columns.items() if texts[row] is not None}
        try:
            ignored = _regions(str(here[hits.ignored])) if hits.ignored in here else None
            weighed = [
                (_boxes(str(here[label])), weight) for label, weight in hits.weights.items() if label in here
            ]
        except MaskError as error:
            raise ProtocolError(f"hits: one of {', '.join(named)} holds neither boxes nor masks.") from error
        yield TrueLesions(
            boxes=boxes,
            weights=_weights(boxes, weighed) if hits.weights and len(boxes) else None,
            ignored=ignored,
        )


def _regions(text: str) -> Floats | Bools:
    if not text.startswith(MASK_BEGINS):
        return _boxes(text)
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


def lesion_boxes(column: pa.ChunkedArray, protocol: Protocol) -> Iterator[Floats | None]:
    """Boxes of each case, shape (lesions, 4): left, top, right, bottom in pixels; None where there is no truth.

    Raises:
        ProtocolError: the label holds neither boxes nor masks of one plane.
    """
    for text in column.to_pylist():
        try:
            yield None if text is None else _boxes(str(text))
        except MaskError as error:
            raise ProtocolError(
                f"task.target: {protocol.subject} holds neither boxes nor masks of one plane. Declare it with boxes: "
                "true or mask: true in the reference standard, or choose another target."
            ) from error


def lesion_counts(reference: pa.Table, protocol: Protocol) -> pa.ChunkedArray:
    """Number of lesions of each case, null where there is no truth.

    Raises:
        ProtocolError: as :func:`true_lesions`.
    """
    counts = [None if each is None else float(len(each.boxes)) for each in true_lesions(reference, protocol)]
    return pa.chunked_array([pa.array(counts, pa.float64())])


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
