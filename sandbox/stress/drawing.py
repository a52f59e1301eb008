"""Draw text and simple objects as masks from 0 to 1."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Mask = NDArray[Any]


@functools.cache
def text_mask(text: str, height: int) -> Mask:
    """Text as a mask of ``height`` rows, cut to the letters."""
    size = max(height * 2, 12)
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = font.getbbox(text)
    picture = PillowImage.new("L", (max(int(right - left), 1), max(int(bottom - top), 1)))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font)
    width = max(round(picture.width * height / picture.height), 1)
    mask: Mask = np.asarray(picture.resize((width, height), PillowImage.Resampling.LANCZOS), np.float32) / 255
    return mask


def placed(mask: Mask, shape: tuple[int, int], row: int, column: int) -> Mask:
    """A mask of the image's shape with ``mask`` at (row, column), cut where it leaves the image."""
    out: Mask = np.zeros(shape, np.float32)
    row, column = max(row, 0), max(column, 0)
    part = out[row : row + mask.shape[0], column : column + mask.shape[1]]
    part[:] = mask[: part.shape[0], : part.shape[1]]
    return out


def blended(values: Any, mask: Mask, level: float, *, colour: bool) -> Any:
    """Every frame with ``level`` where the mask is 1."""
    weight = mask[None, :, :, None] if colour else mask[None]
    return values * (1 - weight) + np.float32(level) * weight


def line_mask(shape: tuple[int, int], points: list[tuple[float, float]], width: float) -> Mask:
    """A polyline through (row, column) points, ``width`` pixels wide, with soft edges."""
    scale = 4
    picture = PillowImage.new("L", (shape[1] * scale, shape[0] * scale))
    path = [(column * scale, row * scale) for row, column in points]
    ImageDraw.Draw(picture).line(path, fill=255, width=max(round(width * scale), 1), joint="curve")
    small = picture.resize((shape[1], shape[0]), PillowImage.Resampling.BOX)
    mask: Mask = np.asarray(small, np.float32) / 255
    return mask
