"""The same modality values stored otherwise: sign, bits, slope and intercept (PS3.3 C.7.6.3.1, C.11.1)."""

from __future__ import annotations

import numpy as np
from pydicom import uid as uids

from sandbox.stress.case import Image, set_stored, stored_range, stored_values
from sandbox.stress.errors import NotApplicableError

RESCALABLE = frozenset(
    str(found)
    for found in (
        uids.CTImageStorage,
        uids.MRImageStorage,
        uids.ComputedRadiographyImageStorage,
        uids.SecondaryCaptureImageStorage,
    )
)
"""Classes that leave sign, bits, slope and intercept open; the others fix some of them (PS3.3 C.8)."""
_SIGNED_LIKE_PIXELS = ("PixelPaddingValue", "PixelPaddingRangeLimit")


def restored(image: Image, *, factor: int = 1, offset: int = 0, signed: bool, bits: int) -> None:
    """Store ``factor`` x old + ``offset`` in ``bits`` bits; slope and intercept change so that units stay.

    Raises:
        NotApplicableError: colour, values that do not fit, or units that do not come from slope and intercept.
    """
    stored = stored_values(image)
    dataset = image.dataset
    if image.colour:
        raise NotApplicableError("it is for images with one sample a pixel")
    if dataset.get("ModalityLUTSequence") or dataset.get("PerFrameFunctionalGroupsSequence"):
        raise NotApplicableError("the units of this image do not come from one slope and intercept")
    same = signed == bool(dataset.get("PixelRepresentation")) and factor == 1 and offset == 0
    if str(dataset.get("SOPClassUID")) not in RESCALABLE and not (
        same and bits <= int(dataset.BitsAllocated)
    ):
        raise NotApplicableError("this class of object fixes sign, bits or rescale")
    moved = stored.astype(np.int64) * factor + offset
    allocated = 8 if bits <= 8 else 16
    paddings = {keyword: dataset.get(keyword) for keyword in _SIGNED_LIKE_PIXELS}
    dataset.PixelRepresentation = int(signed)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    low, high = stored_range(dataset)
    if moved.min() < low or moved.max() > high:
        raise NotApplicableError("the values of this image do not fit in the other representation")
    had_rescale = "RescaleSlope" in dataset
    slope, intercept = (
        float(dataset.get("RescaleSlope") or 1) or 1.0,
        float(dataset.get("RescaleIntercept") or 0),
    )
    if factor != 1 or offset != 0:
        dataset.RescaleSlope = f"{slope / factor:.10g}"[:16]
        dataset.RescaleIntercept = f"{intercept - slope * offset / factor:.10g}"[:16]
        if not had_rescale:
            dataset.RescaleType = "US"
    for keyword, value in paddings.items():
        if value is None or isinstance(value, bytes):
            dataset.pop(keyword, None)
            continue
        place = int(value) * factor + offset
        del dataset[keyword]
        if low <= place <= high:
            dataset.add_new(keyword, "SS" if signed else "US", place)
    kind = {(8, False): np.uint8, (8, True): np.int8, (16, False): np.uint16, (16, True): np.int16}
    set_stored(image, moved.astype(kind[allocated, signed]))


def unsigned(image: Image) -> None:
    """Store signed values as unsigned ones, half the range higher; unsigned ones stay."""
    if int(image.dataset.get("PixelRepresentation") or 0) and not image.colour:
        stored_values(image)
        bits = int(image.dataset.BitsStored)
        restored(image, offset=1 << (bits - 1), signed=False, bits=bits)
