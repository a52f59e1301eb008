"""Nuclear medicine and PET: fewer counts, a wider point spread, no attenuation correction."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from sandbox.stress.case import OpenCase
from sandbox.stress.filters import FWHM_PER_SIGMA, blurred
from sandbox.stress.noise import normal
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.signal_level import signal_level
from sandbox.stress.volume import put_back, volumes

_MODALITIES = frozenset({"NM", "PT"})
PET_VARIATION = 0.10
"""Coefficient of variation of a clean PET image at its mean signal (liver, EANM procedure guideline)."""
PET_GRAIN = 6.0
"""Width in mm (FWHM) of noise in reconstructed PET."""
_ATTENUATION = {"PT": 0.096, "NM": 0.15}
"""Linear attenuation of water a centimetre, at 511 and at 140 keV."""


def lose_counts(case: OpenCase, fraction: Severity, numbers: np.random.Generator) -> None:
    """Add the noise that ``fraction`` of the counts has beyond the noise that is there.

    Planar NM stores counts: keeping each with probability f and dividing by f adds variance N (1/f - 1). In PET
    the variance is proportional to activity, scaled to ``PET_VARIATION`` at the mean signal.
    """
    for volume in volumes(case):
        activity = np.maximum(volume.values, 0)
        noise = normal(numbers, volume.values.shape)
        per_value = 1.0
        if volume.modality == "PT":
            rows, columns = volume.spacing or (4.0, 4.0)
            noise = blurred(noise, (PET_GRAIN / FWHM_PER_SIGMA / rows, PET_GRAIN / FWHM_PER_SIGMA / columns))
            noise /= noise.std()
            per_value = PET_VARIATION**2 * signal_level(volume)
        added = np.sqrt(activity * np.float32(per_value * (1 / float(fraction) - 1))) * noise
        put_back(volume, np.maximum(volume.values + added, np.minimum(volume.values, 0)))


def widen(case: OpenCase, width: Severity, numbers: np.random.Generator) -> None:
    """Blur by a Gaussian of ``width`` mm (FWHM)."""
    for volume in volumes(case):
        rows, columns = volume.needs_spacing()
        sigma = float(width) / FWHM_PER_SIGMA
        put_back(volume, blurred(volume.values, (sigma / rows, sigma / columns)))


def attenuate(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Leave ``share`` percent of the attenuation uncorrected: exp(-mu x depth below the skin)."""
    for volume in volumes(case):
        rows, columns = volume.needs_spacing()
        top = np.percentile(volume.values, 99.5)
        coefficient = _ATTENUATION["PT" if volume.modality == "PT" else "NM"]
        values = volume.values.copy()
        for index in range(len(values)):
            body = scipy.ndimage.binary_fill_holes(
                scipy.ndimage.binary_closing(values[index] > 0.02 * top, iterations=2, border_value=0)
            )
            depth = scipy.ndimage.distance_transform_edt(body, sampling=(rows, columns)) / 10
            values[index] *= np.exp(-float(share) / 100 * coefficient * depth).astype(np.float32)
        put_back(volume, values)


COUNTS = Perturbation(
    name="nm_counts",
    family="NM and PT",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="of the counts",
    severities=(0.5, 0.25, 0.1, 0.05, 0.02),
    sentence="Less activity or a shorter scan: fewer counts.",
    source="Cherry, Sorenson, Phelps, Physics in Nuclear Medicine (4th edition, 2012), Poisson thinning; noise of PET: "
    "Boellaard et al., FDG PET/CT: EANM procedure guidelines version 2.0, 2015",
    function=lose_counts,
    in_place=True,
)
RESOLUTION = Perturbation(
    name="nm_resolution",
    family="NM and PT",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="mm (FWHM)",
    severities=(3.0, 5.0, 8.0, 11.0, 15.0),
    sentence="A wider point spread, or a stronger post-filter.",
    source="NEMA NU 2 (PET) and NU 1 (gamma cameras), spatial resolution as FWHM",
    function=widen,
    in_place=True,
)
ATTENUATION = Perturbation(
    name="nm_attenuation",
    family="NM and PT",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="% uncorrected",
    severities=(10.0, 20.0, 40.0, 70.0, 100.0),
    sentence="Attenuation correction is incomplete: the depth of the body is too dark.",
    source="Zaidi and Hasegawa, Determination of the attenuation map in emission tomography, J Nucl Med 2003",
    function=attenuate,
    in_place=True,
)
