"""CT at a fraction of the dose: noise with the power spectrum of the reconstruction kernel."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from sandbox.stress.case import OpenCase
from sandbox.stress.filters import radial_frequency, shaped_noise
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import Volume, put_back, volumes

TYPICAL_NOISE = 12.0
"""Hounsfield units, where the image has no soft tissue to measure the noise in."""
_WINDOW = 7
_PEAKS = {"soft": 0.20, "standard": 0.30, "sharp": 0.55}


def noise_level(volume: Volume) -> float:
    """Noise of the clean image in HU: the mode of local standard deviations in soft tissue.

    Source: Christianson et al., Automated technique to measure noise in clinical CT examinations, AJR 2015.
    """
    middle = volume.values[len(volume.values) // 2].astype(np.float64)
    mean = scipy.ndimage.uniform_filter(middle, _WINDOW)
    square = scipy.ndimage.uniform_filter(middle * middle, _WINDOW)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    tissue = deviation[(mean > -150) & (mean < 200) & (deviation > 0.5) & (deviation < 100)]
    if tissue.size < 500:
        return TYPICAL_NOISE
    counts, edges = np.histogram(tissue, bins=100, range=(0.0, 100.0))
    return float(edges[int(np.argmax(counts))] + 0.5)


def peak_frequency(volume: Volume) -> float:
    """Cycles a millimetre at which the kernel's noise is strongest, by the kernel's name where it is told."""
    kernel = volume.images[0].dataset.get("ConvolutionKernel") or ""
    name = str(kernel if isinstance(kernel, str) else kernel[0]).lower()
    number = int("".join(letter for letter in name if letter.isdigit())[:2] or 0)
    if any(word in name for word in ("bone", "lung", "edge", "sharp", "yb", "yc")) or number >= 55:
        return _PEAKS["sharp"]
    return _PEAKS["soft"] if "soft" in name or 0 < number < 28 else _PEAKS["standard"]


def reduce_dose(case: OpenCase, fraction: Severity, numbers: np.random.Generator) -> None:
    """Add noise of standard deviation s0 sqrt(1/fraction - 1); s0 is that of the clean image."""
    for volume in volumes(case):
        spacing = volume.spacing or (0.7, 0.7)
        frequency = radial_frequency(volume.shape, spacing)
        peak = peak_frequency(volume)
        # Filtered back-projection: a ramp times the kernel's roll-off; its square is the noise power.
        amplitude = np.sqrt(frequency * np.exp(-((frequency / peak) ** 2) / 2))
        added = noise_level(volume) * np.sqrt(1 / float(fraction) - 1)
        thickness = float(volume.images[0].dataset.get("SliceThickness") or 0)
        shared = 0.0
        if volume.slice_spacing and thickness > volume.slice_spacing:
            shared = 1 - volume.slice_spacing / thickness
        before = None
        values = volume.values.copy()
        for index in range(len(values)):
            field = shaped_noise(numbers, volume.shape, amplitude)
            if before is not None and shared:
                # Slices that overlap share rays, and so noise.
                field = shared * before + np.float32(np.sqrt(1 - shared * shared)) * field
            before = field
            values[index] += np.float32(added) * field
        put_back(volume, values)


PERTURBATION = Perturbation(
    name="ct_dose",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="of the dose",
    severities=(0.75, 0.5, 0.25, 0.1, 0.05),
    sentence="The same scan with less dose: noise with the spectrum of the reconstruction kernel, slice by slice.",
    source="Won Kim and Kim, Realistic simulation of reduced-dose CT with noise modeling, Med Phys 2014; "
    "noise power as ramp times kernel: Riederer, Pelc, Chesler, Phys Med Biol 1978",
    function=reduce_dose,
    in_place=True,
)
