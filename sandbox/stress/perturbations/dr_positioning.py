"""Radiographs collimated, turned or mirrored."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from sandbox.stress.case import OpenCase
from sandbox.stress.geometry import about_centre, background
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.radiograph import PROJECTION, lightest
from sandbox.stress.volume import put_back, volumes


def collimate(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Cover ``share`` percent from each side by the collimator's blades: unexposed, with a penumbra."""
    for volume in volumes(case):
        rows, columns = volume.shape
        open_field = np.zeros(volume.shape, np.float32)
        top, left = round(rows * float(share) / 100), round(columns * float(share) / 100)
        open_field[top : rows - top, left : columns - left] = 1
        open_field = scipy.ndimage.gaussian_filter(open_field, 0.004 * min(volume.shape))
        weight = open_field[None, :, :, None] if volume.colour else open_field[None]
        put_back(volume, volume.values * weight + np.float32(lightest(volume)) * (1 - weight))


def turn(case: OpenCase, degrees: Severity, numbers: np.random.Generator) -> None:
    """Turn the image by ``degrees``; corners show the background."""
    for volume in volumes(case):
        side = 1 if numbers.random() < 0.5 else -1
        put_back(
            volume,
            about_centre(volume.values, degrees=side * float(degrees), fill=background(volume)),
            keep_padding=False,
        )


def mirror(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Exchange left and right; the header does not say so."""
    for volume in volumes(case):
        put_back(volume, volume.values[:, :, ::-1].copy(), keep_padding=False)


COLLIMATION = Perturbation(
    name="dr_collimation",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="% from each side",
    severities=(3.0, 6.0, 10.0, 15.0, 22.0),
    sentence="Tighter collimation: the border is unexposed.",
    source="PS3.3 C.8.7.3 X-Ray Collimator",
    function=collimate,
)
ROTATION = Perturbation(
    name="dr_rotation",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="degrees",
    severities=(2.0, 5.0, 10.0, 15.0, 20.0),
    sentence="The patient, or the detector, stands askew.",
    source="Engstrom et al., Exploring the landscape of spatial robustness, ICML 2019",
    function=turn,
)
MIRRORED = Perturbation(
    name="dr_mirrored",
    family="DR and MG",
    modalities=PROJECTION,
    expectation="may change within a margin",
    kind="pixels",
    unit="",
    severities=("mirrored",),
    sentence="Left and right exchanged, as when a detector is used from behind.",
    source="PS3.3 C.7.6.1.1.1 Patient Orientation",
    function=mirror,
)
