"""CT reconstructed with a softer or a sharper kernel."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.filters import FWHM_PER_SIGMA, blurred
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import put_back, volumes

EDGE_WIDTH = 1.6
"""Millimetres (FWHM) below which a sharper kernel lifts detail."""


def soften(case: OpenCase, width: Severity, numbers: np.random.Generator) -> None:
    """Multiply the transfer function by that of a Gaussian of ``width`` mm (FWHM)."""
    for volume in volumes(case):
        rows, columns = volume.needs_spacing()
        sigma = float(width) / FWHM_PER_SIGMA
        put_back(volume, blurred(volume.values, (sigma / rows, sigma / columns)))


def sharpen(case: OpenCase, gain: Severity, numbers: np.random.Generator) -> None:
    """Lift what is finer than ``EDGE_WIDTH`` by ``gain``: detail, edges and noise alike."""
    for volume in volumes(case):
        rows, columns = volume.needs_spacing()
        sigma = EDGE_WIDTH / FWHM_PER_SIGMA
        smooth = blurred(volume.values, (sigma / rows, sigma / columns))
        put_back(volume, volume.values + np.float32(float(gain)) * (volume.values - smooth))


SOFT = Perturbation(
    name="ct_kernel_soft",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="mm (FWHM)",
    severities=(0.8, 1.2, 1.8, 2.5, 3.5),
    sentence="A softer reconstruction kernel.",
    source="Ohkubo et al., Image filtering as an alternative to the application of a different reconstruction kernel "
    "in CT imaging, Med Phys 2011",
    function=soften,
    in_place=True,
)
SHARP = Perturbation(
    name="ct_kernel_sharp",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="times lifted",
    severities=(0.5, 1.0, 1.5, 2.5, 4.0),
    sentence="A sharper reconstruction kernel: edges overshoot and noise grows.",
    source="Ohkubo et al., Image filtering as an alternative to the application of a different reconstruction kernel "
    "in CT imaging, Med Phys 2011",
    function=sharpen,
    in_place=True,
)
