"""A mask that a container left as a file, put on the grid of the case that it was asked about.

NIfTI, MetaImage and DICOM Segmentation objects say where they lie, and are held against the images' places; a PNG, and
a MetaImage about images without a place, must have the images' size and is taken element by element. What is not 0 is
inside, or what equals the declared value; a file with several values and none declared would have to be guessed at.

A container wrote these bytes: they are parsed in the child processes of :mod:`holdout.case_reader`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from holdout.dicom_writer import NativePixels
from holdout.image_grid import Floats, ImageGrid
from holdout.image_reading import ImageDefect, read_image
from holdout.mask_runs import Mask, encode
from holdout.metaimage_reading import read_metaimage
from holdout.placed_mask import PlacedArray, put_on_grid
from holdout.reference_forms import Segment, SegmentationForm

Problem = Literal["", "unreadable", "unfit", "too_many_runs"]
_ROUNDING = 1e-6
_HEADER = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredMask:
    """Numbers of the mask's run lengths, or why there are none: ``problem`` for all, ``detail`` for the operator.

    ``unreadable``: it is no mask in one of these forms. ``unfit``: it is not on the images' grid, or too large.
    """

    numbers: tuple[int, ...] = ()
    problem: Problem = ""
    detail: str = ""


def read_answered_mask(
    content: bytes, grid: ImageGrid, *, value: int | None, resample: bool, runs: int, most: int
) -> AnsweredMask:
    """Read a mask of at most ``runs`` run lengths, from a file whose elements take at most ``most`` bytes."""
    try:
        found = _found(content, value, most)
    except ImageDefect as defect:
        return AnsweredMask(problem="unreadable", detail=str(defect))
    try:
        mask = _on_grid(found, content, grid, value=value, resample=resample)
    except ImageDefect as defect:
        return AnsweredMask(problem="unfit", detail=str(defect))
    # Counted first: the runs of noise would be a list as long as the image.
    flat = mask.reshape(-1)
    if int(np.count_nonzero(flat[1:] != flat[:-1])) + 1 + int(flat[0]) > runs:
        return AnsweredMask(problem="too_many_runs", detail="the mask has more runs than the protocol keeps")
    return AnsweredMask(numbers=encode(mask).numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Elements that are inside, with the axes x, y, z. ``affine`` takes indices to LPS mm; None: a file without places.

    ``by_index``: the file says what a file about images without a place says.
    """

    inside: Mask
    affine: Floats | None
    by_index: bool


def _found(content: bytes, value: int | None, most: int) -> _Found | None:
    """What the file holds; None for a DICOM object, whose frames are read where they lie.

    Raises:
        ImageDefect: it is no mask in a form that is read.
    """
    if content[128:132] == b"DICM":
        return None
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        pixels = read_image(content, colour=False)
        assert isinstance(pixels, NativePixels), "a PNG is never kept as it is"
        return _Found(inside=_inside(pixels.array.T[:, :, np.newaxis], value), affine=None, by_index=True)
    if content[:5] in (b"Objec", b"NDims"):
        image = read_metaimage(content, most)
        straight = np.abs(image.affine - np.diag(np.diag(image.affine))).max() < _ROUNDING
        return _Found(
            inside=_inside(image.values, value),
            affine=image.affine if image.dimensions == 3 else None,
            by_index=bool(straight and np.diag(image.affine).min() > 0),
        )
    from holdout.reference_nifti import read_nifti

    values, affine = read_nifti(_plain(content, most))
    return _Found(inside=_inside(values, value), affine=affine, by_index=False)


def _plain(content: bytes, most: int) -> bytes:
    """A file that may be gzipped, inflated to no more than ``most`` bytes and a header."""
    if content[:2] != b"\x1f\x8b":
        return content
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(content, most + _HEADER)
    except zlib.error as error:
        raise ImageDefect("is a damaged gzip file") from error
    if not inflater.eof:
        raise ImageDefect("is cut off, or larger than it may be")
    return plain


def _inside(values: npt.NDArray[Any], value: int | None) -> Mask:
    if value is not None:
        return np.asarray(values == value)
    inside: Mask = values != 0
    if inside.any() and np.ptp(values[inside]) != 0:
        raise ImageDefect("has more than two values, and none was declared")
    return inside


def _on_grid(
    found: _Found | None, content: bytes, grid: ImageGrid, *, value: int | None, resample: bool
) -> Mask:
    """The mask in the shape of the grid.

    Raises:
        ImageDefect: it does not lie on the grid.
    """
    mismatch: Literal["refuse", "resample"] = "resample" if resample else "refuse"
    if found is None:
        from holdout.object_reading import opened
        from holdout.reference_segmentation import segmentation_mask

        segment = None if value is None else Segment(number=value)
        form = SegmentationForm(form="segmentation", segment=segment, on_mismatch=mismatch)
        segmented = segmentation_mask(opened(content), grid, form)
        if segmented is None:
            raise ImageDefect("has no such segment")
        mask = segmented.mask
    elif found.affine is not None and grid.placed:
        placed = PlacedArray(values=found.inside, affine=found.affine, whole=True)
        mask = put_on_grid(placed, grid, mismatch).mask
    else:
        if not found.by_index:
            raise ImageDefect("says where it lies, but its images do not")
        mask = found.inside.T
        if mask.shape != (grid.slices, grid.rows, grid.columns):
            raise ImageDefect("has another size than its images, and no place in the patient")
    return mask[0] if grid.slices == 1 else mask
