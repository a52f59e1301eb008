"""A random subset of a larger pool for each evaluation, and a fresh pool when the old one is worn.

The draw is made by a key that stays with the institution, so that a vendor cannot foresee which patients answer,
and the same evaluation asked again meets the same patients: the draw is no second look. Patients are drawn, not
cases, with equal chances and without replacement: those whose keyed hashes are lowest.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sandbox.reuse.errors import ReuseError

_LABEL = b"proctor/draw/1"
_SHORTEST_KEY = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A draw, as it is recorded in the ledger before the run.

    Attributes:
        purpose: what was drawn for, e.g. an evaluation's identity.
        pool: SHA-256 over the sorted patients of the pool.
        pool_size: number of patients in the pool.
        patients: those drawn, sorted; stays inside.
        digest: SHA-256 over the drawn patients, for the ledger.
    """

    purpose: str
    pool: str
    pool_size: int
    patients: tuple[str, ...]
    digest: str


def draw(pool: Collection[str], *, share: float, key: bytes, purpose: str) -> Draw:
    """Draw ``ceil(share * len(pool))`` patients.

    Args:
        pool: patients, each once.
        share: above 0, at most 1.
        key: at least 32 secret bytes of this hold-out version.
        purpose: names the draw; the same purpose gives the same draw.

    Raises:
        ReuseError: the pool is empty or holds a patient twice, the share is out of range, or the key is short.
    """
    patients = sorted(pool)
    if not patients or len(set(patients)) != len(patients):
        raise ReuseError("a pool needs patients, each of them once")
    if not 0 < share <= 1:
        raise ReuseError("the share of the pool must be above 0 and at most 1")
    # A share such as 0.1 of 30 is a hair above 3 in floating point.
    number = min(len(patients), math.ceil(share * len(patients) - 1e-9))
    drawn = _lowest(patients, number, key, purpose)
    return Draw(
        purpose=purpose,
        pool=patients_digest(patients),
        pool_size=len(patients),
        patients=drawn,
        digest=patients_digest(drawn),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """A new pool: who stays, who left because of their uses, who came."""

    patients: tuple[str, ...]
    left: tuple[str, ...]
    came: tuple[str, ...]


def refresh(
    pool: Collection[str],
    uses: Mapping[str, int],
    reserve: Collection[str],
    *,
    most_uses: int,
    size: int,
    key: bytes,
) -> Refresh:
    """Replace worn patients by patients of a reserve that was never used.

    The new pool is a new hold-out version: check it with :func:`sandbox.disclosure.differencing.version_differences`
    against the old one.

    Args:
        pool: patients of the old pool.
        uses: uses of each patient; absent means none.
        reserve: patients who may come in, none of them in the pool.
        most_uses: from so many uses on a patient leaves.
        size: patients that the new pool shall have; more when more than these may stay.
        key: at least 32 secret bytes of this hold-out; who comes in is drawn with it.

    Raises:
        ReuseError: the reserve overlaps the pool, was used before, or is too small; or the key is short.
    """
    if set(reserve) & set(pool):
        raise ReuseError("the reserve holds patients of the pool; a reserve is what was never asked")
    if any(uses.get(patient, 0) for patient in reserve):
        raise ReuseError("the reserve holds patients who were used before; take them out")
    stay = [patient for patient in sorted(pool) if uses.get(patient, 0) < most_uses]
    left = [patient for patient in sorted(pool) if uses.get(patient, 0) >= most_uses]
    missing = size - len(stay)
    if missing > len(reserve):
        raise ReuseError(
            "the reserve is too small for the size of the new pool; a new hold-out needs new patients"
        )
    came = _lowest(reserve, max(0, missing), key, "refresh " + patients_digest(pool))
    return Refresh(patients=tuple(sorted((*stay, *came))), left=tuple(left), came=came)


def _lowest(patients: Collection[str], number: int, key: bytes, purpose: str) -> tuple[str, ...]:
    """The patients with the lowest keyed hashes, sorted by name."""
    if len(key) < _SHORTEST_KEY:
        raise ReuseError(f"the key of a draw must have at least {_SHORTEST_KEY} bytes")
    own = hmac.new(key, _LABEL + b"\0" + purpose.encode(), hashlib.sha256).digest()
    rank = {patient: hmac.new(own, patient.encode(), hashlib.sha256).digest() for patient in patients}
    return tuple(sorted(sorted(rank, key=lambda patient: (rank[patient], patient))[:number]))


def patients_digest(patients: Collection[str]) -> str:
    """SHA-256 over ``patients``, each after its length, in the order of their names."""
    hashed = hashlib.sha256()
    for patient in sorted(patients):
        data = patient.encode()
        hashed.update(len(data).to_bytes(4, "big") + data)
    return "sha256:" + hashed.hexdigest()
