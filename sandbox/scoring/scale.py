"""The scale on which a value within a range is taken as normal: logit, logarithm or none, by the range's ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from sandbox.scoring.cases import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Logit of the share of the way from ``low`` to ``high``; logarithm above ``low`` without a high end; else none.

    A correlation from -1 to 1 is on twice Fisher's z. At an end the value counts as half a case of ``n`` away from it.
    """

    low: float
    high: float
    n: int

    @property
    def _edge(self) -> float:
        return 0.5 / (self.n + 1)

    def _share(self, value: Floats) -> Floats:
        return np.clip((value - self.low) / (self.high - self.low), self._edge, 1 - self._edge)

    def forward(self, value: Floats) -> Floats:
        """From the value to the scale."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return np.asarray(special.logit(self._share(value)))
        if math.isfinite(self.low):
            return np.asarray(np.log(np.maximum(value - self.low, 1e-300)))
        return value

    def backward(self, working: Floats) -> Floats:
        """From the scale to the value."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return np.asarray(self.low + (self.high - self.low) * special.expit(working))
        if math.isfinite(self.low):
            return np.asarray(self.low + np.exp(np.minimum(working, 700.0)))
        return working

    def slope(self, value: float) -> float:
        """Change of the scale with the value."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            share = float(self._share(np.array(value)))
            return 1 / ((self.high - self.low) * share * (1 - share))
        return 1 / max(value - self.low, 1e-300) if math.isfinite(self.low) else 1.0
