"""CT streaks from metal: beam hardening and photon starvation along the rays through an implant."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from sandbox.stress.case import OpenCase
from sandbox.stress.filters import resized
from sandbox.stress.geometry import foreground
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import FloatArray, Volume, put_back, volumes

METAL_HU = 3000.0
_ANGLES = 180
_GRID = 192
_HARDENING = 22_000.0
_STARVATION = 13_000.0
"""HU for a squared, and for a single, centimetre of metal in the ray: about -300 HU between rods of 12 mm that are
90 mm apart, and streaks of 25 HU, as around hip prostheses."""


def streaks(case: OpenCase, diameter: Severity, numbers: np.random.Generator) -> None:
    """Put a metal rod of ``diameter`` mm and its partner into the body and add the streaks of the pair."""
    for volume in volumes(case):
        spacing = volume.needs_spacing()
        rods = _rods(volume, numbers)
        noise = numbers.standard_normal((_ANGLES, _GRID))
        artefact, rows, columns = _artefact(volume.shape, spacing, rods, float(diameter) / 2, noise)
        values = volume.values + artefact
        for rod_row, rod_column in rods:
            inside = np.hypot((rows - rod_row) * spacing[0], (columns - rod_column) * spacing[1])
            values[:, inside <= float(diameter) / 2] = METAL_HU
        put_back(volume, values)


def _rods(volume: Volume, numbers: np.random.Generator) -> list[tuple[float, float]]:
    """Row and column of two rods inside the body, left and right of its centre."""
    body = foreground(volume)[len(volume.values) // 2]
    rows, columns = np.nonzero(body)
    if rows.size < 50:
        rows, columns = (axis.ravel() for axis in np.indices(volume.shape))
    centre = float(np.median(rows)), float(np.median(columns))
    half = float(np.percentile(columns, 90) - np.percentile(columns, 10)) / 2
    lift = float(numbers.uniform(-0.15, 0.15)) * half
    reach = float(numbers.uniform(0.3, 0.5)) * half
    wanted = [(centre[0] + lift, centre[1] - reach), (centre[0] - lift, centre[1] + reach)]
    # The nearest tissue or bone: implants do not hang in the lung.
    nearest = [int(np.argmin((rows - row) ** 2 + (columns - column) ** 2)) for row, column in wanted]
    return [(float(rows[index]), float(columns[index])) for index in nearest]


def _artefact(
    shape: tuple[int, int],
    spacing: tuple[float, float],
    rods: list[tuple[float, float]],
    radius: float,
    noise: NDArray[np.float64],
) -> tuple[FloatArray, NDArray[np.intp], NDArray[np.intp]]:
    """Filtered back-projection of what is wrong in the rays through the rods, on a coarse grid; in HU."""
    reach = np.hypot(shape[0] * spacing[0], shape[1] * spacing[1]) / 2
    bins = np.linspace(-reach, reach, _GRID)
    step = bins[1] - bins[0]
    angles = np.arange(_ANGLES) * np.pi / _ANGLES
    middle = (np.array(shape) - 1) / 2
    path = np.zeros((_ANGLES, _GRID))
    for rod_row, rod_column in rods:
        down, right = (rod_row - middle[0]) * spacing[0], (rod_column - middle[1]) * spacing[1]
        centre = right * np.cos(angles) + down * np.sin(angles)
        # Mean chord over a detector bin: rods narrower than a bin must not vanish.
        edges = np.clip(
            (bins[None, :, None] + step * np.array([-0.5, 0.5]) - centre[:, None, None]) / radius, -1, 1
        )
        area = radius**2 * (edges * np.sqrt(1 - edges**2) + np.arcsin(edges))
        path += np.diff(area, axis=2)[..., 0] / step
    metal = path / 10
    wrong = -_HARDENING * metal**2 + _STARVATION * noise * metal
    ramp = np.abs(scipy.fft.rfftfreq(2 * _GRID, step))
    ramp = ramp * np.cos(np.pi * scipy.fft.rfftfreq(2 * _GRID))
    filtered = scipy.fft.irfft(scipy.fft.rfft(wrong, 2 * _GRID, axis=1) * ramp, axis=1)[:, :_GRID]
    rows, columns = np.indices(shape)
    side = min(256, max(shape))
    coarse = [
        np.linspace(-(size - 1) / 2 * gap, (size - 1) / 2 * gap, side)
        for size, gap in zip(shape, spacing, strict=True)
    ]
    field = np.zeros((side, side))
    for angle, profile in zip(angles, filtered, strict=True):
        place = coarse[1][None, :] * np.cos(angle) + coarse[0][:, None] * np.sin(angle)
        field += np.interp(place.ravel(), bins, profile).reshape(side, side)
    field *= np.pi / _ANGLES
    return resized(field[None].astype(np.float32), *shape)[0], rows, columns


PERTURBATION = Perturbation(
    name="ct_metal_streak",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="mm of metal",
    severities=(2.0, 4.0, 6.0, 9.0, 12.0),
    sentence="A pair of metal rods in the body: dark bands between them and bright streaks around.",
    source="De Man et al., Metal streak artifacts in X-ray computed tomography: a simulation study, IEEE TNS 1999",
    function=streaks,
    in_place=True,
)
