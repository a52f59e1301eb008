"""Attributes left out one by one: all are optional in some object that archives hold."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from sandbox.stress.case import OpenCase
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Change, Perturbation, Severity

_GROUPS = (
    ("pixel_spacing", "Pixel Spacing", "PS3.3 10.7.1.1"),
    ("slice_thickness", "Slice Thickness and Spacing Between Slices", "PS3.3 C.7.6.2"),
    ("image_orientation", "Image Orientation (Patient)", "PS3.3 C.7.6.2.1.1"),
    ("image_position", "Image Position (Patient)", "PS3.3 C.7.6.2.1.1"),
    ("patient_orientation", "Patient Orientation", "PS3.3 C.7.6.1.1.1"),
    ("laterality", "Laterality", "PS3.3 C.7.3.1.1.1"),
    ("view_position", "View Position", "PS3.3 C.8.1.1"),
    ("body_part", "Body Part Examined", "PS3.3 C.7.3.1"),
    ("patient_age", "Patient's Age", "PS3.3 C.7.2.2"),
    ("patient_sex", "Patient's Sex", "PS3.3 C.7.1.1"),
    ("window", "Window Center and Window Width", "PS3.3 C.11.2"),
    ("manufacturer", "Manufacturer, model and software", "PS3.3 C.7.5.1"),
    ("acquisition", "Tube voltage, current, exposure and kernel", "PS3.3 C.8.2.1"),
    ("mr_timing", "Echo, repetition and inversion time, field strength", "PS3.3 C.8.3.1"),
)
_KEYWORDS: dict[str, tuple[str, ...]] = {
    "pixel_spacing": (
        *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"),
        "EstimatedRadiographicMagnificationFactor",
    ),
    "slice_thickness": ("SliceThickness", "SpacingBetweenSlices"),
    "image_orientation": ("ImageOrientationPatient",),
    "image_position": ("ImagePositionPatient", "SliceLocation"),
    "patient_orientation": ("PatientOrientation", "PatientPosition"),
    "laterality": ("Laterality", "ImageLaterality", "FrameLaterality"),
    "view_position": ("ViewPosition", "ViewCodeSequence"),
    "body_part": ("BodyPartExamined", "AnatomicRegionSequence"),
    "patient_age": ("PatientAge", "PatientBirthDate"),
    "patient_sex": ("PatientSex",),
    "window": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    "manufacturer": ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber"),
    "acquisition": (
        *("KVP", "XRayTubeCurrent", "Exposure", "ExposureTime", "ExposureInuAs", "RelativeXRayExposure"),
        "ConvolutionKernel",
    ),
    "mr_timing": ("EchoTime", "RepetitionTime", "InversionTime", "MagneticFieldStrength", "FlipAngle"),
}
# Type 2 attributes (PS3.5 7.4.3) stay with an empty value where the object has them.
_EMPTIED = frozenset(
    {
        "PatientBirthDate",
        "PatientSex",
        "Manufacturer",
        "SliceThickness",
        "KVP",
        "PatientOrientation",
        "EchoTime",
    }
    | {"ViewPosition", "AnatomicRegionSequence", "BodyPartExamined", "Laterality"}
)

_PLACE = frozenset({"pixel_spacing", "image_orientation", "image_position"})
"""Without these a mask that is answered as a file cannot be laid on the image."""


def _without(name: str) -> Change:
    keywords = _KEYWORDS[name]

    def change(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
        if not sum(_removed(image.dataset, keywords) for image in case.images):
            raise NotApplicableError("the case does not have it")

    return change


def _removed(dataset: Dataset, keywords: tuple[str, ...]) -> int:
    """Take attributes out, in functional groups too; the number of those that had a value."""
    count = 0
    for keyword in keywords:
        if keyword not in dataset:
            continue
        count += dataset[keyword].value not in (None, "", [])
        if keyword in _EMPTIED:
            dataset[keyword].value = [] if dataset[keyword].VR == "SQ" else None
        else:
            del dataset[keyword]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in dataset.get(groups) or ():
            for macro in [element.value[0] for element in item if element.VR == "SQ" and element.value]:
                count += _removed(macro, keywords)
    return count


PERTURBATIONS = tuple(
    Perturbation(
        name=f"absent_{name}",
        family="DICOM absent",
        expectation="may change within a margin",
        kind="header",
        unit="",
        severities=("absent",),
        sentence=f"{title} left out (empty where the standard wants the attribute present).",
        source=source,
        function=_without(name),
        in_place=name not in _PLACE,
    )
    for name, title, source in _GROUPS
)
