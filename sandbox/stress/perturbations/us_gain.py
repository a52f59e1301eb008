"""Ultrasound with the overall gain, or the gain over depth, set otherwise; and a shadow behind a reflector."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from sandbox.stress.case import OpenCase
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.ultrasound import echo_region
from sandbox.stress.volume import Volume, put_back, volumes

DYNAMIC_RANGE = 60.0
"""Decibels from black to white of a log-compressed display."""
_FLOOR = 0.05
"""Share of the grey scale below which gain acts less and less: what is black has no echo that gain could lift."""
_MODALITIES = frozenset({"US", "IVUS"})


def levels_per_decibel(volume: Volume) -> float:
    """Grey levels a decibel."""
    return (volume.limits[1] - max(volume.limits[0], 0.0)) / DYNAMIC_RANGE


def _applied(volume: Volume, decibels: NDArray[Any]) -> None:
    """Add decibels (rows and columns of the echo region) where there is echo; black stays black."""
    gain = np.zeros(volume.shape, np.float32)
    gain[echo_region(volume)] = decibels * levels_per_decibel(volume)
    floor = np.float32(_FLOOR * DYNAMIC_RANGE * levels_per_decibel(volume))
    # One field for red, green and blue: grey must stay grey.
    grey = volume.values.max(axis=3) if volume.colour else volume.values
    field = gain * np.clip(grey / floor, 0, 1)
    changed = volume.values + (field[..., None] if volume.colour else field)
    put_back(volume, np.maximum(changed, np.minimum(volume.values, 0)))


def _size(volume: Volume) -> tuple[int, int]:
    down, across = echo_region(volume)
    return down.stop - down.start, across.stop - across.start


def raise_gain(case: OpenCase, decibels: Severity, numbers: np.random.Generator) -> None:
    """Add ``decibels`` everywhere."""
    for volume in volumes(case):
        _applied(volume, np.full(_size(volume), float(decibels)))


def lose_depth(case: OpenCase, decibels: Severity, numbers: np.random.Generator) -> None:
    """Lose gain linearly with depth, ``decibels`` at the bottom."""
    for volume in volumes(case):
        depth = np.linspace(0, 1, _size(volume)[0])[:, None]
        _applied(volume, -float(decibels) * np.broadcast_to(depth, _size(volume)))


def cast_shadow(case: OpenCase, decibels: Severity, numbers: np.random.Generator) -> None:
    """Lose ``decibels`` in a wedge behind a reflector a quarter down."""
    for volume in volumes(case):
        rows, columns = _size(volume)
        row, column = np.indices((rows, columns), dtype=np.float32)
        start = 0.25 * rows
        middle = columns * (0.4 + 0.2 * numbers.random())
        # Rays leave the probe's face above the image and spread.
        half = 0.05 * columns + 0.08 * np.maximum(row - start, 0)
        wedge = ((row > start) & (np.abs(column - middle) < half)).astype(np.float32)
        _applied(volume, -float(decibels) * scipy.ndimage.gaussian_filter(wedge, 0.01 * columns))


GAIN = Perturbation(
    name="us_gain",
    family="US",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="dB",
    severities=(3.0, 6.0, 9.0, 12.0, 18.0),
    sentence="Overall gain too high: grey becomes white.",
    source="Szabo, Diagnostic Ultrasound Imaging (2nd edition, 2014), log compression to 60 dB",
    function=raise_gain,
    in_place=True,
)
LOW_GAIN = Perturbation(
    name="us_gain_down",
    family="US",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="dB",
    severities=(-3.0, -6.0, -9.0, -12.0, -18.0),
    sentence="Overall gain too low: weak echoes vanish.",
    source="Szabo, Diagnostic Ultrasound Imaging (2nd edition, 2014), log compression to 60 dB",
    function=raise_gain,
    in_place=True,
)
TGC = Perturbation(
    name="us_tgc",
    family="US",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="dB at the bottom",
    severities=(5.0, 10.0, 15.0, 22.0, 30.0),
    sentence="Time gain compensation too low: the image darkens with depth.",
    source="Szabo, Diagnostic Ultrasound Imaging (2nd edition, 2014), attenuation 0.5 dB/(cm MHz)",
    function=lose_depth,
    in_place=True,
)
SHADOW = Perturbation(
    name="us_shadow",
    family="US",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="dB",
    severities=(4.0, 8.0, 14.0, 22.0, 35.0),
    sentence="Acoustic shadow behind a rib, a stone or gas.",
    source="Feldman, Katyal, Blackwood, US artifacts, RadioGraphics 2009",
    function=cast_shadow,
)
