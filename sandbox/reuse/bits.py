"""The bits ledger: what a release costs, what is left, and how far reuse widens what may be concluded.

If all that anybody ever learned from a hold-out takes one of at most 2**b values, then whatever was chosen with
that knowledge, the mean over n cases of a quantity in [0, 1] lies within

    sqrt((b ln 2 + ln(2/d)) / (2n))

of its expectation with probability at least 1 - d: Hoeffding's inequality and a union bound over the 2**b values
(Dwork et al. 2015, arXiv 1506.02629, the argument by description length). It holds for independent cases, and for any
quantity in [0, 1]: whether a call is right, or a Dice coefficient. Where patients have several cases each, n are the
patients, and the mean is one in which each patient weighs the same.

What was spent is no counter that could be charged twice: it is derived from the releases that were issued.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.disclosure.fields import ReleasedField


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Bits of one field that was issued to a vendor; ``path`` is unique within the hold-out version."""

    vendor: str
    path: str
    bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one vendor, and all vendors together, have learned of a hold-out version, in bits."""

    vendor: str
    spent: float
    budget: float
    pooled_spent: float
    pooled_budget: float

    @property
    def left(self) -> float:
        """Bits that may still be released to this vendor."""
        return max(0.0, min(self.budget - self.spent, self.pooled_budget - self.pooled_spent))


def cost(fields: Iterable[ReleasedField]) -> float:
    """Bits of ``fields``, withheld ones included: that a number is withheld is an answer too."""
    return math.fsum(field.bits for field in fields)


def charges(vendor: str, fields: Iterable[ReleasedField]) -> tuple[Charge, ...]:
    """The charges of ``fields`` to be kept with an issued release."""
    return tuple(Charge(vendor=vendor, path=field.path, bits=field.bits) for field in fields)


def unpaid(
    fields: Iterable[ReleasedField], vendor: str, issued: Iterable[Charge]
) -> tuple[ReleasedField, ...]:
    """The fields that ``vendor`` has not been told yet; the same field again costs nothing."""
    known = {charge.path for charge in issued if charge.vendor == vendor}
    return tuple(field for field in fields if field.path not in known)


def account(vendor: str, issued: Iterable[Charge], *, budget: float, pooled_budget: float) -> Account:
    """Derive what was spent from all charges of a hold-out version's issued releases, in any order.

    The same field told to the same vendor twice counts once; told to two vendors it counts once in the pool,
    because two vendors who share what they know learn nothing from the second telling.
    """
    own: dict[str, float] = {}
    pooled: dict[str, float] = {}
    for charge in issued:
        pooled[charge.path] = max(charge.bits, pooled.get(charge.path, 0.0))
        if charge.vendor == vendor:
            own[charge.path] = max(charge.bits, own.get(charge.path, 0.0))
    return Account(
        vendor=vendor,
        spent=math.fsum(own.values()),
        budget=budget,
        pooled_spent=math.fsum(pooled.values()),
        pooled_budget=pooled_budget,
    )


def reuse_adjusted_half_width(bits: float, n: int, delta: float = 0.05) -> float:
    """Half-width of the interval that holds after ``bits`` were learned from ``n`` cases; see the module.

    Args:
        bits: bits learned so far, at least 0.
        n: independent cases (patients, when a patient has several) behind the mean.
        delta: chance that the interval does not hold, in (0, 1).

    Raises:
        ValueError: an argument is out of its range.
    """
    if not (bits >= 0 and n >= 1 and 0 < delta < 1):
        raise ValueError("bits must be at least 0, n at least 1, delta between 0 and 1")
    return math.sqrt((bits * math.log(2) + math.log(2 / delta)) / (2 * n))


def shares(issued: Iterable[Charge]) -> Mapping[str, float]:
    """Bits that each vendor has learned, by name."""
    told: dict[tuple[str, str], float] = {}
    for charge in issued:
        key = (charge.vendor, charge.path)
        told[key] = max(charge.bits, told.get(key, 0.0))
    vendors = sorted({vendor for vendor, _ in told})
    return {name: math.fsum(bits for (owner, _), bits in told.items() if owner == name) for name in vendors}
