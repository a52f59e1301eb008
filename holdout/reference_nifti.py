"""NIfTI files with their place in the patient (NIfTI-1 and NIfTI-2, plain or gzipped).

The affine of the file is in RAS millimetres; images are in LPS: the first two axes change their sign.
"""

from __future__ import annotations

import math
import warnings
import zlib
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import SpatialImage

from holdout.image_grid import Floats
from holdout.image_reading import ImageDefect
from holdout.mask_runs import ELEMENTS

MAXIMUM_BYTES = 2 << 30
_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nifti(content: bytes) -> tuple[npt.NDArray[np.generic], Floats]:
    """Values (three axes) of a NIfTI file, and the affine from their indices to LPS millimetres.

    Parses foreign bytes: to be called in a child process with limits. Values are scaled as the file says.

    Raises:
        ImageDefect: not such a file, damaged, too large, of more than three axes, or without a place in the patient.
    """
    plain = _inflated(content) if content[:2] == b"\x1f\x8b" else content
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = (
                nibabel.Nifti2Image
                if plain[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
                else nibabel.Nifti1Image
            )
            image: SpatialImage = kind.from_bytes(plain)
    except MemoryError:
        raise
    except Exception as error:
        # Broken files make nibabel raise almost anything.
        raise ImageDefect("not a NIfTI file that can be read") from error
    shape = image.shape
    if len(shape) < 2 or any(side != 1 for side in shape[3:]) or math.prod(shape) > ELEMENTS:
        raise ImageDefect("does not have three axes")
    header: Any = image.header
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        raise ImageDefect("does not say where it lies in the patient (sform and qform codes are 0)")
    try:
        values = np.asanyarray(image.dataobj).reshape((*shape[:3], 1)[:3])
    except MemoryError:
        raise
    except Exception as error:
        # As above.
        raise ImageDefect("is damaged: its values do not fill its axes") from error
    affine: Floats = _LPS_OF_RAS @ np.asarray(image.affine, dtype=np.float64)
    if values.dtype.kind not in "biuf" or not np.isfinite(affine).all():
        raise ImageDefect("does not hold numbers with a place")
    return values, affine


def _inflated(content: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(content, MAXIMUM_BYTES)
    except zlib.error as error:
        raise ImageDefect("is a damaged gzip file") from error
    if not inflater.eof:
        raise ImageDefect("is cut off, or larger than it may be")
    return plain
