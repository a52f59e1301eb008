"""The same image described otherwise, as the standard allows: nothing may change."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase, set_stored, stored_range, stored_values
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Change, Kind, Perturbation, Severity
from sandbox.stress.representation import restored

_OTHER = {"MONOCHROME1": "MONOCHROME2", "MONOCHROME2": "MONOCHROME1"}
_SHAPES = {"IDENTITY": "INVERSE", "INVERSE": "IDENTITY"}
_RADIOGRAPHS = frozenset({"CR", "DX", "MG", "IO", "PX", "RG"})
_PRIVATE_GROUP = 0x0099


def other_monochrome(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Exchange MONOCHROME1 and MONOCHROME2, and invert stored values, window and padding, so that it looks the same."""
    for image in case.images:
        dataset = image.dataset
        slope, intercept = (
            float(dataset.get("RescaleSlope") or 1),
            float(dataset.get("RescaleIntercept") or 0),
        )
        if image.modality not in _RADIOGRAPHS:
            raise NotApplicableError("other classes than radiographs may not be MONOCHROME1")
        if image.photometric not in _OTHER or slope != 1 or intercept != 0:
            raise NotApplicableError("it is for grey images whose stored values have no unit")
        if any(dataset.get(name) for name in ("ModalityLUTSequence", "VOILUTSequence")):
            raise NotApplicableError("the image has look-up tables")
        stored = stored_values(image)
        total = sum(stored_range(dataset))
        set_stored(image, (total - stored.astype(np.int64)).astype(stored.dtype))
        dataset.PhotometricInterpretation = _OTHER[image.photometric]
        if dataset.get("PresentationLUTShape") in _SHAPES:
            dataset.PresentationLUTShape = _SHAPES[dataset.PresentationLUTShape]
        if dataset.get("PixelIntensityRelationshipSign"):
            dataset.PixelIntensityRelationshipSign = -int(dataset.PixelIntensityRelationshipSign)
        if dataset.get("WindowCenter") is not None:
            centres = dataset.WindowCenter
            # The LINEAR function is centred half a level low (PS3.3 C.11.2.1.2.1).
            mirrored = total + (0 if dataset.get("VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID") else 1)
            many = not isinstance(centres, float | int | str)
            dataset.WindowCenter = (
                [f"{mirrored - float(value):.10g}" for value in centres]
                if many
                else f"{mirrored - float(centres):.10g}"
            )
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
            if isinstance(dataset.get(keyword), int):
                dataset[keyword].value = total - dataset[keyword].value


def refactor_rescale(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Store twice the value with half the slope."""
    for image in case.images:
        stored_values(image)
        restored(image, factor=2, signed=bool(image.dataset.get("PixelRepresentation")), bits=16)


def other_sign(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Store unsigned pixels as signed ones and the reverse; where values do not fit, the intercept moves."""
    for image in case.images:
        stored = stored_values(image)
        signed = bool(image.dataset.get("PixelRepresentation"))
        if image.colour:
            raise NotApplicableError("it is for images with one sample a pixel")
        fits = stored.min() >= 0 and stored.max() < 1 << 15
        offset = 0 if fits else (1 << 15) * (1 if signed else -1)
        restored(image, offset=offset, signed=not signed, bits=16)


def more_bits(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Declare 16 bits stored for the same values; the window in the header tells how to show them."""
    for image in case.images:
        stored_values(image)
        dataset = image.dataset
        if image.colour or int(dataset.BitsStored) == 16:
            raise NotApplicableError("16 bits are stored already, or it is a colour image")
        if dataset.get("WindowCenter") is None:
            raise NotApplicableError("without a window, Bits Stored decides how the image is shown")
        restored(image, signed=bool(dataset.get("PixelRepresentation")), bits=16)


def declare_padding(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Declare a Pixel Padding Value that no pixel has."""
    for image in case.images:
        if image.colour or "PixelPaddingValue" in image.dataset:
            raise NotApplicableError("a padding value is declared already, or it is a colour image")
        if "Manufacturer" not in image.dataset:
            # Pixel Padding Value is of the General Equipment module, which has this as type 2.
            image.dataset.Manufacturer = ""
        low, high = stored_range(image.dataset)
        stored = stored_values(image)
        free = [value for value in (low, high) if not np.any(stored == value)]
        if not free:
            raise NotApplicableError("both ends of the stored range are in use")
        image.dataset.add_new("PixelPaddingValue", "SS" if low < 0 else "US", free[0])


def strip_private(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Take every private element out."""
    before = sum(len(image.dataset) for image in case.images)
    for image in case.images:
        image.dataset.remove_private_tags()
    if sum(len(image.dataset) for image in case.images) == before:
        raise NotApplicableError("the case has no private elements")


def add_private(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Add a private block with a text, a number and a sequence."""
    for image in case.images:
        block = image.dataset.private_block(_PRIVATE_GROUP, "STRESS TEST 1", create=True)
        block.add_new(0x01, "LO", "private text")
        block.add_new(0x02, "DS", "1.5")
        block.add_new(0x03, "SQ", [])


def other_charset(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Write the header in UTF-8, with a description that needs it."""
    for image in case.images:
        image.dataset.SpecificCharacterSet = "ISO_IR 192"
        image.dataset.SeriesDescription = "Übersicht – 胸部 – грудь"


def _make(name: str, kind: Kind, sentence: str, source: str, function: Change) -> Perturbation:
    return Perturbation(
        name=name,
        family="DICOM equivalent",
        expectation="must not change",
        kind=kind,
        unit="",
        severities=("equivalent",),
        sentence=sentence,
        source=source,
        function=function,
        in_place=True,
    )


PERTURBATIONS = (
    _make(
        "other_monochrome",
        "encoding",
        "MONOCHROME1 for MONOCHROME2 and the reverse, with inverted values: it looks the same.",
        "PS3.3 C.7.6.3.1.2",
        other_monochrome,
    ),
    _make(
        "rescale_refactored",
        "encoding",
        "Twice the stored value with half the rescale slope.",
        "PS3.3 C.11.1 Modality LUT",
        refactor_rescale,
    ),
    _make(
        "other_sign",
        "encoding",
        "Signed pixels for unsigned ones and the reverse.",
        "PS3.3 C.7.6.3 Pixel Representation",
        other_sign,
    ),
    _make(
        "bits_stored_16",
        "encoding",
        "16 bits stored where fewer were, the values unchanged.",
        "PS3.5 8.1.1",
        more_bits,
    ),
    _make(
        "padding_declared",
        "encoding",
        "A Pixel Padding Value is declared that no pixel has.",
        "PS3.3 C.7.5.1.1.2",
        declare_padding,
    ),
    _make(
        "private_tags_stripped",
        "header",
        "Private elements are gone, as after many gateways.",
        "PS3.5 7.8; PS3.15 E.3.10",
        strip_private,
    ),
    _make("private_tags_added", "header", "Private elements of an unknown vendor.", "PS3.5 7.8", add_private),
    _make(
        "charset_utf8",
        "header",
        "The header is in UTF-8 with letters of three scripts.",
        "PS3.3 C.12.1.1.2; PS3.5 6.1",
        other_charset,
    ),
)
