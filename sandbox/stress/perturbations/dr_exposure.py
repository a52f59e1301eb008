"""Radiographs with less exposure, or unevenly exposed."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.geometry import centred_grid
from sandbox.stress.noise import normal
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.radiograph import PROJECTION, levels_per_decade, quanta
from sandbox.stress.volume import put_back, volumes


def reduce_exposure(case: OpenCase, fraction: Severity, numbers: np.random.Generator) -> None:
    """Add the quantum noise that ``fraction`` of the photons has beyond the noise that is there.

    The relative variance of N photons is 1/N; at fraction f it is 1/(f N), so 1/(f N) - 1/N is added. On the
    logarithmic scale a relative error e is e / ln 10 decades.
    """
    for volume in volumes(case):
        if volume.colour:
            continue
        relative = np.sqrt((1 / float(fraction) - 1) / quanta(volume))
        noise = normal(numbers, volume.values.shape)
        noise *= relative
        noise *= np.float32(levels_per_decade(volume) / np.log(10))
        put_back(volume, volume.values + noise)


def cut_off(case: OpenCase, loss: Severity, numbers: np.random.Generator) -> None:
    """Lose exposure linearly towards one side, ``loss`` percent at the edge: an anti-scatter grid off its centre."""
    for volume in volumes(case):
        side = 1 if numbers.random() < 0.5 else -1
        _, columns = centred_grid(volume.shape)
        left = 1 - float(loss) / 100 * (side * columns + 1) / 2
        loss_of_exposure = -np.log10(left)
        # Exposure control keeps the mean signal.
        lift = (loss_of_exposure - loss_of_exposure.mean()) * levels_per_decade(volume)
        put_back(volume, volume.values + (lift[None, :, :, None] if volume.colour else lift[None]))


QUANTUM = Perturbation(
    name="dr_quantum_noise",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="of the exposure",
    severities=(0.5, 0.25, 0.1, 0.05, 0.02),
    sentence="Fewer photons at the detector: noise, most where the body is dense.",
    source="Båth et al., Method of simulating dose reduction for digital radiographic systems, Radiat Prot Dosimetry "
    "2005; photons a microgray: IEC 62220-1, RQA5",
    function=reduce_exposure,
    in_place=True,
)
GRID = Perturbation(
    name="dr_grid_cutoff",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="% of the exposure at the edge",
    severities=(15.0, 30.0, 50.0, 70.0, 85.0),
    sentence="The anti-scatter grid is off its centre: one side is underexposed.",
    source="Bushberg et al., The Essential Physics of Medical Imaging (4th edition, 2020), grid cut-off",
    function=cut_off,
    in_place=True,
)
