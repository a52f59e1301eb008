"""Noise from a table of normal numbers: it must be told from true normal numbers by no test of practical size."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from sandbox.stress.noise import complex_normal, normal

COUNT = 200_000


def test_numbers_are_normal_and_independent() -> None:
    values = normal(np.random.default_rng(1), (COUNT,))
    assert values.dtype == np.float32
    assert scipy.stats.kstest(values, "norm").pvalue > 0.001
    assert values.mean() == pytest.approx(0, abs=4 / np.sqrt(COUNT))
    assert values.var() == pytest.approx(1, abs=4 * np.sqrt(2 / COUNT))
    assert scipy.stats.kurtosis(values) == pytest.approx(0, abs=4 * np.sqrt(24 / COUNT))
    for lag in (1, 2, 4, 512):
        assert np.corrcoef(values[:-lag], values[lag:])[0, 1] == pytest.approx(0, abs=4 / np.sqrt(COUNT))
    # A normal sample of this size seldom reaches further than the table does.
    assert np.abs(values).max() == pytest.approx(4.4, abs=0.3)


def test_magnitudes_of_complex_numbers_are_those_of_rayleigh_and_their_phases_are_even() -> None:
    values = complex_normal(np.random.default_rng(2), (COUNT,))
    assert values.dtype == np.complex64
    assert scipy.stats.kstest(np.abs(values), "rayleigh").pvalue > 0.001
    assert scipy.stats.kstest((np.angle(values) / np.pi + 1) / 2, "uniform").pvalue > 0.001
    assert np.corrcoef(values.real, values.imag)[0, 1] == pytest.approx(0, abs=0.01)


def test_shape_and_seed_decide_everything() -> None:
    one, again = (normal(np.random.default_rng(3), (3, 5, 7)) for _ in range(2))
    assert one.shape == (3, 5, 7)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, normal(np.random.default_rng(4), (3, 5, 7)))
