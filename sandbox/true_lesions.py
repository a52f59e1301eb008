"""The lesions that a reference standard holds for a case, as boxes: given so, or around each object of a mask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from scipy import ndimage

from holdout.boxes import true_boxes
from holdout.errors import MaskError
from holdout.mask_runs import decode, true_mask
from sandbox.errors import ProtocolError
from sandbox.protocol import Protocol
from sandbox.scoring.cases import Floats


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


def lesion_counts(column: pa.ChunkedArray, protocol: Protocol) -> pa.ChunkedArray:
    """Number of lesions of each case, null where there is no truth.

    Raises:
        ProtocolError: the label holds neither boxes nor masks of one plane.
    """
    counts = [None if boxes is None else float(len(boxes)) for boxes in lesion_boxes(column, protocol)]
    return pa.chunked_array([pa.array(counts, pa.float64())])


def _boxes(text: str) -> Floats:
    if '"runs"' not in text:
        return np.array(true_boxes(text), dtype=np.float64).reshape(-1, 4)
    mask = decode(true_mask(text).runs)
    if mask.ndim != 2:
        raise MaskError("A mask of several planes has no box in an image.")
    labels, _ = ndimage.label(mask, np.ones((3, 3), dtype=bool))
    found = [
        (columns.start, rows.start, columns.stop, rows.stop) for rows, columns in ndimage.find_objects(labels)
    ]
    return np.array(found, dtype=np.float64).reshape(-1, 4)
