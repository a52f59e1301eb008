"""Photographs under another light, or exposed otherwise."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import Volume, put_back, volumes

_PHOTOGRAPHS = frozenset({"XC", "ES", "GM", "OP", "SM", "DMS", "OT", "SC"})
REFERENCE = 6504.0
"""Kelvin of sRGB's white, CIE standard illuminant D65."""


def _linear(values: np.ndarray) -> np.ndarray:
    share = np.clip(values, 0, 255) / 255
    return np.asarray(np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4))


def _encoded(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.asarray(255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055))


def white_of(kelvin: float) -> np.ndarray:
    """Linear sRGB of a daylight or black-body white of luminance 1 (CIE D series; Kim et al. below 4000 K)."""
    if kelvin >= 4000:
        powers = (
            (-4.6070e9, 2.9678e6, 99.11, 0.244063)
            if kelvin <= 7000
            else (-2.0064e9, 1.9018e6, 247.48, 0.237040)
        )
        x = powers[0] / kelvin**3 + powers[1] / kelvin**2 + powers[2] / kelvin + powers[3]
        y = -3.000 * x * x + 2.870 * x - 0.275
    else:
        x = -0.2661239e9 / kelvin**3 - 0.2343589e6 / kelvin**2 + 0.8776956e3 / kelvin + 0.179910
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    matrix = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    return np.asarray(matrix @ xyz)


def _photographs(case: OpenCase) -> list[Volume]:
    found = list(volumes(case))
    if not all(volume.colour for volume in found):
        raise NotApplicableError("it is for colour images")
    return found


def relight(case: OpenCase, kelvin: Severity, numbers: np.random.Generator) -> None:
    """Multiply linear light by the ratio of the white of ``kelvin`` to that of daylight: no white balance."""
    for volume in _photographs(case):
        ratio = white_of(float(kelvin)) / white_of(REFERENCE)
        put_back(volume, _encoded(_linear(volume.values) * ratio / ratio[1]).astype(np.float32))


def expose(case: OpenCase, stops: Severity, numbers: np.random.Generator) -> None:
    """Multiply linear light by 2 to the power of ``stops``."""
    for volume in _photographs(case):
        put_back(volume, _encoded(_linear(volume.values) * 2 ** float(stops)).astype(np.float32))


LIGHT = Perturbation(
    name="colour_temperature",
    family="photographs",
    modalities=_PHOTOGRAPHS,
    expectation="may change within a margin",
    kind="pixels",
    unit="K",
    severities=(5500.0, 4800.0, 4200.0, 3600.0, 3000.0),
    sentence="Warmer light without white balance, from daylight to a lamp.",
    source="CIE 15:2018 (daylight series); Kim et al., US patent 7024034 (Planckian locus); IEC 61966-2-1 (sRGB)",
    function=relight,
    in_place=True,
)
COOLER = Perturbation(
    name="white_balance",
    family="photographs",
    modalities=_PHOTOGRAPHS,
    expectation="may change within a margin",
    kind="pixels",
    unit="K",
    severities=(7200.0, 8200.0, 10000.0, 13000.0, 20000.0),
    sentence="The camera's white balance is set too cold.",
    source="CIE 15:2018 (daylight series); IEC 61966-2-1 (sRGB)",
    function=relight,
    in_place=True,
)
EXPOSURE = Perturbation(
    name="overexposure",
    family="photographs",
    modalities=_PHOTOGRAPHS,
    expectation="may change within a margin",
    kind="pixels",
    unit="stops",
    severities=(0.3, 0.6, 1.0, 1.5, 2.0),
    sentence="Overexposed: light parts burn out.",
    source="ISO 12232:2019 (exposure in stops); IEC 61966-2-1 (sRGB)",
    function=expose,
    in_place=True,
)
