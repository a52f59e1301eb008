"""The header of one patient with the pixels of another of the same class: the score must follow the pixels."""

from __future__ import annotations

import copy

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Perturbation, Severity

HEADER = (
    *(
        "PatientName",
        "PatientID",
        "PatientSex",
        "PatientAge",
        "PatientBirthDate",
        "PatientSize",
        "PatientWeight",
    ),
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "StudyDescription"),
    *("SeriesDescription", "ProtocolName", "Manufacturer", "ManufacturerModelName", "SoftwareVersions"),
    *("InstitutionName", "StationName", "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality"),
    *("PatientPosition", "KVP", "Exposure", "ExposureTime", "XRayTubeCurrent", "ContrastBolusAgent"),
)
"""What the header tells about patient, place and acquisition; everything about pixels goes with the pixels."""


def exchange(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Take the donor's images and write the header of this case on them."""
    if {image.modality for image in case.images} != {image.modality for image in case.donor}:
        raise NotApplicableError("the other patient's case is of another modality")
    header = [image.dataset for image in case.images]
    names = [image.name for image in case.images]
    for number, image in enumerate(case.donor):
        source = header[min(number, len(header) - 1)]
        for keyword in HEADER:
            if keyword == "SOPInstanceUID":
                continue
            image.dataset.pop(keyword, None)
            if keyword in source:
                image.dataset[keyword] = copy.deepcopy(source[keyword])
        image.name = names[number] if number < len(names) else f"{number + 1:06d}.dcm"
    case.images = case.donor


PERTURBATION = Perturbation(
    name="header_of_another_patient",
    family="shortcuts",
    expectation="may change within a margin",
    kind="header",
    unit="",
    severities=("exchanged",),
    sentence="The header of this patient on the images of another of the same class.",
    source="Badgeley et al., Deep learning predicts hip fracture using confounding patient and healthcare variables, "
    "npj Digit Med 2019",
    function=exchange,
    donor="same class, other patient",
    readout="score follows the pixels",
)
