"""Blur, resample and shape noise: linear operations along one axis of a frame, or in the frequency domain.

An operation along an axis is a sparse matrix: each row of it holds the weights of the old samples that make a new
one. Multiplying by it takes a fifth of the time of a general convolution.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray

from sandbox.stress.noise import complex_normal

FloatArray = NDArray[Any]

FWHM_PER_SIGMA = 2.3548200450309493
"""Full width at half maximum of a Gaussian of sigma 1: 2 sqrt(2 ln 2)."""
_TRUNCATED = 3.0
"""Standard deviations at which a Gaussian ends."""
_BLOCK = 16


def blurred(values: FloatArray, sigma: tuple[float, float]) -> FloatArray:
    """Blur every frame by a Gaussian of ``sigma`` pixels along rows and columns; edges are continued."""
    rows, columns = values.shape[1:3]
    return _weighted(values, _gaussian(rows, sigma[0]), _gaussian(columns, sigma[1]))


def resized(values: FloatArray, rows: int, columns: int) -> FloatArray:
    """Resample every frame to a matrix size, by area averaging when smaller and linearly when larger."""
    return _weighted(values, _resampling(values.shape[1], rows), _resampling(values.shape[2], columns))


def shaped_noise(numbers: np.random.Generator, shape: tuple[int, int], amplitude: NDArray[Any]) -> FloatArray:
    """One field of Gaussian noise of unit standard deviation whose amplitude spectrum is ``amplitude``.

    ``amplitude`` has the shape of ``rfft2`` of ``shape``: (rows, columns // 2 + 1).
    """
    spectrum = complex_normal(numbers, amplitude.shape)
    spectrum *= amplitude.astype(np.float32, copy=False)
    field = scipy.fft.irfft2(spectrum, s=shape, overwrite_x=True)
    deviation = float(field.std())
    if deviation > 0:
        field /= np.float32(deviation)
    return np.asarray(field, np.float32)


def radial_frequency(shape: tuple[int, int], spacing: tuple[float, float]) -> NDArray[Any]:
    """Cycles a millimetre of each element of ``rfft2`` of an image of this shape and spacing."""
    along_rows = scipy.fft.fftfreq(shape[0], spacing[0])[:, None]
    along_columns = scipy.fft.rfftfreq(shape[1], spacing[1])[None, :]
    out: FloatArray = np.hypot(along_rows, along_columns).astype(np.float32)
    return out


def _weighted(values: FloatArray, rows: Any, columns: Any) -> FloatArray:
    """Apply a matrix along the rows' axis and one along the columns'; None leaves an axis as it is."""
    if rows is None and columns is None:
        return values.astype(np.float32)
    return np.stack([_frame_weighted(frame, rows, columns) for frame in values])


def _frame_weighted(frame: FloatArray, rows: Any, columns: Any) -> FloatArray:
    frame = frame.astype(np.float32, copy=False)
    # While the frame is small: a larger one is made by whole lines of memory.
    if columns is not None and columns.shape[0] > columns.shape[1]:
        frame, columns = _turned(_product(columns, _turned(frame))), None
    if rows is not None:
        frame = _product(rows, frame)
    return frame if columns is None else _turned(_product(columns, _turned(frame)))


def _product(matrix: Any, frame: FloatArray) -> FloatArray:
    flat = matrix @ frame.reshape(len(frame), -1)
    return np.asarray(flat).reshape(-1, *frame.shape[1:])


def _turned(frame: FloatArray) -> FloatArray:
    """Exchange rows and columns in memory, in blocks: sides of 512 share too few lines of the cache."""
    out = np.empty((frame.shape[1], frame.shape[0], *frame.shape[2:]), frame.dtype)
    for start in range(0, len(frame), _BLOCK):
        out[:, start : start + _BLOCK] = frame[start : start + _BLOCK].swapaxes(0, 1)
    return out


@functools.lru_cache(maxsize=16)
def _gaussian(size: int, sigma: float) -> Any:
    reach = int(_TRUNCATED * sigma + 0.5)
    if not reach:
        return None
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-((steps / sigma) ** 2) / 2)
    places = np.clip(np.arange(size)[:, None] + steps, 0, size - 1)
    return _sparse(np.broadcast_to(weights / weights.sum(), places.shape), places, size)


@functools.lru_cache(maxsize=16)
def _resampling(old: int, new: int) -> Any:
    if new == old:
        return None
    if new > old:
        centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        below = np.minimum(centres.astype(int), max(old - 2, 0))
        places = np.minimum(below[:, None] + np.arange(2), old - 1)
        share = (centres - below)[:, None]
        return _sparse(np.hstack([1 - share, share]), places, old)
    borders = np.arange(new + 1) * (old / new)
    low, high = borders[:-1, None], borders[1:, None]
    places = low.astype(int) + np.arange(int(np.ceil(old / new)) + 1)
    weights = np.clip(np.minimum(places + 1, high) - np.maximum(places, low), 0, 1) * (new / old)
    return _sparse(weights, np.minimum(places, old - 1), old)


def _sparse(weights: FloatArray, places: NDArray[Any], size: int) -> Any:
    """A matrix of ``size`` columns from the weights of each row and the columns where they stand."""
    starts = np.arange(len(places) + 1) * places.shape[1]
    shape = (len(places), size)
    matrix = scipy.sparse.csr_array(
        (weights.astype(np.float32).ravel(), places.astype(np.int32).ravel(), starts.astype(np.int32)), shape
    )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix
