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
    return _axis_resized(_axis_resized(values, 1, rows), 2, columns)


def _axis_resized(values: FloatArray, axis: int, size: int) -> FloatArray:
    old = values.shape[axis]
    if size == old:
        return values
    if size < old:
        # Areas: differences of the running integral at the new borders.
        total = np.concatenate(
            (np.zeros_like(np.take(values, [0], axis)), np.cumsum(values, axis=axis, dtype=np.float64)), axis
        )
        borders = np.linspace(0, old, size + 1)
        smaller: FloatArray = (np.diff(_linear(total, axis, borders), axis=axis) * (size / old)).astype(
            np.float32
        )
        return smaller
    places = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    larger: FloatArray = _linear(values, axis, places).astype(np.float32)
    return larger


def _linear(values: NDArray[Any], axis: int, places: NDArray[Any]) -> NDArray[Any]:
    below = (
        np.minimum(places.astype(int), values.shape[axis] - 2)
        if values.shape[axis] > 1
        else places.astype(int)
    )
    shape = [1] * values.ndim
    shape[axis] = -1
    weight = (places - below).reshape(shape)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    out: FloatArray = np.take(values, below, axis) * (1 - weight) + np.take(values, above, axis) * weight
    return out
