"""Boundary distances against ones worked out by hand, distance transforms of the whole array, and invariants."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from sandbox.scoring.segmentation.overlap import score_masks
from sandbox.scoring.segmentation.surface import border, bounding_box, surfaces

MASKS = arrays.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=7).flatmap(
    lambda shape: st.tuples(arrays.arrays(np.bool_, shape), arrays.arrays(np.bool_, shape))
)
SPACING = (0.7, 1.3, 2.0)


def by_transform(reference, answer, spacing, tolerance):
    """HD95, ASSD and NSD from Euclidean distance transforms of the whole array: an independent way."""
    borders = [each & ~ndimage.binary_erosion(each) for each in (reference, answer)]
    away = [
        ndimage.distance_transform_edt(~other, sampling=spacing)[own]
        for own, other in (borders, borders[::-1])
    ]
    together = np.concatenate(away)
    return (
        max(np.percentile(each, 95) for each in away),
        together.mean(),
        np.mean(together <= tolerance * (1 + 1e-9)),
    )


@given(MASKS)
@settings(deadline=None, max_examples=200)
def test_the_tree_agrees_with_distance_transforms(pair):
    reference, answer = pair
    if not reference.any() or not answer.any():
        return
    spacing = SPACING[: reference.ndim]
    found = surfaces(reference, answer, spacing)
    expected = by_transform(reference, answer, spacing, 1.3)
    got = (found.hausdorff_95, found.average_symmetric, found.normalised_dice(1.3))
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(MASKS, st.floats(0.01, 100))
@settings(deadline=None, max_examples=100)
def test_scale_order_and_crop(pair, scale):
    reference, answer = pair
    spacing = SPACING[: reference.ndim]
    found = score_masks(reference, answer, spacing, tolerance=1.0)
    # The same anatomy in other units: distances scale, shares stay.
    scaled = score_masks(reference, answer, [scale * each for each in spacing], tolerance=scale)
    assert (scaled.dice, scaled.iou, scaled.nsd) == pytest.approx((found.dice, found.iou, found.nsd))
    assert (scaled.hd95, scaled.assd) == pytest.approx((scale * found.hd95, scale * found.assd))
    assert scaled.answer_volume == pytest.approx(scale**reference.ndim * found.answer_volume)
    # Which of the two is the reference decides no overlap and no distance.
    swapped = score_masks(answer, reference, spacing, tolerance=1.0)
    assert (swapped.dice, swapped.iou, swapped.nsd, swapped.hd95, swapped.assd) == pytest.approx(
        (found.dice, found.iou, found.nsd, found.hd95, found.assd)
    )
    # Axes may be named in another order, with their spacing.
    turned = score_masks(reference.T, answer.T, spacing[::-1], tolerance=1.0)
    assert (turned.hd95, turned.assd, turned.nsd) == pytest.approx((found.hd95, found.assd, found.nsd))
    if reference.any() and answer.any():
        wide = score_masks(np.pad(reference, 3), np.pad(answer, 3), spacing, tolerance=1.0)
        assert wide == found


def test_two_squares_a_known_way_apart():
    # Two 4 x 4 squares, one moved by 3 columns of 0.5 mm: of 12 border elements each, worked out by hand.
    reference, answer = np.zeros((10, 20), dtype=bool), np.zeros((10, 20), dtype=bool)
    reference[2:6, 2:6] = True
    answer[2:6, 5:9] = True
    found = score_masks(reference, answer, (1.0, 0.5), tolerance=0.5)
    assert found.dice == 2 * 4 / 32
    assert found.iou == 4 / 28
    directed = by_hand(reference, answer, (1.0, 0.5))
    assert found.hd95 == pytest.approx(np.percentile(directed, 95))
    assert found.assd == pytest.approx(np.mean(directed))
    assert found.reference_volume == found.answer_volume == 8.0


def by_hand(reference, answer, spacing):
    """Every distance between every two border elements; those of a translated square are alike both ways."""
    ours, theirs = (
        [
            (row * spacing[0], column * spacing[1])
            for row, column in zip(*np.nonzero(mask), strict=True)
            if not mask[row - 1 : row + 2, column].all() or not mask[row, column - 1 : column + 2].all()
        ]
        for mask in (reference, answer)
    )
    assert len(ours) == len(theirs) == 12
    return [min(math.dist(one, other) for other in theirs) for one in ours]


def test_what_lies_at_the_edge_of_the_array_is_border():
    assert len(border(np.ones((3, 4), dtype=bool))) == 10
    assert len(border(np.ones((3, 3, 3), dtype=bool))) == 26


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=3, max_side=6)))
def test_the_box_holds_the_mask_and_no_more(mask):
    box = bounding_box(mask)
    if box is None:
        assert not mask.any()
        return
    assert mask[box].sum() == mask.sum()
    for axis in range(mask.ndim):
        assert np.take(mask[box], 0, axis).any()
        assert np.take(mask[box], -1, axis).any()


def test_a_miss_is_never_better_than_an_answer():
    generator = np.random.default_rng(3)
    reference = np.zeros((12, 16), dtype=bool)
    reference[3:8, 4:9] = True
    nothing = score_masks(reference, np.zeros_like(reference), (2.0, 1.0), tolerance=1.0)
    assert (nothing.dice, nothing.iou, nothing.nsd) == (0.0, 0.0, 0.0)
    assert nothing.hd95 == nothing.assd == math.hypot(22, 15)
    for _ in range(50):
        answer = generator.random(reference.shape) < generator.choice([0.01, 0.2, 0.8])
        if answer.any():
            found = score_masks(reference, answer, (2.0, 1.0), tolerance=1.0)
            assert found.dice >= nothing.dice
            assert found.hd95 <= nothing.hd95
            assert found.assd <= nothing.assd


def test_two_empty_masks_by_the_declared_rule():
    empty = np.zeros((4, 4), dtype=bool)
    right = score_masks(empty, empty, (1.0, 1.0), tolerance=1.0)
    assert (right.dice, right.iou, right.nsd, right.hd95, right.assd) == (1.0, 1.0, 1.0, 0.0, 0.0)
    left_out = score_masks(empty, empty, (1.0, 1.0), tolerance=1.0, both_empty="excluded")
    assert math.isnan(left_out.dice)
    assert math.isnan(left_out.hd95)
    assert left_out.answer_volume == 0.0


def test_other_grids_are_never_compared():
    with pytest.raises(ValueError, match="two grids"):
        score_masks(np.ones((2, 3), bool), np.ones((3, 2), bool), (1.0, 1.0), tolerance=1.0)
    with pytest.raises(ValueError, match="spacing"):
        score_masks(np.ones((2, 3), bool), np.ones((2, 3), bool), (1.0, 0.0), tolerance=1.0)
