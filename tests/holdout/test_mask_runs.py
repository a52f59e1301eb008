"""Masks as run lengths: one list for each mask, and nothing else is read as one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from holdout.errors import MaskError
from holdout.mask_runs import Runs, decode, encode, from_numbers

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=3, max_side=6))


@given(MASKS)
def test_a_mask_comes_back_as_it_was(mask):
    runs = encode(mask)
    assert np.array_equal(decode(runs), mask)
    assert from_numbers(runs.numbers) == runs
    assert sum(runs.lengths[1::2]) == mask.sum()


def test_runs_go_along_the_rows():
    mask = np.array([[0, 1, 1], [1, 0, 0]], dtype=bool)
    assert encode(mask).numbers == (2, 2, 3, 1, 3, 2)
    assert encode(~mask).numbers == (2, 2, 3, 0, 1, 3, 2)
    assert encode(mask.T).lengths == (1, 2, 1, 1, 1)


@given(st.lists(st.integers(-2, 6), max_size=9))
def test_any_numbers_are_a_mask_or_refused(numbers):
    try:
        runs = from_numbers(numbers)
    except MaskError:
        return
    assert encode(decode(runs)) == runs
    assert list(runs.numbers) == numbers


@pytest.mark.parametrize(
    ("shape", "lengths"),
    [
        ((2, 3), (5,)),
        ((2, 3), (7,)),
        ((2, 3), (2, 0, 4)),
        ((2, 3), (-1, 7)),
        ((2, 3), ()),
        ((6,), (6,)),
        ((1, 1, 2, 3), (6,)),
        ((0, 3), (0,)),
        ((2**16, 2**16), (2**32,)),
    ],
)
def test_what_is_no_mask_is_refused(shape, lengths):
    with pytest.raises(MaskError):
        Runs(shape=shape, lengths=lengths)
