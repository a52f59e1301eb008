"""CT of a body that reaches outside the scan field, or lies off its centre."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.geometry import background, foreground, shifted
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import put_back, volumes

CUPPING = 350.0
"""Hounsfield units by which values rise at the edge of a truncated field."""
_CUPPING_REACH = 0.06


def truncate(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Keep a disc of ``share`` percent of the body's width; its rim is too bright, outside there is air."""
    for volume in volumes(case):
        body = foreground(volume).any(axis=0)
        rows, columns = np.nonzero(body) if body.any() else np.nonzero(np.ones(volume.shape, bool))
        centre = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
        width = max(columns.max() - columns.min(), rows.max() - rows.min()) + 1
        radius = float(share) / 100 * width / 2
        row, column = np.indices(volume.shape, dtype=np.float32)
        distance = np.hypot(row - centre[0], column - centre[1])
        rim = CUPPING * np.exp(-(radius - distance) / (_CUPPING_REACH * width))
        inside = distance <= radius
        severed = body & ~inside
        values = volume.values + np.where(inside & severed.any(), rim, 0).astype(np.float32)
        values[:, ~inside] = background(volume)
        put_back(volume, values)


def move_table(case: OpenCase, distance: Severity, numbers: np.random.Generator) -> None:
    """Show the body ``distance`` mm lower in the same field, as on a table that is too low."""
    for volume in volumes(case):
        fill = background(volume)
        put_back(volume, shifted(volume.values, float(distance) / volume.needs_spacing()[0], 0, fill))


TRUNCATION = Perturbation(
    name="ct_truncation",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="% of the body's width",
    severities=(95.0, 85.0, 75.0, 65.0, 55.0),
    sentence="The body is wider than the scan field: the edge is cut and its rim is too bright.",
    source="Ohnesorge et al., Efficient correction for CT image artifacts caused by objects extending outside the "
    "scan field of view, Med Phys 2000",
    function=truncate,
)
TABLE = Perturbation(
    name="ct_table_shift",
    family="CT",
    modalities=frozenset({"CT"}),
    expectation="may change within a margin",
    kind="pixels",
    unit="mm",
    severities=(10.0, 20.0, 40.0, 60.0, 80.0),
    sentence="The patient lies below the centre of the gantry.",
    source="Toth, Ge, Daly, The influence of patient centering on CT dose and image noise, Med Phys 2007",
    function=move_table,
)
