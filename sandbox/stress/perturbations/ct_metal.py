"""CT streaks from metal: beam hardening and photon starvation along the rays through an implant."""

from __future__ import annotations

METAL_HU = 3000.0
_ANGLES = 180
_GRID = 192
_HARDENING = 22_000.0
_STARVATION = 13_000.0
"""HU for a squared, and for a single, centimetre of metal in the ray: about -300 HU between rods of 12 mm that are
90 mm apart, and streaks of 25 HU, as published images of hip prostheses show."""
