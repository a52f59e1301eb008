"""A header that says something false: side, body part."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Perturbation, Severity

_SIDES = {"L": "R", "R": "L"}
_KEYWORDS = ("Laterality", "ImageLaterality", "FrameLaterality")


def other_side(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Exchange L and R in every laterality attribute."""
    changed = 0
    for image in case.images:
        for keyword in _KEYWORDS:
            if image.dataset.get(keyword) in _SIDES:
                image.dataset[keyword].value = _SIDES[image.dataset[keyword].value]
                changed += 1
    if not changed:
        raise NotApplicableError("the case does not tell its side")


def other_part(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Write another Body Part Examined."""
    for image in case.images:
        if not image.dataset.get("BodyPartExamined"):
            raise NotApplicableError("the case does not tell its body part")
        image.dataset.BodyPartExamined = "SKULL" if image.dataset.BodyPartExamined != "SKULL" else "CHEST"
        if "AnatomicRegionSequence" in image.dataset:
            image.dataset.AnatomicRegionSequence = []


LATERALITY = Perturbation(
    name="wrong_laterality",
    family="DICOM wrong",
    expectation="may change within a margin",
    kind="header",
    unit="",
    severities=("other side",),
    sentence="The header tells the other side.",
    source="PS3.3 C.7.3.1 Laterality, C.8.11.6 Image Laterality",
    function=other_side,
    in_place=True,
)
BODY_PART = Perturbation(
    name="wrong_body_part",
    family="DICOM wrong",
    expectation="may change within a margin",
    kind="header",
    unit="",
    severities=("other part",),
    sentence="The header tells another body part, as after a wrong protocol choice at the console.",
    source="Güld et al., Quality of DICOM header information for image categorization, SPIE 2002",
    function=other_part,
    in_place=True,
)
