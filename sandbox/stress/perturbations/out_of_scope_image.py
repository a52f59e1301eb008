"""Images that are not of the kind that the algorithm is for: it must refuse them or flag them."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from sandbox.stress.case import OpenCase
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.geometry import about_centre, background
from sandbox.stress.noise import normal
from sandbox.stress.perturbation import Severity
from sandbox.stress.phantoms import contrast_detail, hand_opacity, legs_units
from sandbox.stress.radiograph import PROJECTION
from sandbox.stress.scope import out_of_scope
from sandbox.stress.volume import FloatArray, Volume, put_back, volumes

_CLAIM = (
    "Hendrycks and Gimpel, A baseline for detecting misclassified and out-of-distribution examples in neural networks, "
    "ICLR 2017"
)

REGIONS = {"HAND": ("85562004", "Hand"), "THIGH": ("68367000", "Thigh")}
"""SNOMED CT codes of body parts (PS3.16 annex L)."""


def _grey_range(volume: Volume) -> tuple[float, float]:
    try:
        return volume.content_range()
    except NotApplicableError:
        return volume.limits


def _fill(volume: Volume, picture: FloatArray) -> None:
    """Show one picture in every frame."""
    frames = picture[None, :, :, None] if volume.colour else picture[None]
    put_back(volume, np.broadcast_to(frames, volume.values.shape).astype(np.float32), keep_padding=False)


def constant(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Give every pixel the value at ``share`` percent of the range in use."""
    for volume in volumes(case):
        low, high = _grey_range(volume)
        _fill(volume, np.full(volume.shape, low + float(share) / 100 * (high - low), np.float32))


def noise(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Give every pixel white noise about the middle, its deviation ``share`` percent of the range in use."""
    for volume in volumes(case):
        low, high = _grey_range(volume)
        field = normal(numbers, volume.values.shape)
        put_back(volume, (low + high) / 2 + float(share) / 100 * (high - low) * field, keep_padding=False)


def phantom(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Show a contrast-detail test object."""
    for volume in volumes(case):
        low, high = _grey_range(volume)
        picture = contrast_detail(volume.shape)
        if volume.modality == "CT":
            low, high = -1000.0, 900.0
        _fill(volume, low + (1 - picture if volume.inverted else picture) * (high - low))


def other_part(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Show a hand in a radiograph, thighs in CT; the header says so."""
    for volume in volumes(case):
        low, high = _grey_range(volume)
        if volume.modality == "CT":
            _fill(volume, legs_units(volume.shape))
        elif volume.modality in PROJECTION:
            picture = hand_opacity(volume.shape)
            _fill(volume, low + (1 - picture if volume.inverted else picture) * (high - low))
        else:
            raise NotApplicableError("it is for radiographs and CT")
        for image in volume.images:
            dataset = image.dataset
            dataset.BodyPartExamined = "THIGH" if volume.modality == "CT" else "HAND"
            if "AnatomicRegionSequence" in dataset:
                dataset.AnatomicRegionSequence = [_code(*REGIONS[dataset.BodyPartExamined])]
            if "ImageLaterality" not in dataset:
                dataset.Laterality = "" if volume.modality == "CT" else "L"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def shrink(case: OpenCase, scale: Severity, numbers: np.random.Generator) -> None:
    """Show a body of ``scale`` percent of the size at the same pixel spacing: a child's."""
    for volume in volumes(case):
        put_back(
            volume,
            about_centre(volume.values, scale=float(scale) / 100, fill=background(volume)),
            keep_padding=False,
        )


def turn_over(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Turn the image by 180 degrees; the header does not say so."""
    for volume in volumes(case):
        put_back(volume, volume.values[:, ::-1, ::-1].copy(), keep_padding=False)


PERTURBATIONS = (
    out_of_scope(
        "constant",
        (10.0, 30.0, 50.0, 70.0, 90.0),
        "An image of one grey level.",
        _CLAIM,
        constant,
        unit="% of the range",
    ),
    out_of_scope(
        "noise",
        (2.0, 5.0, 10.0, 20.0, 40.0),
        "White noise and nothing else.",
        _CLAIM,
        noise,
        unit="% of the range",
    ),
    out_of_scope(
        "phantom", ("phantom",), "A contrast-detail test object, as in quality control.", _CLAIM, phantom
    ),
    out_of_scope(
        "other_body_part",
        ("other part",),
        "Another part of the body: a hand in a radiograph, thighs in CT.",
        _CLAIM,
        other_part,
        modalities=PROJECTION | {"CT"},
    ),
    out_of_scope(
        "paediatric_scale",
        (85.0, 75.0, 65.0, 50.0, 35.0),
        "A body of a child's size at the same pixel spacing.",
        "Boone et al., AAPM report 204, size-specific dose estimates, 2011 (lateral widths of children)",
        shrink,
        unit="% of the size",
        modalities=PROJECTION | {"CT", "MR"},
    ),
    out_of_scope(
        "upside_down",
        ("180",),
        "The image stands on its head; the header does not say so.",
        "PS3.3 C.7.6.1.1.1 Patient Orientation",
        turn_over,
        unit="degrees",
    ),
)
