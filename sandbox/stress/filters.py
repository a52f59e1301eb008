"""Filters and noise of stated width, in the frequency domain or by separable convolution, slice by slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

FloatArray = NDArray[Any]

FWHM_PER_SIGMA = 2.3548200450309493
"""Full width at half maximum of a Gaussian of sigma 1: 2 sqrt(2 ln 2)."""


def blurred(values: FloatArray, sigma: tuple[float, float], *, colour: bool = False) -> FloatArray:
    """Blur every frame by a Gaussian of ``sigma`` pixels along rows and columns; edges are continued."""
    widths = (0.0, *sigma, 0.0) if colour else (0.0, *sigma)
    out: FloatArray = scipy.ndimage.gaussian_filter(values, widths, mode="nearest", truncate=3.0)
    return out


def shaped_noise(numbers: np.random.Generator, shape: tuple[int, int], amplitude: NDArray[Any]) -> FloatArray:
    """One field of Gaussian noise of unit standard deviation whose amplitude spectrum is ``amplitude``.

    ``amplitude`` has the shape of ``rfft2`` of ``shape``: (rows, columns // 2 + 1).
    """
    spectrum = numbers.standard_normal((*amplitude.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    field = scipy.fft.irfft2(spectrum * amplitude.astype(np.float32), s=shape)
    deviation = float(field.std())
    out: FloatArray = (field / deviation if deviation > 0 else field).astype(np.float32)
    return out


def radial_frequency(shape: tuple[int, int], spacing: tuple[float, float]) -> NDArray[Any]:
    """Cycles a millimetre of each element of ``rfft2`` of an image of this shape and spacing."""
    along_rows = scipy.fft.fftfreq(shape[0], spacing[0])[:, None]
    along_columns = scipy.fft.rfftfreq(shape[1], spacing[1])[None, :]
    out: FloatArray = np.hypot(along_rows, along_columns).astype(np.float32)
    return out


def resized(values: FloatArray, rows: int, columns: int) -> FloatArray:
    """Resample every frame to a matrix size, by area averaging when smaller and linearly when larger."""
    if columns > values.shape[2]:
        # Columns first: the array is still small, and rows are interpolated by whole lines of memory.
        return _axis_resized(_axis_resized(values, 2, columns), 1, rows)
    return _axis_resized(_axis_resized(values, 1, rows), 2, columns)


def _axis_resized(values: FloatArray, axis: int, size: int) -> FloatArray:
    old = values.shape[axis]
    if size == old:
        return values
    values = values.astype(np.float32, copy=False)
    if size < old:
        return _area_means(values, axis, size)
    places = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    below = np.minimum(places.astype(int), max(old - 2, 0))
    weight = _along(axis, values.ndim, places - below)
    out: FloatArray = np.take(values, below, axis)
    out += (np.take(values, np.minimum(below + 1, old - 1), axis) - out) * weight
    return out


def _area_means(values: FloatArray, axis: int, size: int) -> FloatArray:
    """Means over ``size`` equal stretches of an axis; a sample that a border divides counts on both sides."""
    borders = np.arange(size + 1) * (values.shape[axis] / size)
    first = borders.astype(int)
    out: FloatArray = np.add.reduceat(values, first[:-1], axis)
    share = borders[1:-1] - first[1:-1]
    if share.any():
        divided = np.take(values, first[1:-1], axis) * _along(axis, values.ndim, share)
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        out[before] += divided
        out[after] -= divided
    out *= np.float32(size / values.shape[axis])
    return out


def _along(axis: int, dimensions: int, weights: NDArray[Any]) -> FloatArray:
    shape = [1] * dimensions
    shape[axis] = -1
    return np.asarray(weights.reshape(shape), np.float32)
