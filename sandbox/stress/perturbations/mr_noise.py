"""MR with a lower signal-to-noise ratio: Rician noise of magnitude images."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.noise import complex_normal
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.signal_level import signal_level
from sandbox.stress.volume import put_back, volumes

_ROWS = 64


def add_noise(case: OpenCase, ratio: Severity, numbers: np.random.Generator) -> None:
    """Take the magnitude after complex Gaussian noise of standard deviation signal / ``ratio``."""
    for volume in volumes(case):
        sigma = np.float32(signal_level(volume) / float(ratio))
        for frame in volume.values:
            # A few rows at a time stay in the cache.
            for start in range(0, len(frame), _ROWS):
                rows = frame[start : start + _ROWS]
                noise = complex_normal(numbers, rows.shape)
                noise *= sigma
                noise += rows
                np.abs(noise, out=rows)
        put_back(volume, volume.values)


PERTURBATION = Perturbation(
    name="mr_rician_noise",
    family="MR",
    modalities=frozenset({"MR"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="signal-to-noise ratio",
    severities=(30.0, 20.0, 10.0, 7.0, 5.0),
    sentence="Less signal for the same receiver noise, as at lower field or in a faster scan.",
    source="Gudbjartsson and Patz, The Rician distribution of noisy MRI data, MRM 1995",
    function=add_noise,
    in_place=True,
)
