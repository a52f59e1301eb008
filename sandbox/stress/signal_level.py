"""How strong the signal of an image is: the level that noise and artefacts are measured against."""

from __future__ import annotations

import numpy as np

from sandbox.stress.errors import NotApplicableError
from sandbox.stress.volume import Volume, thinned

_FOREGROUND = 0.15
"""Share of the 99th percentile above which a pixel counts as signal."""


def signal_level(volume: Volume) -> float:
    """Mean of the pixels above 15% of the 99th percentile, over the volume.

    Raises:
        NotApplicableError: there is no signal.
    """
    values = thinned(volume.values)
    top = float(np.percentile(values, 99))
    signal = values[values > _FOREGROUND * top]
    if top <= 0 or not signal.size:
        raise NotApplicableError("the image has no signal above zero")
    return float(signal.mean())
