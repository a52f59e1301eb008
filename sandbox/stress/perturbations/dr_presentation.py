"""Radiographs processed otherwise for presentation: gamma, contrast curve, inverted."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.curves import Curve, follow
from sandbox.stress.filters import blurred
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.radiograph import PROJECTION
from sandbox.stress.volume import put_back, volumes


def apply_gamma(case: OpenCase, gamma: Severity, numbers: np.random.Generator) -> None:
    """Raise the share of the grey levels in use to the power ``gamma``."""
    for volume in volumes(case):
        low, high = float(volume.values.min()), float(volume.values.max())
        follow(volume, _gamma_curve(low, max(high - low, 1e-6), float(gamma)))


def _gamma_curve(low: float, span: float, gamma: float) -> Curve:
    return lambda values: low + span * np.clip((values - low) / span, 0, 1) ** np.float32(gamma)


def process(case: OpenCase, strength: Severity, numbers: np.random.Generator) -> None:
    """Enhance structures of 2% of the width by ``strength`` and bend the curve to an S: another vendor's look."""
    for volume in volumes(case):
        low, high = volume.content_range()
        middle, span = np.float32((low + high) / 2), np.float32(high - low)
        sigma = 0.02 * min(volume.shape)
        base = blurred(volume.values, (sigma, sigma))
        lifted = volume.values + np.float32(float(strength)) * (volume.values - base)
        bent = middle + span / 2 * np.tanh(2 * (lifted - middle) / span) / np.float32(np.tanh(1.0))
        weight = np.float32(min(float(strength) / 2, 1.0))
        put_back(volume, lifted + weight * (bent - lifted))


def invert(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Exchange the largest and the smallest value; the header does not say so."""
    for volume in volumes(case):
        low, high = np.float32(volume.values.min()), np.float32(volume.values.max())
        put_back(volume, low + high - volume.values, keep_padding=False)


GAMMA = Perturbation(
    name="dr_gamma",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="gamma",
    severities=(1.15, 1.3, 1.6, 2.0, 2.5),
    sentence="Another look-up table: middle grey becomes darker.",
    source="Di Salvo et al., MedMNIST-C, 2024 (chest radiographs: gamma 1.1 to 1.6)",
    function=apply_gamma,
    in_place=True,
)
PROCESSING = Perturbation(
    name="dr_processing",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="times detail lifted",
    severities=(0.3, 0.6, 1.0, 1.5, 2.2),
    sentence="Another vendor's processing: structures enhanced, an S-shaped curve.",
    source="Vuylsteke and Schoeters, Multiscale image contrast amplification, SPIE 1994",
    function=process,
    in_place=True,
)
INVERTED = Perturbation(
    name="dr_inverted",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="",
    severities=("inverted",),
    sentence="Stored as a negative by mistake; the header still says the old photometric interpretation.",
    source="PS3.3 C.7.6.3.1.2 Photometric Interpretation",
    function=invert,
    in_place=True,
)
