"""What was told already: the issued releases of a hold-out version, as the ledger and the workspace hold them.

What a release told stays inside as ``told.json``: its charges to the budget and its constraints on the protected
cells. Budget and audit rest on these files alone, so their digests stand in the ledger: a file that was lost or
changed stops every further release instead of making room for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.canonical import canonical_json, digest_bytes
from sandbox.disclosure.fields import Constraint, Term
from sandbox.errors import EvidenceError, ReleaseError
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.strictjson import JsonLimits, parse_object
from sandbox.institution.workspace import Workspace
from sandbox.reuse.bits import Charge

TOLD = "told.json"
_LIMITS = JsonLimits(size=64 * 2**20, depth=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one release tells: to whom, at what cost, and about which cells."""

    charges: tuple[Charge, ...]
    constraints: tuple[Constraint, ...]
    protected: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON, the bytes of ``told.json``."""
        return canonical_json(
            {
                "charges": [[each.vendor, each.path, each.bits] for each in self.charges],
                "constraints": [
                    [[[term.cell, term.coefficient] for term in each.terms], each.low, each.high]
                    for each in self.constraints
                ],
                "protected": list(self.protected),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One issued release of a hold-out version."""

    release: str
    evaluation: str
    vendor: str
    content: str
    entry: LedgerEntry
    told: Told


def read_told(data: bytes) -> Told:
    """Read ``told.json`` back.

    Raises:
        ReleaseError: not such a form.
    """
    try:
        plain: dict[str, Any] = parse_object(data, what=TOLD, limits=_LIMITS)
        return Told(
            charges=tuple(Charge(vendor=v, path=p, bits=float(b)) for v, p, b in plain["charges"]),
            constraints=tuple(
                Constraint(
                    terms=tuple(Term(cell=cell, coefficient=number) for cell, number in terms),
                    low=low,
                    high=high,
                )
                for terms, low, high in plain["constraints"]
            ),
            protected=tuple(plain["protected"]),
        )
    except (EvidenceError, LookupError, TypeError, ValueError) as error:
        raise ReleaseError(f"A {TOLD} cannot be read. Restore it from a backup of the workspace.") from error


def issued(workspace: Workspace, ledger: Ledger, *, holdout: str, version: str) -> tuple[Issued, ...]:
    """Every release that was issued of this hold-out version, oldest first.

    Raises:
        ReleaseError: the file of one is missing or is not what the ledger says.
    """
    entries = ledger.find(kind="release-issued", holdout=holdout, version=version)
    return tuple(
        Issued(
            release=each.subject["release"],
            evaluation=each.subject["evaluation"],
            vendor=each.subject["vendor"],
            content=each.subject["content"],
            entry=each,
            told=_told(workspace, each),
        )
        for each in entries
    )


def issued_folder(workspace: Workspace, release: str, content: str) -> Path:
    """Where the bytes with the digest ``content`` lie once they were issued as ``release``."""
    return workspace.release(release) / f"issued-{content.removeprefix('sha256:')[:16]}"


def charges(releases: Iterable[Issued]) -> tuple[Charge, ...]:
    """All charges of ``releases``."""
    return tuple(charge for each in releases for charge in each.told.charges)


def constraints(releases: Sequence[Issued]) -> tuple[Constraint, ...]:
    """All that a reader of all ``releases`` knows of the cells."""
    return tuple(dict.fromkeys(found for each in releases for found in each.told.constraints))


def protected(releases: Sequence[Issued]) -> tuple[str, ...]:
    """Cells that any of ``releases`` speaks of."""
    return tuple(dict.fromkeys(cell for each in releases for cell in each.told.protected))


def _told(workspace: Workspace, entry: LedgerEntry) -> Told:
    path = issued_folder(workspace, entry.subject["release"], entry.subject["content"]) / TOLD
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReleaseError(
            f"{path} is missing, so nobody can say what was told already; no further release is possible. Restore "
            "it from a backup of the workspace, or retire this version of the hold-out."
        ) from error
    if digest_bytes(data) != entry.subject["told"]:
        raise ReleaseError(
            f"{path} is not the file that ledger entry {entry.index} names. Restore it from a backup of the "
            "workspace."
        )
    return read_told(data)
