"""CT rings from detector elements whose gain is off."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import put_back, volumes

_SHARE_OF_BAD_ELEMENTS = 0.06


def rings(case: OpenCase, height: Severity, numbers: np.random.Generator) -> None:
    """Add rings about the centre of the field, the largest ``height`` HU high."""
    for volume in volumes(case):
        row, column = np.indices(volume.shape, dtype=np.float32)
        radius = np.hypot(row - (volume.shape[0] - 1) / 2, column - (volume.shape[1] - 1) / 2)
        count = int(radius.max()) + 2
        bad = numbers.random(count) < _SHARE_OF_BAD_ELEMENTS
        bad[count // 5] = True
        gains = np.where(bad, numbers.uniform(-1, 1, count), 0)
        gains /= np.abs(gains).max()
        field = float(height) * np.interp(radius.ravel(), np.arange(count), gains).reshape(volume.shape)
        put_back(volume, volume.values + field.astype(np.float32))


PERTURBATION = Perturbation(
    name="ct_ring",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="HU",
    severities=(5.0, 10.0, 20.0, 40.0, 80.0),
    sentence="Detector elements that are not calibrated draw rings about the centre.",
    source="Sijbers and Postnov, Reduction of ring artefacts in high resolution micro-CT reconstructions, "
    "Phys Med Biol 2004",
    function=rings,
    in_place=True,
)
