"""Answered masks held against their reference, one row of numbers a case; no mask goes further than here."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from holdout.errors import MaskError
from holdout.mask_runs import Runs, TrueMask, decode, from_numbers
from runners.failures import FailureCode
from sandbox.outcome.true_masks import opened_masks, spacing_of
from sandbox.plan.metric_catalogue import MASK_COLUMNS
from sandbox.plan.protocol import Protocol
from sandbox.scoring.segmentation.instances import instances
from sandbox.scoring.segmentation.overlap import score_masks

_OVERLAPS = ("dice", "iou", "nsd", "hd95", "assd")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMasks:
    """Columns of the scored cases: the numbers of ``MASK_COLUMNS``, and why a case has none."""

    columns: dict[str, pa.Array]
    failure: pa.Array


def compare_masks(truth: pa.ChunkedArray, answered: pa.Table, protocol: Protocol) -> ComparedMasks:
    """Compare each answer with the true mask of its case.

    An answer on another grid than the reference is never compared by index: it is a failure, ``out_of_range``.

    Args:
        truth: the reference standard's masks, null where there is none.
        answered: predictions (``levels``, ``failure``) in the same order.
        protocol: the registered protocol.

    Raises:
        ProtocolError: the label holds no masks, or no spacing where the protocol needs one.
    """
    table = np.full((answered.num_rows, len(MASK_COLUMNS)), np.nan)
    failures = answered["failure"].to_pylist()
    masks = opened_masks(truth, protocol)
    for row, (mask, numbers) in enumerate(zip(masks, answered["levels"].to_pylist(), strict=True)):
        if numbers is None or mask is None:
            continue
        try:
            answer = from_numbers(numbers)
        except MaskError:
            answer = None
        if answer is None or answer.shape != mask.runs.shape:
            failures[row] = FailureCode.OUT_OF_RANGE.value
            continue
        table[row] = _compared(mask, answer, protocol)
    return ComparedMasks(
        columns={
            name: pa.array(table[:, index], pa.float64(), from_pandas=True)
            for index, name in enumerate(protocol.answer_columns)
        },
        failure=pa.array(failures, pa.string()),
    )


def _compared(mask: TrueMask, answer: Runs, protocol: Protocol) -> tuple[float, ...]:
    boundary = protocol.boundary
    assert boundary is not None
    ours, theirs = decode(mask.runs), decode(answer)
    scores = asdict(
        score_masks(
            ours,
            theirs,
            spacing_of(mask, protocol),
            tolerance=boundary.tolerance,
            both_empty=boundary.both_empty,
        )
    )
    objects = instances(ours, theirs)
    return (
        *(scores[name] for name in _OVERLAPS),
        scores["answer_volume"],
        float(objects.matched),
        objects.iou_sum,
        float(objects.false_positive),
        float(objects.missed),
    )
