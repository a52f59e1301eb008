"""Blur of any image."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.filters import FWHM_PER_SIGMA, blurred
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import put_back, volumes


def blur(case: OpenCase, width: Severity, numbers: np.random.Generator) -> None:
    """Blur by a Gaussian whose full width at half maximum is ``width`` percent of the shorter side."""
    for volume in volumes(case):
        sigma = float(width) / 100 * min(volume.shape) / FWHM_PER_SIGMA
        put_back(volume, blurred(volume.values, (sigma, sigma)))


PERTURBATION = Perturbation(
    name="blur",
    family="any image",
    expectation="may change within a margin",
    kind="pixels",
    unit="% of the shorter side (FWHM)",
    severities=(1.0, 1.5, 2.5, 4.0, 6.0),
    sentence="Out of focus or moving: Gaussian blur.",
    source="Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019",
    function=blur,
    in_place=True,
)
