"""Images that no algorithm for another question should answer: phantoms and other body parts, drawn from formulas.

``head`` is Shepp and Logan's (The Fourier reconstruction of a head section, IEEE TNS 1974) with the grey levels of
Toft (The Radon transform, 1996). ``legs`` and ``hand`` are simple shapes with attenuation of bone and soft tissue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

Picture = NDArray[Any]

# Level, half axes (right, up), centre (right, up), degrees.
_HEAD = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)
# Finger: root and tip (right, down) in units of half the height; the thumb last.
_FINGERS = (
    ((-0.30, 0.30), (-0.46, -0.52)),
    ((-0.12, 0.24), (-0.18, -0.74)),
    ((0.07, 0.26), (0.10, -0.70)),
    ((0.24, 0.34), (0.36, -0.46)),
    ((-0.36, 0.58), (-0.78, 0.02)),
)
_SOFT, _BONE = 0.25, 0.55
"""Attenuation, a centimetre: water and cortical bone about 60 keV, rounded."""


def _axes(shape: tuple[int, int]) -> tuple[Picture, Picture]:
    """Right and up, from -1 to 1 along the shorter side."""
    half = min(shape) / 2
    up = ((shape[0] - 1) / 2 - np.arange(shape[0], dtype=np.float32)) / half
    right = (np.arange(shape[1], dtype=np.float32) - (shape[1] - 1) / 2) / half
    return right[None, :], up[:, None]


def head(shape: tuple[int, int]) -> Picture:
    """Shepp-Logan head: 0 outside, 1 in the skull, about 0.2 in the brain."""
    right, up = _axes(shape)
    picture: Picture = np.zeros(shape, np.float32)
    for level, a, b, x, y, degrees in _HEAD:
        angle = np.deg2rad(degrees)
        along = (right - x) * np.cos(angle) + (up - y) * np.sin(angle)
        across = -(right - x) * np.sin(angle) + (up - y) * np.cos(angle)
        picture[(along / a) ** 2 + (across / b) ** 2 <= 1] += level
    return picture


def head_units(shape: tuple[int, int]) -> Picture:
    """The head in HU: air -1000, brain about 40, skull 1000."""
    values = head(shape)
    soft: Picture = np.where(
        values <= 0.01, -1000.0, np.where(values >= 0.9, 1000.0, 40 + (values - 0.2) * 200)
    )
    return soft.astype(np.float32)


def legs_units(shape: tuple[int, int]) -> Picture:
    """A section through both thighs in HU."""
    right, up = _axes(shape)
    picture: Picture = np.full(shape, -1000.0, np.float32)
    for side in (-1, 1):
        radius = np.hypot((right - side * 0.46) / 0.40, up / 0.46)
        picture[radius <= 1] = -90
        picture[radius <= 0.84] = 55
        bone = np.hypot(right - side * 0.46, up - 0.03)
        picture[bone <= 0.11] = 1200
        picture[bone <= 0.06] = 20
    return picture


def hand_opacity(shape: tuple[int, int]) -> Picture:
    """A hand as seen in a radiograph: 0 for air to 1 for the thickest bone (minus the log of transmission)."""
    right, up = _axes(shape)
    down = -up
    soft: Picture = np.zeros(shape, np.float32)
    bone: Picture = np.zeros(shape, np.float32)
    palm = 1 - (right / 0.40) ** 2 - ((down - 0.50) / 0.36) ** 2
    soft = np.maximum(soft, 2.6 * np.sqrt(np.clip(palm, 0, None)))
    wrist = (down > 0.7) * np.clip(1 - (right / 0.26) ** 2, 0, None)
    soft = np.maximum(soft, 2.6 * np.sqrt(wrist))
    for root, tip in _FINGERS:
        soft = np.maximum(soft, 1.7 * _capsule(right, down, root, tip, 0.10))
        wrist_end = (root[0] * 0.55, min(root[1] + 0.36, 0.72))
        joints = [
            wrist_end,
            root,
            *(_between(root, tip, share) for share in (0.46, 0.74)),
            _between(root, tip, 0.95),
        ]
        for first, last, width in zip(joints, joints[1:], (0.050, 0.045, 0.040, 0.034), strict=False):
            shaft = _capsule(right, down, _between(first, last, 0.10), _between(first, last, 0.90), width)
            marrow = _capsule(
                right, down, _between(first, last, 0.2), _between(first, last, 0.8), width * 0.5
            )
            bone = np.maximum(bone, shaft - 0.55 * marrow)
    for side in (-0.11, 0.11):
        bone = np.maximum(bone, 1.4 * _capsule(right, down, (side, 0.86), (side, 1.4), 0.08))
    for column, row in (
        (-0.15, 0.70),
        (-0.05, 0.68),
        (0.06, 0.68),
        (0.15, 0.71),
        (-0.1, 0.77),
        (0.0, 0.76),
        (0.1, 0.78),
    ):
        bone = np.maximum(
            bone, np.sqrt(np.clip(1 - ((right - column) / 0.055) ** 2 - ((down - row) / 0.05) ** 2, 0, None))
        )
    total = _SOFT * soft + _BONE * bone
    return np.asarray(scipy.ndimage.gaussian_filter(total / total.max(), 0.003 * min(shape)))


def _between(first: tuple[float, float], last: tuple[float, float], share: float) -> tuple[float, float]:
    return first[0] + (last[0] - first[0]) * share, first[1] + (last[1] - first[1]) * share


def _capsule(
    right: Picture, down: Picture, first: tuple[float, float], last: tuple[float, float], radius: float
) -> Picture:
    """Relative thickness of a rod with round ends seen from the side."""
    along = np.array([last[0] - first[0], last[1] - first[1]])
    length = float(along @ along) or 1.0
    share = np.clip(((right - first[0]) * along[0] + (down - first[1]) * along[1]) / length, 0, 1)
    distance = np.hypot(right - first[0] - share * along[0], down - first[1] - share * along[1])
    return np.asarray(np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, None)))


def contrast_detail(shape: tuple[int, int]) -> Picture:
    """A test object from 0 to 1: a plate with discs of falling size and contrast, and bars."""
    right, up = _axes(shape)
    picture: Picture = np.full(shape, 0.5, np.float32)
    for row in range(5):
        for column in range(5):
            radius = 0.09 * 0.72**column
            contrast = 0.45 * 0.6**row
            disc = np.hypot(right - (-0.7 + 0.35 * column), up - (0.7 - 0.28 * row)) <= radius
            picture[disc] += contrast
    for group in range(5):
        period = 0.12 * 0.6**group
        inside = (np.abs(right - (-0.7 + 0.35 * group)) < 0.14) & (np.abs(up + 0.75) < 0.12)
        bars = (np.floor((right + 2) / period * 2) % 2) * np.ones_like(up)
        picture[inside] = np.where(bars[inside] > 0, 0.95, 0.05)
    picture[(np.abs(right) > 0.95) | (np.abs(up) > 0.95)] = 0.0
    return picture
