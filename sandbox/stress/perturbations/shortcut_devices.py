"""Devices in a radiograph: a pacemaker, a tube with its line, electrodes. They are not the finding."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from sandbox.stress.case import OpenCase
from sandbox.stress.drawing import Mask, line_mask
from sandbox.stress.perturbation import Change, Perturbation, Severity
from sandbox.stress.radiograph import PROJECTION, levels_per_decade
from sandbox.stress.volume import put_back, volumes

_SOURCE = "Oakden-Rayner et al., Hidden stratification causes clinically meaningful failures, ACM CHIL 2020"


def _pacemaker(shape: tuple[int, int]) -> Mask:
    rows, columns = shape
    row, column = np.indices(shape, dtype=np.float32)
    box = ((row / rows - 0.27) / 0.055) ** 4 + ((column / columns - 0.76) / 0.06) ** 4 <= 1
    can = scipy.ndimage.gaussian_filter(box.astype(np.float32), 0.002 * columns)
    path = [(0.24, 0.72), (0.18, 0.64), (0.22, 0.55), (0.36, 0.47), (0.50, 0.47), (0.60, 0.52), (0.64, 0.58)]
    lead = line_mask(shape, [(y * rows, x * columns) for y, x in path], 0.006 * columns)
    return np.asarray(np.maximum(can, 0.7 * lead))


def _tube(shape: tuple[int, int]) -> Mask:
    rows, columns = shape
    path = [(0.0, 0.50), (0.15, 0.505), (0.36, 0.50)]
    tube = line_mask(shape, [(y * rows, x * columns) for y, x in path], 0.014 * columns)
    line = line_mask(shape, [(y * rows, (x + 0.006) * columns) for y, x in path], 0.003 * columns)
    return np.asarray(0.45 * tube + 0.55 * line)


def _electrodes(shape: tuple[int, int]) -> Mask:
    rows, columns = shape
    row, column = np.indices(shape, dtype=np.float32)
    mask = np.zeros(shape, np.float32)
    for y, x in ((0.22, 0.22), (0.22, 0.80), (0.72, 0.16), (0.74, 0.84)):
        snap = np.hypot(row - y * rows, column - x * columns)
        mask = np.maximum(mask, (snap < 0.014 * columns).astype(np.float32))
        path = [
            (y * rows, x * columns),
            ((y + 1) / 2 * rows, 0.5 * columns * (x + 0.5)),
            (rows, 0.55 * columns),
        ]
        mask = np.maximum(mask, 0.6 * line_mask(shape, path, 0.005 * columns))
    return np.asarray(mask)


def _placed(draw: object) -> Change:
    def change(case: OpenCase, decades: Severity, numbers: np.random.Generator) -> None:
        for volume in volumes(case):
            mask = draw(volume.shape)  # type: ignore[operator]
            lift = (mask * float(decades) * levels_per_decade(volume)).astype(np.float32)
            put_back(volume, volume.values + (lift[None, :, :, None] if volume.colour else lift[None]))

    return change


PERTURBATIONS = tuple(
    Perturbation(
        name=f"device_{name}",
        family="shortcuts",
        modalities=PROJECTION - {"MG", "IO", "PX"},
        expectation="may change within a margin",
        kind="pixels",
        unit="decades of attenuation",
        severities=(0.1, 0.2, 0.4, 0.7, 1.0),
        sentence=sentence,
        source=_SOURCE,
        function=_placed(draw),
        in_place=True,
    )
    for name, draw, sentence in (
        ("pacemaker", _pacemaker, "A pacemaker with its lead."),
        ("tube", _tube, "A tracheal tube with its radiopaque line."),
        ("electrodes", _electrodes, "ECG electrodes and their wires."),
    )
)
