"""Lossy compression ladders, as archives and teleradiology links apply them."""

from __future__ import annotations

import numpy as np
from pydicom import uid as uids
from pydicom.dataset import Dataset

from sandbox.stress.case import Image, OpenCase, stored_range, stored_values
from sandbox.stress.encoders import encode, native
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Change, Perturbation, Severity
from sandbox.stress.representation import RESCALABLE, restored, unsigned

SIXTEEN_BITS = frozenset(
    str(found)
    for found in (
        uids.CTImageStorage,
        uids.EnhancedCTImageStorage,
        uids.MRImageStorage,
        uids.EnhancedMRImageStorage,
        uids.PositronEmissionTomographyImageStorage,
    )
)
"""Classes whose Bits Allocated is 16 by definition (PS3.3 C.8.2.1, C.8.3.1, C.8.9.4)."""


def _compressed(syntax: str) -> Change:
    def change(case: OpenCase, quality: Severity, numbers: np.random.Generator) -> None:
        for image in case.images:
            if syntax == str(uids.JPEGBaseline8Bit) and not image.colour:
                _to_eight_bits(image)
            if syntax == str(uids.JPEGLSNearLossless):
                # CharLS takes the sign bit for the highest grey level: near zero its error would be half the range.
                unsigned(image)
            if syntax == str(uids.JPEGExtended12Bit):
                _to_twelve_bits(image)
            stored_values(image)
            encode(image, syntax, quality=float(quality))
            image.encode_as = syntax

    return change


def _to_eight_bits(image: Image) -> None:
    """Map the stored values in use linearly to 8 bits; the rescale and the window follow, so units stay."""
    stored = stored_values(image)
    if stored.dtype == np.uint8:
        return
    dataset = image.dataset
    if str(dataset.get("SOPClassUID")) in SIXTEEN_BITS:
        raise NotApplicableError("this class of object must have 16 bits allocated")
    low, high = int(stored.min()), int(stored.max())
    step = max((high - low) / 255, 1 / 255)
    values = np.rint((stored.astype(np.float32) - low) / step).astype(np.uint8)
    has_rescale = "RescaleSlope" in dataset
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    dataset.PixelRepresentation = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        dataset.pop(keyword, None)
    if str(dataset.get("SOPClassUID")) not in RESCALABLE:
        _move_window(dataset, low, step)
    else:
        dataset.RescaleSlope = f"{slope * step:.9g}"
        dataset.RescaleIntercept = f"{intercept + slope * low:.9g}"
        if not has_rescale:
            dataset.RescaleType = "US"
    assert stored_range(dataset) == (0, 255)
    native(image, values)


def _to_twelve_bits(image: Image) -> None:
    """Let the stored values start at 0, or higher; the intercept follows, so units stay."""
    stored = stored_values(image)
    if stored.dtype.itemsize != 2 or image.colour:
        raise NotApplicableError("it is for grey pixels of more than 8 bits")
    restored(image, offset=max(-int(stored.min()), 0), signed=False, bits=12)


def _move_window(dataset: Dataset, low: int, step: float) -> None:
    """Let the window follow the new stored values, which in this class have no rescale to carry units."""
    dataset.pop("VOILUTSequence", None)
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        dataset.WindowCenter, dataset.WindowWidth = "128", "256"
        return
    for keyword, shift in (("WindowCenter", low), ("WindowWidth", 0)):
        given = dataset.get(keyword)
        values = [given] if isinstance(given, float | int | str) else list(given)
        dataset[keyword].value = [f"{max((float(value) - shift) / step, 1):.8g}" for value in values]


PERTURBATIONS = (
    Perturbation(
        name="lossy_jpeg",
        family="DICOM lossy",
        expectation="may change within a margin",
        kind="encoding",
        unit="JPEG quality",
        severities=(90.0, 75.0, 50.0, 30.0, 10.0),
        sentence="JPEG baseline; more than 8 bits are first mapped to 8, as such links do.",
        source="PS3.5 A.4.1; ISO/IEC 10918-1 (quality as in libjpeg)",
        function=_compressed(str(uids.JPEGBaseline8Bit)),
        in_place=True,
    ),
    Perturbation(
        name="lossy_jpeg_12_bit",
        family="DICOM lossy",
        expectation="may change within a margin",
        kind="encoding",
        unit="JPEG quality",
        severities=(90.0, 75.0, 50.0, 30.0, 10.0),
        sentence="JPEG Extended with 12 bits, as older archives hold CT, MR and radiographs.",
        source="PS3.5 A.4.1, process 4; ISO/IEC 10918-1 (quality as in libjpeg)",
        function=_compressed(str(uids.JPEGExtended12Bit)),
        in_place=True,
    ),
    Perturbation(
        name="lossy_jpeg_2000",
        family="DICOM lossy",
        expectation="may change within a margin",
        kind="encoding",
        unit=": 1",
        severities=(5.0, 10.0, 20.0, 40.0, 80.0),
        sentence="JPEG 2000 at a compression ratio.",
        source="PS3.5 A.4.4; ratios: European Society of Radiology, Usability of irreversible image compression, 2011",
        function=_compressed(str(uids.JPEG2000)),
        in_place=True,
    ),
    Perturbation(
        name="lossy_jpeg_ls",
        family="DICOM lossy",
        expectation="may change within a margin",
        kind="encoding",
        unit="grey levels at most",
        severities=(1.0, 2.0, 4.0, 8.0, 16.0),
        sentence="JPEG-LS near-lossless: no pixel is off by more than so many stored grey levels.",
        source="PS3.5 A.4.3; ISO/IEC 14495-1",
        function=_compressed(str(uids.JPEGLSNearLossless)),
        in_place=True,
    ),
)
