"""Ultrasound with stronger speckle."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.filters import blurred
from sandbox.stress.noise import normal
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.ultrasound import echo_region
from sandbox.stress.volume import put_back, volumes

GRAIN = (0.6, 1.1)
"""Standard deviation in pixels along depth and across: speckle is longer across the beam."""


def add_speckle(case: OpenCase, strength: Severity, numbers: np.random.Generator) -> None:
    """Add noise of standard deviation ``strength`` x sqrt(grey level), the model of log-compressed speckle."""
    for volume in volumes(case):
        top = np.float32(volume.limits[1] if volume.limits[1] > 0 else 1)
        down, across = echo_region(volume)
        shape = (down.stop - down.start, across.stop - across.start)
        for frame in volume.values:
            grain = blurred(normal(numbers, (1, *shape)), GRAIN)[0]
            grain *= top * np.float32(float(strength)) / grain.std()
            # One grain for red, green and blue, laid out as they are: grey must stay grey.
            field = np.repeat(grain, 3, axis=1).reshape(*shape, 3) if volume.colour else grain
            grey = frame[down, across]
            field *= np.sqrt(np.maximum(grey, 0) / top)
            grey += field
        put_back(volume, volume.values)


PERTURBATION = Perturbation(
    name="us_speckle",
    family="US",
    modalities=frozenset({"US", "IVUS"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="of full scale, at full brightness",
    severities=(0.03, 0.06, 0.1, 0.16, 0.25),
    sentence="Coarser, stronger speckle: it grows with the square root of brightness.",
    source="Loupas, McDicken, Allan, An adaptive weighted median filter for speckle suppression in medical ultrasonic "
    "images, IEEE Trans Circuits Syst 1989",
    function=add_speckle,
    in_place=True,
)
