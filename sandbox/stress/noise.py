"""Gaussian noise for whole images, fast: the noise of a stressed case must not cost more than its container.

A normal number is looked up in a table of 65,536 by 16 random bits (inverse transform sampling, Devroye,
Non-Uniform Random Variate Generation, 1986, chapter II.2). The entries are the means of that many equally likely
parts of the distribution, scaled to variance 1; the largest is 4.4. Images store whole numbers: the steps between
entries are far finer than theirs.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

FloatArray = NDArray[Any]

_ENTRIES = 1 << 16


def normal(numbers: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Independent standard normal numbers, float32."""
    return np.asarray(_quantiles().take(_random_places(numbers, math.prod(shape))).reshape(shape))


def complex_normal(numbers: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Independent complex numbers, complex64: the real and imaginary parts are standard normal."""
    return np.asarray(_pairs().take(_random_places(numbers, math.prod(shape))).reshape(shape))


def _random_places(numbers: np.random.Generator, count: int) -> NDArray[np.intp]:
    """Places in a table, each by 16 bits."""
    raw = numbers.bit_generator.random_raw(-(-count // 4))
    return np.asarray(raw, "<u8").view("<u2")[:count].astype(np.intp)


@functools.cache
def _quantiles() -> FloatArray:
    # The mean of a normal number between a and b is (pdf(a) - pdf(b)) / (cdf(b) - cdf(a)).
    borders = scipy.special.ndtri(np.arange(_ENTRIES + 1) / _ENTRIES)
    density = np.exp(-(borders**2) / 2) / math.sqrt(2 * math.pi)
    means = (density[:-1] - density[1:]) * _ENTRIES
    return np.asarray(means / means.std(), np.float32)


@functools.cache
def _pairs() -> NDArray[np.complex64]:
    # One table for both parts: each real part stands beside one imaginary part, in a fixed order without pattern.
    order = np.random.default_rng(_ENTRIES).permutation(_ENTRIES)
    return np.asarray(_quantiles() + 1j * _quantiles()[order], np.complex64)
