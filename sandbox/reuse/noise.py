"""Noise from a cryptographic source, drawn exactly: no floating-point step that an attacker could read back.

Textbook Laplace noise from floating-point logarithms leaves holes in its low bits that tell the value beneath
(Mironov 2012, CCS, doi 10.1145/2382196.2382264). Here noise is a whole multiple of a fixed step, drawn with whole
numbers only: the discrete Laplace and the discrete Gaussian of Canonne, Kamath and Steinke 2020
(arXiv 2004.00010, algorithms 1 to 3).
"""

from __future__ import annotations

import random
import secrets
from fractions import Fraction

STEP = Fraction(1, 2**20)
"""Noise is a multiple of it: far below any grid on which an answer is given."""

Source = random.Random
"""Where random whole numbers come from: ``secrets.SystemRandom``, or a seeded ``random.Random`` in tests."""


def system_source() -> Source:
    """The operating system's cryptographic source."""
    return secrets.SystemRandom()


def laplace(scale: Fraction, source: Source) -> Fraction:
    """Draw from the discrete Laplace distribution on multiples of :data:`STEP`; variance about 2 scale**2.

    Args:
        scale: positive.
        source: of random whole numbers.

    Raises:
        ValueError: the scale is not positive.
    """
    if scale <= 0:
        raise ValueError("the scale of noise must be positive")
    return _discrete_laplace(scale / STEP, source) * STEP


def gaussian(deviation: Fraction, source: Source) -> Fraction:
    """Draw from the discrete Gaussian on multiples of :data:`STEP`; variance about deviation**2.

    Raises:
        ValueError: the deviation is not positive.
    """
    if deviation <= 0:
        raise ValueError("the standard deviation of noise must be positive")
    variance = (deviation / STEP) ** 2
    wide = Fraction(int(deviation / STEP) + 1)
    while True:
        found = _discrete_laplace(wide, source)
        if _happens_exp((abs(found) - variance / wide) ** 2 / (2 * variance), source):
            return found * STEP


def _discrete_laplace(scale: Fraction, source: Source) -> int:
    """Draw x with probability proportional to exp(-|x| / scale): algorithm 2."""
    top, bottom = scale.numerator, scale.denominator
    while True:
        below = source.randrange(top)
        if not _happens_exp(Fraction(below, top), source):
            continue
        above = 0
        while _happens_exp(Fraction(1), source):
            above += 1
        size = (below + top * above) // bottom
        negative = source.randrange(2) == 1
        if negative and size == 0:
            continue
        return -size if negative else size


def _happens_exp(exponent: Fraction, source: Source) -> bool:
    """Return True with probability exp(-exponent): algorithm 1."""
    while exponent > 1:
        if not _happens_exp(Fraction(1), source):
            return False
        exponent -= 1
    k = 1
    while source.randrange(exponent.denominator * k) < exponent.numerator:
        k += 1
    return k % 2 == 1
