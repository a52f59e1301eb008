"""Grey levels by a curve: each stored value becomes another one, wherever it stands.

An image holds far fewer values than pixels, so the curve is computed for each value that occurs and looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import numpy as np

from sandbox.stress.case import Image, set_stored, stored_range, stored_values
from sandbox.stress.volume import FloatArray, Volume, put_back

Curve = Callable[[FloatArray], FloatArray]


def follow(volume: Volume, curve: Curve) -> None:
    """Give every pixel that is not padding the value that ``curve`` makes of its own, in modality units."""
    counts = [len(stored_values(image)) for image in volume.images]
    starts = [0, *accumulate(counts)]
    scales = set(zip(volume.slopes, volume.intercepts, strict=True))
    if volume.colour or len(scales) > 1:
        put_back(volume, curve(volume.values))
        return
    ((slope, intercept),) = scales
    for image, start, count in zip(volume.images, starts, counts, strict=False):
        before = stored_values(image)
        after = _looked_up(image, curve, float(slope), float(intercept))
        if volume.padding is not None:
            mask = volume.padding[start : start + count]
            after[mask] = before[mask]
        set_stored(image, after)


def _looked_up(image: Image, curve: Curve, slope: float, intercept: float) -> FloatArray:
    before = stored_values(image)
    first, last = int(before.min()), int(before.max())
    values = np.arange(first, last + 1, dtype=np.float64) * slope + intercept
    table = np.rint((curve(values.astype(np.float32)) - np.float32(intercept)) / np.float32(slope))
    low, high = stored_range(image.dataset)
    places = np.subtract(before, first, dtype=np.intp)
    outside = (table < low) | (table > high)
    if outside.any():
        image.clipped += int(np.count_nonzero(outside[places]))
    return np.asarray(np.clip(table, low, high).astype(before.dtype).take(places))
