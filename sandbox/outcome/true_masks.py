"""What a task about masks takes from the reference standard: numbers of each true mask, and the mask itself."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from holdout.errors import MaskError
from holdout.mask_runs import TrueMask, decode, true_mask
from sandbox.errors import ProtocolError
from sandbox.plan.protocol import Protocol
from sandbox.scoring.segmentation.instances import count_objects
from sandbox.scoring.segmentation.surface import farthest

MASK_TRUTHS = ("reference", "truth:farthest", "truth:whole", "truth:objects")
"""Volume of the mask, largest distance within its image, volume of the image, separate objects of the mask."""


def true_masks(column: pa.ChunkedArray, protocol: Protocol) -> dict[str, pa.ChunkedArray]:
    """Numbers of each mask by the names of ``MASK_TRUTHS``, null where there is none.

    Raises:
        ProtocolError: the label holds no masks, or its images do not state the spacing that the protocol's unit needs.
    """
    rows: list[tuple[float | None, ...]] = []
    for mask in opened_masks(column, protocol):
        if mask is None:
            rows.append((None,) * len(MASK_TRUTHS))
            continue
        spacing = spacing_of(mask, protocol)
        element = math.prod(spacing)
        inside = sum(mask.runs.lengths[1::2])
        rows.append(
            (
                inside * element,
                farthest(mask.runs.shape, spacing),
                math.prod(mask.runs.shape) * element,
                float(count_objects(decode(mask.runs))),
            )
        )
    table = np.array(rows, dtype=np.float64).reshape(-1, len(MASK_TRUTHS))
    return {
        name: pa.chunked_array([pa.array(table[:, index], pa.float64(), from_pandas=True)])
        for index, name in enumerate(MASK_TRUTHS)
    }


def opened_masks(column: pa.ChunkedArray, protocol: Protocol) -> Iterator[TrueMask | None]:
    """Each mask of a label of the reference standard.

    Raises:
        ProtocolError: the label holds no masks.
    """
    for text in column.to_pylist():
        try:
            yield None if text is None else true_mask(str(text))
        except MaskError as error:
            raise ProtocolError(
                f"task.target: {protocol.subject} does not hold masks. Declare it with mask: true in the reference "
                "standard, or choose another target."
            ) from error


def spacing_of(mask: TrueMask, protocol: Protocol) -> tuple[float, ...]:
    """Spacing in the protocol's unit.

    Raises:
        ProtocolError: the unit is mm, and the image of the mask states no spacing.
    """
    boundary = protocol.boundary
    assert boundary is not None
    if boundary.unit == "px":
        return (1.0,) * len(mask.runs.shape)
    if mask.spacing is None:
        raise ProtocolError(
            "boundary.unit: an image of this hold-out states no pixel spacing, so that its distances are not known in "
            "mm. Use px."
        )
    return mask.spacing
