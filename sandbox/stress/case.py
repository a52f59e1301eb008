"""A case in hand: its DICOM files as datasets, their pixels decoded when somebody asks."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.pixels.processing import apply_color_lut

from holdout.decoding import decoded_array
from holdout.elements import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    JPIP_DEFLATED,
    PRIVATE_GE,
    OddDataSetError,
    has_prefix,
    walk_meta,
)
from holdout.errors import DecodingError
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.undecoded import has, number_of, set_number, set_text, text_of

MULTI_FRAME_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
LARGEST_DECODED = 512 << 20
"""Bytes of decoded pixels that one file may have."""

IntegerArray = NDArray[Any]


@dataclass(slots=True)
class Image:
    """One file: its dataset, the file name that it gets, and its decoded stored values once they were needed.

    ``stored`` has the shape (frames, rows, columns) or, in colour, (frames, rows, columns, 3) as RGB.
    ``finish`` is applied to the bytes of the finished file (a truncation, say).
    """

    dataset: Dataset
    name: str
    syntax: str
    stored: IntegerArray | None = None
    changed: bool = False
    encode_as: str = ""
    finish: Callable[[bytes], bytes] | None = None
    clipped: int = 0

    @property
    def modality(self) -> str:
        """Modality (0008,0060); '' when absent."""
        return text_of(self.dataset, "Modality")

    @property
    def colour(self) -> bool:
        """Whether pixels are shown in colour."""
        if self.stored is not None:
            return self.stored.ndim == 4
        return number_of(self.dataset, "SamplesPerPixel", 1) == 3 or self.photometric == "PALETTE COLOR"

    @property
    def photometric(self) -> str:
        """Photometric Interpretation (0028,0004)."""
        return text_of(self.dataset, "PhotometricInterpretation")


@dataclass(slots=True)
class OpenCase:
    """The files of a case, in their order, and those of the donor where a perturbation needs one."""

    images: list[Image]
    donor: list[Image] = field(default_factory=list)


def read_image(content: bytes, name: str) -> Image:
    """Parse one DICOM file.

    Raises:
        NotApplicableError: it is no image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset, syntax = _read_plainly(content) or _read_as_it_may_be(content)
    if not (has(dataset, "PixelData") and has(dataset, "Rows")):
        raise NotApplicableError("a file of the case has no pixel data")
    return Image(dataset=dataset, name=name, syntax=syntax)


def _read_plainly(content: bytes) -> tuple[Dataset, str] | None:
    """Parse what lies behind a plain file meta; half the time of pydicom's own reading of a file."""
    try:
        meta, start = walk_meta(content) if has_prefix(content) else ({}, 0)
    except OddDataSetError:
        return None
    syntax = meta.get(0x00020010, "")
    if not syntax or syntax in (EXPLICIT_BIG, DEFLATED, JPIP_DEFLATED, PRIVATE_GE):
        return None
    stream = io.BytesIO(content)
    stream.seek(start)
    return read_dataset(stream, syntax == IMPLICIT_LITTLE, is_little_endian=True), syntax


def _read_as_it_may_be(content: bytes) -> tuple[Dataset, str]:
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", "") or "")
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE if little else EXPLICIT_BIG
    return dataset, syntax


def stored_values(image: Image) -> IntegerArray:
    """Decode the stored values of an image once; colour becomes RGB, palettes are applied.

    Raises:
        NotApplicableError: pixels of a kind that cannot be changed and written back.
    """
    if image.stored is not None:
        return image.stored
    dataset = image.dataset
    allocated = number_of(dataset, "BitsAllocated")
    if allocated not in (8, 16):
        raise NotApplicableError("only pixels of 8 or 16 bits can be changed")
    frames = int(text_of(dataset, "NumberOfFrames") or 1)
    samples = number_of(dataset, "SamplesPerPixel", 1)
    size = number_of(dataset, "Rows") * number_of(dataset, "Columns")
    if frames * size * samples * allocated // 8 > LARGEST_DECODED:
        raise NotApplicableError("the pixels of a file are too large")
    array = _plain(image, frames, samples, allocated)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if array is None:
                array, _ = decoded_array(dataset, image.syntax)
            if image.photometric == "PALETTE COLOR":
                array = apply_color_lut(array, dataset)[..., :3]
                if array.dtype != np.uint8:
                    array = (array >> 8).astype(np.uint8)
    except DecodingError as exc:
        raise NotApplicableError("the pixels of a file cannot be decoded") from exc
    except (ValueError, NotImplementedError, RuntimeError, AttributeError, KeyError) as exc:
        raise NotApplicableError("the pixels of a file are not of a form that can be decoded") from exc
    colour = (
        array.ndim >= 3 and array.shape[-1] == 3 and (samples == 3 or image.photometric == "PALETTE COLOR")
    )
    frame_shape = array.shape[-3:] if colour else array.shape[-2:]
    array = array.reshape((-1, *frame_shape))
    if not colour:
        array = _within_bits_stored(dataset, array)
    image.stored = array
    return array


def _plain(image: Image, frames: int, samples: int, allocated: int) -> IntegerArray | None:
    """Pixels that lie in the file as an array lies in memory; None where a decoder is needed."""
    dataset = image.dataset
    content = dataset.get_item("PixelData").value
    shape: tuple[int, ...] = (frames, number_of(dataset, "Rows"), number_of(dataset, "Columns"))
    if samples == 3 and image.photometric == "RGB" and not number_of(dataset, "PlanarConfiguration"):
        shape = (*shape, 3)
    elif samples != 1 or image.photometric not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"):
        return None
    size = math.prod(shape) * allocated // 8
    if image.syntax not in (IMPLICIT_LITTLE, EXPLICIT_LITTLE) or len(content) not in (size, size + 1):
        return None
    kind = "i" if number_of(dataset, "PixelRepresentation") else "u"
    return np.frombuffer(content, f"<{kind}{allocated // 8}", math.prod(shape)).reshape(shape)


def _within_bits_stored(dataset: Dataset, array: IntegerArray) -> IntegerArray:
    """Values that BitsStored can hold; overlays in unused bits are cut off, other surplus widens BitsStored."""
    allocated = number_of(dataset, "BitsAllocated")
    stored = number_of(dataset, "BitsStored", allocated)
    if stored >= allocated or number_of(dataset, "HighBit", stored - 1) != stored - 1:
        return array
    low, high = stored_range(dataset)
    if array.min() >= low and array.max() <= high:
        return array
    if any(
        (group, 0x0102) in dataset and (group, 0x3000) not in dataset for group in MULTI_FRAME_OVERLAY_GROUPS
    ):
        shift = allocated - stored
        # The sign is the highest stored bit: shift up and down again to extend it.
        return (array << shift) >> shift if array.dtype.kind == "i" else array & high
    dataset.BitsStored, dataset.HighBit = allocated, allocated - 1
    return array


def stored_range(dataset: Dataset) -> tuple[int, int]:
    """Smallest and largest value that Bits Stored and Pixel Representation allow."""
    bits = number_of(dataset, "BitsStored") or number_of(dataset, "BitsAllocated")
    if number_of(dataset, "PixelRepresentation"):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def set_stored(image: Image, array: IntegerArray) -> None:
    """Replace the stored values; Rows, Columns and Number of Frames follow the array's shape."""
    dataset = image.dataset
    image.stored = array
    image.changed = True
    set_number(dataset, "Rows", array.shape[1])
    set_number(dataset, "Columns", array.shape[2])
    if array.shape[0] > 1 or has(dataset, "NumberOfFrames"):
        set_text(dataset, "NumberOfFrames", str(array.shape[0]))
