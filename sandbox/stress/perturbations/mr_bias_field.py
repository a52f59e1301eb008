"""MR brightness that drifts over the image: the field of the receive coil."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.geometry import centred_grid
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import put_back, volumes

_ORDER = 3


def shade(case: OpenCase, coefficient: Severity, numbers: np.random.Generator) -> None:
    """Multiply by exp of a polynomial of order 3 whose coefficients are within +/- ``coefficient``."""
    for volume in volumes(case):
        rows, columns = centred_grid(volume.shape)
        field = np.zeros(volume.shape, np.float32)
        for down in range(_ORDER + 1):
            for right in range(_ORDER + 1 - down):
                weight = numbers.uniform(-1, 1)
                if down or right:
                    field += np.float32(weight) * rows**down * columns**right
        field -= field.mean()
        put_back(volume, volume.values * np.exp(np.float32(float(coefficient)) * field))


PERTURBATION = Perturbation(
    name="mr_bias_field",
    family="MR",
    modalities=frozenset({"MR"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="coefficient",
    severities=(0.1, 0.2, 0.3, 0.5, 0.8),
    sentence="A coil that receives unevenly: a smooth field of brightness over the image.",
    source="Van Leemput et al., Automated model-based bias field correction of MR images of the brain, IEEE TMI 1999; "
    "range around the default of TorchIO (0.5)",
    function=shade,
    in_place=True,
)
