"""Ultrasound at another depth setting, and with what the scanner writes into the image."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.drawing import blended, placed, text_mask
from sandbox.stress.geometry import transformed
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.ultrasound import echo_region
from sandbox.stress.volume import put_back, volumes


def deepen(case: OpenCase, factor: Severity, numbers: np.random.Generator) -> None:
    """Show a ``factor`` times larger depth: everything is smaller; regions and spacing follow."""
    for volume in volumes(case):
        scale = float(factor)
        down, across = echo_region(volume)
        columns = across.stop - across.start
        # The probe's face, top middle, stays where it is.
        matrix = np.diag([scale, scale])
        values = volume.values.copy()
        values[:, down, across] = transformed(
            values[:, down, across], matrix, (0.0, (columns - 1) / 2 * (1 - scale)), 0.0
        )
        put_back(volume, values)
        for image in volume.images:
            for region in image.dataset.get("SequenceOfUltrasoundRegions") or ():
                for keyword in ("PhysicalDeltaX", "PhysicalDeltaY"):
                    if region.get(keyword):
                        region[keyword].value = float(region[keyword].value) * scale
            if image.dataset.get("PixelSpacing"):
                image.dataset.PixelSpacing = [
                    f"{float(gap) * scale:.8g}" for gap in image.dataset.PixelSpacing
                ]


def mark(case: OpenCase, height: Severity, numbers: np.random.Generator) -> None:
    """Write an annotation of ``height`` percent of the rows into the upper half of the image."""
    for volume in volumes(case):
        rows, columns = volume.shape
        mask = text_mask("RT LOBE TRANS", max(round(float(height) / 100 * rows), 3))
        mask = placed(mask, volume.shape, rows // 6, max((columns - mask.shape[1]) // 2, 0))
        put_back(volume, blended(volume.values, mask, volume.limits[1], colour=volume.colour))


DEPTH = Perturbation(
    name="us_depth_scale",
    family="US",
    modalities=frozenset({"US", "IVUS"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="times the depth",
    severities=(1.1, 1.25, 1.5, 1.75, 2.0),
    sentence="A deeper field of view on the same matrix; the header tells the new scale.",
    source="PS3.3 C.8.5.5 US Region Calibration",
    function=deepen,
)
MARKER = Perturbation(
    name="us_burned_in_marker",
    family="US",
    modalities=frozenset({"US", "IVUS"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="% of the rows",
    severities=(2.0, 3.0, 5.0, 8.0, 12.0),
    sentence="The sonographer's annotation burned into the image.",
    source="PS3.3 C.7.6.1 Burned In Annotation",
    function=mark,
)
