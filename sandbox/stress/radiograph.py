"""What grey levels of a radiograph mean: exposure of the detector, on a logarithmic scale.

Presentation images have no physical unit. As vendors' curves are not published, a radiograph is taken as linear in
the logarithm of detector exposure over ``DECADES`` between its 1st and 99th percentile; brighter is less exposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.stress.volume import Volume

DECADES = 1.7
"""Orders of magnitude of exposure between the lightest and the darkest part (1:50)."""
QUANTA = 30_000.0
"""Photons a square millimetre and microgray: 30,174 for beam quality RQA5 (IEC 62220-1)."""
EXPOSURE = 2.5
"""Microgray at the detector, in the darkest part: a 400 speed class system."""
UNKNOWN_SPACING = 0.2
PROJECTION = frozenset({"CR", "DX", "MG", "RF", "XA", "RG", "IO", "PX"})


def opacity(volume: Volume) -> NDArray[Any]:
    """0 where the detector got most, 1 where it got least (white in the usual display)."""
    low, high = volume.content_range()
    share = (volume.values - low) / (high - low)
    return np.asarray(1 - share if volume.inverted else share)


def levels_per_decade(volume: Volume) -> float:
    """Grey levels for a factor of ten in exposure; negative when larger values are shown darker."""
    low, high = volume.content_range()
    return (high - low) / DECADES * (-1 if volume.inverted else 1)


def quanta(volume: Volume) -> NDArray[Any]:
    """Mean number of photons in each pixel."""
    spacing = volume.spacing or (UNKNOWN_SPACING, UNKNOWN_SPACING)
    most = QUANTA * EXPOSURE * spacing[0] * spacing[1]
    return np.asarray(most * 10 ** (-DECADES * np.clip(opacity(volume), -0.2, 1.2)))


def lightest(volume: Volume) -> float:
    """Value shown white: what no photon reached."""
    low, high = volume.content_range()
    return low if volume.inverted else high
