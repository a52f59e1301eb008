"""Panoptic quality against objects counted by hand and a direct matching."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from sandbox.scoring.segmentation.instances import instances

SHAPE = (6, 7)
MASK = arrays.arrays(np.bool_, SHAPE)


def test_three_objects_by_hand():
    reference, answer = np.zeros((10, 10), dtype=bool), np.zeros((10, 10), dtype=bool)
    reference[0:2, 0:4] = True  # 8 elements; 6 of them answered
    answer[0:2, 0:3] = True
    reference[4:6, 0:4] = True  # IoU one half exactly: no match
    answer[4:6, 0:2] = True
    answer[8:10, 8:10] = True  # nothing there
    found = instances(reference, answer)
    assert (found.matched, found.false_positive, found.missed) == (1, 2, 1)
    assert found.segmentation_quality == 0.75
    assert found.recognition_quality == 1 / 2.5
    assert found.panoptic_quality == pytest.approx(0.75 / 2.5)


@given(MASK, MASK)
def test_every_pair_of_objects(reference, answer):
    structure = np.ones((3, 3))
    ours, count = ndimage.label(reference, structure)
    theirs, answered = ndimage.label(answer, structure)
    matches = [
        shared / union
        for i in range(1, count + 1)
        for j in range(1, answered + 1)
        if (shared := np.sum((ours == i) & (theirs == j))) / (union := np.sum((ours == i) | (theirs == j)))
        > 0.5
    ]
    found = instances(reference, answer)
    assert found.matched == len(matches)
    assert found.iou_sum == pytest.approx(sum(matches))
    assert (found.missed, found.false_positive) == (count - len(matches), answered - len(matches))


def test_no_object_at_all_has_no_quality():
    empty = np.zeros((3, 3), dtype=bool)
    assert np.isnan(instances(empty, empty).panoptic_quality)
