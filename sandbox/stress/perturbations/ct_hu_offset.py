"""CT whose Hounsfield scale is off."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.curves import follow
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import volumes


def offset(case: OpenCase, shift: Severity, numbers: np.random.Generator) -> None:
    """Add ``shift`` HU to every pixel that is not padding; the rescale in the header stays."""
    for volume in volumes(case):
        follow(volume, lambda values: values + np.float32(float(shift)))


_SOURCE = "ACR CT Accreditation phantom: water within 0 +/- 7 HU (5 HU wanted)"
HIGHER = Perturbation(
    name="ct_hu_offset",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="HU",
    severities=(2.0, 5.0, 10.0, 20.0, 40.0),
    sentence="A scanner that is not well calibrated: every value is too high.",
    source=_SOURCE,
    function=offset,
    in_place=True,
)
LOWER = Perturbation(
    name="ct_hu_offset_down",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="HU",
    severities=(-2.0, -5.0, -10.0, -20.0, -40.0),
    sentence="A scanner that is not well calibrated: every value is too low.",
    source=_SOURCE,
    function=offset,
    in_place=True,
)
