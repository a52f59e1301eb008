"""What an audit found, kept beside the request: reviews and the issue check it and solve nothing again.

It is no claim that has to be believed. It holds solutions, each of which is checked against every constraint of the
day; whoever forges or keeps an old one proves nothing with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.canonical import canonical_json
from sandbox.disclosure.solutions import SolutionBlock
from sandbox.errors import EvidenceError
from sandbox.evidence.durable import write_durable
from sandbox.evidence.strictjson import JsonLimits, parse_object

CERTIFICATE = "audit.json"
_LIMITS = JsonLimits(size=256 * 2**20, depth=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Solutions that show the audit's widths, and the paths that were withheld to reach them."""

    solutions: tuple[SolutionBlock, ...] = ()
    withheld: tuple[str, ...] = ()


def write_certificate(folder: Path, certificate: Certificate) -> None:
    """Keep a certificate in a release's folder."""
    blocks = [
        {"cells": list(block.cells), "values": [list(row) for row in block.values]}
        for block in certificate.solutions
    ]
    plain = canonical_json({"solutions": blocks, "withheld": list(certificate.withheld)})
    write_durable(folder / CERTIFICATE, plain)


def read_certificate(folder: Path) -> Certificate:
    """Read a release's certificate; one that is missing or damaged is as good as none, and the audit solves anew."""
    try:
        plain = parse_object((folder / CERTIFICATE).read_bytes(), what=CERTIFICATE, limits=_LIMITS)
        blocks = tuple(
            SolutionBlock(
                cells=tuple(map(str, block["cells"])),
                values=tuple(tuple(map(int, row)) for row in block["values"]),
            )
            for block in plain["solutions"]
        )
        return Certificate(solutions=blocks, withheld=tuple(map(str, plain["withheld"])))
    except (OSError, EvidenceError, LookupError, TypeError, ValueError):
        return Certificate()
