"""Volumes in NIfTI and MetaImage files as masks on the grid of their images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.image_grid import Floats, ImageGrid
from holdout.image_reading import ImageDefect
from holdout.metaimage_reading import read_metaimage
from holdout.placed_mask import FoundMask, PlacedArray, put_on_grid
from holdout.reference_forms import VolumeForm
from holdout.reference_nifti import MAXIMUM_BYTES, read_nifti


def volume_mask(content: bytes, grid: ImageGrid, form: VolumeForm) -> FoundMask:
    """The chosen elements on the images.

    Raises:
        ImageDefect: it is no mask, or does not fit the images.
    """
    values, affine = _placed(content, form)
    if form.threshold is not None:
        fractions = np.nan_to_num(np.asarray(values, dtype=np.float32))
        placed = PlacedArray(values=fractions, affine=affine, whole=True)
        return put_on_grid(placed, grid, form.on_mismatch, threshold=form.threshold)
    if form.value is not None:
        inside = values == form.value
    else:
        inside = values != 0
        if inside.any() and np.ptp(values[inside]) != 0:
            raise ImageDefect("has more than two values: declare the value or the threshold that is meant")
    return put_on_grid(PlacedArray(values=inside, affine=affine, whole=True), grid, form.on_mismatch)


def _placed(content: bytes, form: VolumeForm) -> tuple[npt.NDArray[Any], Floats]:
    if form.form == "nifti":
        return read_nifti(content)
    image = read_metaimage(content, MAXIMUM_BYTES)
    if image.dimensions != 3:
        raise ImageDefect("does not have three axes")
    return image.values, image.affine
