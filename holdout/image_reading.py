"""Foreign image files (JPEG, PNG) to pixels that DICOM can carry.

Runs in a child process with limits: image files are foreign bytes.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from holdout.dicom_writer import JpegPixels, NativePixels
from holdout.jpeg import JpegError, JpegHeader, read_header

MAXIMUM_PIXELS = 100_000_000
MAXIMUM_SIDE = 65_535
"""Rows and Columns have VR US."""

GREY_TOLERANCE = 4
"""Largest difference between the channels of a grey image that lossy colour coding left behind."""


class ImageDefect(ValueError):  # noqa: N818 - a finding about a file that becomes a row, not a program error
    """The image cannot become DICOM; the message is the reason given to the operator."""


def read_image(content: bytes, *, colour: bool) -> NativePixels | JpegPixels:
    """Read one image; ``colour`` tells whether the DICOM object may hold colour (VL) or not (CR, DX).

    Baseline 8-bit JPEG stays as it is; anything else is decoded.

    Raises:
        ImageDefect: not a PNG or JPEG image, damaged, too large, or colour where none can be.
    """
    if content[:2] == b"\xff\xd8":
        try:
            header = read_header(content)
        except JpegError as exc:
            raise ImageDefect(str(exc)) from exc
        array = _decode(content, "JPEG")
        if header.baseline and (header.components == 1 or colour):
            return JpegPixels(
                stream=content, rows=header.rows, columns=header.columns, photometric=_photometric(header)
            )
        return _native(array, colour=colour, lossy=True)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return _native(_decode(content, "PNG"), colour=colour, lossy=False)
    raise ImageDefect("empty file" if not content else "neither a JPEG nor a PNG image")


def _photometric(header: JpegHeader) -> Literal["MONOCHROME2", "YBR_FULL_422", "RGB"]:
    # PS3.5 8.2.1; an Adobe segment with transform 0 says that no colour transform was applied.
    if header.components == 1:
        return "MONOCHROME2"
    if header.adobe_transform == 0:
        return "RGB"
    return "YBR_FULL_422"


def _decode(content: bytes, expected: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    try:
        with Image.open(io.BytesIO(content), formats=(expected,)) as opened:
            image: Image.Image = opened
            if image.width * image.height > MAXIMUM_PIXELS or max(image.size) > MAXIMUM_SIDE:
                raise ImageDefect(
                    f"{image.width} x {image.height} pixels is more than DICOM or the limits allow"
                )
            if getattr(opened, "n_frames", 1) != 1:
                raise ImageDefect("has several frames; an image table names one image a row")
            if image.mode == "1":
                image = image.convert("L")
            elif image.mode in ("P", "CMYK", "YCbCr"):
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            if image.mode not in ("L", "LA", "RGB", "RGBA", "I;16", "I"):
                raise ImageDefect(f"pixels of mode {image.mode} are not supported")
            array = np.asarray(image)
    except ImageDefect:
        raise
    except Image.DecompressionBombError as exc:
        raise ImageDefect("declares more pixels than the limits allow") from exc
    except (OSError, SyntaxError, ValueError, EOFError) as exc:
        raise ImageDefect(f"damaged {expected} image") from exc
    if array.dtype == np.int32:
        if array.min() < 0 or array.max() > 65_535:
            raise ImageDefect("pixel values do not fit 16 bits")
        return array.astype(np.uint16)
    return array


def _native(array: NDArray[np.uint8] | NDArray[np.uint16], *, colour: bool, lossy: bool) -> NativePixels:
    if array.ndim == 3 and array.shape[2] in (2, 4):
        if int(array[..., -1].min()) != 255:
            raise ImageDefect("is partly transparent: what stands behind it is not known")
        array = array[..., :-1]
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 3 and not colour:
        spread = array.max(axis=2).astype(np.int16) - array.min(axis=2)
        if int(spread.max()) > (GREY_TOLERANCE if lossy else 0):
            raise ImageDefect("is a colour image; CR and DX hold grayscale only")
        array = array[..., 1] if lossy else array[..., 0]
    bits = array.dtype.itemsize * 8
    if bits != 8 and colour:
        raise ImageDefect("has more than 8 bits a sample; VL Photographic holds 8")
    return NativePixels(array=array, bits_stored=bits, lossy_history=lossy)
