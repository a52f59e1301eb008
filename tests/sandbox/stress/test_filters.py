"""Linear operations along an axis, against general convolution and against weights written out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.stress.filters import blurred, resized

IMAGE = np.random.default_rng(0).normal(1000, 300, (2, 96, 80)).astype(np.float32)


@pytest.mark.parametrize("sigma", [(0.1, 0.5), (2.2, 1.1), (5.0, 9.3), (40.0, 0.0)])
def test_blur_is_that_of_a_general_gaussian_filter(sigma: tuple[float, float]) -> None:
    expected = scipy.ndimage.gaussian_filter(IMAGE, (0, *sigma), mode="nearest", truncate=3.0)
    assert np.allclose(blurred(IMAGE, sigma), expected, atol=0.01)


def test_colours_are_blurred_apart() -> None:
    colour = np.random.default_rng(1).normal(1000, 300, (2, 40, 50, 3)).astype(np.float32)
    for plane in range(3):
        one = np.ascontiguousarray(colour[..., plane])
        assert np.allclose(blurred(colour, (2, 3))[..., plane], blurred(one, (2, 3)), atol=0.01)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 200), columns=st.integers(2, 200))
def test_resampling_keeps_a_constant_and_the_ends_of_the_range(rows: int, columns: int) -> None:
    flat = np.full((1, 96, 80), 7.0, np.float32)
    assert np.allclose(resized(flat, rows, columns), 7.0, rtol=1e-5)
    made = resized(IMAGE, rows, columns)
    assert made.shape == (2, rows, columns)
    assert made.min() >= IMAGE.min() - 0.01
    assert made.max() <= IMAGE.max() + 0.01


@pytest.mark.parametrize(("rows", "columns"), [(33, 51), (96, 40), (2, 80), (200, 300), (50, 300), (96, 80)])
def test_a_smaller_matrix_holds_means_of_areas_and_a_larger_one_is_linear_between(
    rows: int, columns: int
) -> None:
    def along(old: int, new: int) -> np.ndarray:
        weights = np.zeros((new, old))
        for index in range(new):
            if new < old:
                low, high = index * old / new, (index + 1) * old / new
                weights[index] = np.clip(
                    np.minimum(np.arange(old) + 1, high) - np.maximum(np.arange(old), low), 0, 1
                )
                weights[index] /= weights[index].sum()
            else:
                place = (index + 0.5) * old / new - 0.5
                weights[index] = [np.interp(place, np.arange(old), one) for one in np.eye(old)]
        return weights

    expected = along(96, rows) @ IMAGE.astype(np.float64) @ along(80, columns).T
    assert np.allclose(resized(IMAGE, rows, columns), expected, atol=0.01)
