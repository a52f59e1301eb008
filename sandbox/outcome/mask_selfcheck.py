"""The standing checks of a segmentation: the reference's own masks as answers, and an empty mask for every case."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdout.mask_runs import TrueMask
from sandbox.outcome.compared_masks import compare_masks
from sandbox.outcome.true_masks import opened_masks
from sandbox.plan.protocol import Protocol

MEASURE = "mean Dice"
_CASES = 200


def mask_checks(reference: pa.Table, protocol: Protocol) -> tuple[tuple[str, float, float], ...]:
    """Score a perfect and an empty submission on up to 200 of the hold-out's masks.

    Returns:
        (name, expected, observed) for each; a case of two empty masks counts 1 here, whatever the protocol's rule.
    """
    known = reference.filter(pc.is_valid(reference[protocol.subject])).sort_by("case_id")
    # Comparing twice costs as much as scoring; what goes wrong with a join goes wrong with any part of it.
    column = known[protocol.subject].slice(0, _CASES)
    masks = [mask for mask in opened_masks(column, protocol) if mask is not None]
    empty = [len(mask.runs.lengths) == 1 for mask in masks]
    return (
        (
            "a container that knows the reference standard",
            1.0,
            _mean_dice(column, masks, lambda mask: mask.runs.numbers, protocol),
        ),
        (
            "a container that always answers an empty mask",
            float(np.mean(empty)),
            _mean_dice(column, masks, _nothing, protocol),
        ),
    )


def _nothing(mask: TrueMask) -> tuple[int, ...]:
    shape = mask.runs.shape
    return (len(shape), *shape, int(np.prod(shape)))


def _mean_dice(
    column: pa.ChunkedArray,
    masks: list[TrueMask],
    answer: Callable[[TrueMask], tuple[int, ...]],
    protocol: Protocol,
) -> float:
    answered = pa.table(
        {
            "levels": pa.array([answer(mask) for mask in masks], pa.list_(pa.int32())),
            "failure": pa.nulls(len(masks), pa.string()),
        }
    )
    dice = compare_masks(column, answered, protocol).columns["answer:dice"]
    return float(np.mean(pc.fill_null(dice, 1.0).to_numpy(zero_copy_only=False)))
