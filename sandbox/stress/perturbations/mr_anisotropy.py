"""MR measured more coarsely along one direction, and brightness without a unit."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.curves import follow
from sandbox.stress.filters import resized
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import put_back, volumes


def coarsen(case: OpenCase, factor: Severity, numbers: np.random.Generator) -> None:
    """Measure ``factor`` times fewer rows and interpolate them back to the matrix."""
    for volume in volumes(case):
        rows, columns = volume.shape
        small = resized(volume.values, max(round(rows / float(factor)), 2), columns)
        put_back(volume, resized(small, rows, columns))


def scale(case: OpenCase, factor: Severity, numbers: np.random.Generator) -> None:
    """Multiply every value by ``factor``; no header says so, as MR has no unit."""
    for volume in volumes(case):
        follow(volume, lambda values: values * np.float32(float(factor)))


ANISOTROPY = Perturbation(
    name="mr_anisotropy",
    family="MR",
    modalities=frozenset({"MR"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="times coarser rows",
    severities=(1.5, 2.0, 3.0, 4.0, 5.0),
    sentence="Resolution lost along one direction, interpolated back by the scanner.",
    source="Pérez-García et al., TorchIO, Comput Methods Programs Biomed 2021 (anisotropy 1.5 to 5)",
    function=coarsen,
    in_place=True,
)
DIMMER = Perturbation(
    name="mr_intensity_down",
    family="MR",
    modalities=frozenset({"MR"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="times the signal",
    severities=(0.8, 0.65, 0.5, 0.35, 0.25),
    sentence="The scanner scales its images otherwise: all values are smaller.",
    source="Nyúl, Udupa, Zhang, New variants of a method of MRI scale standardization, IEEE TMI 2000",
    function=scale,
    in_place=True,
)
BRIGHTER = Perturbation(
    name="mr_intensity_up",
    family="MR",
    modalities=frozenset({"MR"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="times the signal",
    severities=(1.25, 1.5, 2.0, 3.0, 4.0),
    sentence="The scanner scales its images otherwise: all values are larger; what the bits cannot hold is clipped.",
    source="Nyúl, Udupa, Zhang, New variants of a method of MRI scale standardization, IEEE TMI 2000",
    function=scale,
    in_place=True,
)
