"""CT with thicker slices: each slice is the mean over a slab."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import FloatArray, put_back, volumes


def slab_means(values: FloatArray, width: float) -> FloatArray:
    """Mean over ``width`` slices (a fraction counts in part) around each slice; edges are continued."""
    half = int(np.ceil((width - 1) / 2 - 1e-9))
    weights = np.ones(2 * half + 1)
    weights[[0, -1]] = (width - (2 * half - 1)) / 2 if half else 1.0
    weights /= weights.sum()
    padded = np.concatenate([values[:1]] * half + [values] + [values[-1:]] * half)
    out: FloatArray = np.zeros_like(values)
    for offset, weight in enumerate(weights):
        out += np.float32(weight) * padded[offset : offset + len(values)]
    return out


def thicken(case: OpenCase, thickness: Severity, numbers: np.random.Generator) -> None:
    """Average over ``thickness`` millimetres along the slices; their number and places stay."""
    changed = False
    for volume in volumes(case):
        if volume.slice_spacing is None or len(volume.values) < 3:
            continue
        width = float(thickness) / volume.slice_spacing
        before = float(volume.images[0].dataset.get("SliceThickness") or volume.slice_spacing)
        if width <= 1 or float(thickness) <= before:
            raise NotApplicableError("the slices are at least as thick already")
        put_back(volume, slab_means(volume.values, width))
        changed = True
        for image in volume.images:
            if "SliceThickness" in image.dataset:
                image.dataset.SliceThickness = f"{float(thickness):g}"
    if not changed:
        raise NotApplicableError("it is for three slices or more, with known spacing")


PERTURBATION = Perturbation(
    name="ct_slice_thickness",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="mm",
    severities=(2.0, 3.0, 5.0, 7.0, 10.0),
    sentence="Thicker slices at the same places: small structures fade into their neighbours.",
    source="Kalender, Computed Tomography (3rd edition, 2011), slice sensitivity profile as a box along z",
    function=thicken,
    in_place=True,
)
