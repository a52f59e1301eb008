"""Move, turn and scale what an image shows, and find what of it is body."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from sandbox.stress.radiograph import PROJECTION
from sandbox.stress.volume import Volume

FloatArray = NDArray[Any]
BoolArray = NDArray[np.bool_]


def background(volume: Volume) -> float:
    """Grey level around the body: air in CT, black in radiographs, otherwise the median of the image's border."""
    if volume.modality == "CT" and not volume.colour:
        return max(-1000.0, volume.limits[0])
    if volume.modality in PROJECTION and not volume.colour:
        # Outside the detector there is nothing: shown black.
        low, high = volume.values.min(), volume.values.max()
        return float(high if volume.inverted else low)
    values = volume.values
    edges = [values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]]
    return float(np.median(np.concatenate([edge.ravel() for edge in edges])))


def transformed(
    values: FloatArray, matrix: NDArray[Any], offset: tuple[float, float], fill: float
) -> FloatArray:
    """Resample every frame linearly: output pixel (row, column) shows input ``matrix @ pixel + offset``."""
    # Pillow counts from the corner of the first pixel, (column, row).
    (down_down, down_right), (right_down, right_right) = matrix
    coefficients = (
        *(right_right, right_down, offset[1] + 0.5 - 0.5 * (right_right + right_down)),
        *(down_right, down_down, offset[0] + 0.5 - 0.5 * (down_right + down_down)),
    )
    out = np.empty_like(values)
    planes = range(values.shape[3]) if values.ndim == 4 else (None,)
    for index in range(len(values)):
        for plane in planes:
            place = (index, ..., plane) if plane is not None else (index,)
            frame = PillowImage.fromarray(np.ascontiguousarray(values[place], np.float32))
            out[place] = frame.transform(
                frame.size,
                PillowImage.Transform.AFFINE,
                coefficients,
                PillowImage.Resampling.BILINEAR,
                fillcolor=fill,
            )
    return out


def about_centre(values: FloatArray, *, degrees: float = 0.0, scale: float = 1.0, fill: float) -> FloatArray:
    """Turn (anticlockwise as displayed) and scale what every frame shows about the frame's centre."""
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    centre = (np.array(values.shape[1:3]) - 1) / 2
    offset = centre - matrix @ centre
    return transformed(values, matrix, (float(offset[0]), float(offset[1])), fill)


def shifted(values: FloatArray, rows: float, columns: float, fill: float) -> FloatArray:
    """Move what every frame shows by pixels down and to the right."""
    down, right = round(rows), round(columns)
    out = np.full_like(values, fill)
    height, width = values.shape[1:3]
    if abs(down) < height and abs(right) < width:
        out[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = values[
            :, max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
        ]
    return out


def foreground(volume: Volume) -> BoolArray:
    """(frames, rows, columns): what is body rather than air; CT above -300 HU, else above 10% of the range."""
    values = volume.values.mean(axis=3) if volume.colour else volume.values
    if volume.modality == "CT":
        return values > -300
    low, high = volume.content_range()
    return values > low + 0.1 * (high - low)


def centred_grid(shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Coordinates of pixels from -1 to 1 down the rows and along the columns."""
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    return rows, columns
