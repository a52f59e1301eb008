"""What a lock was asked for, as one digest: the same request again is the same version, not a second one.

It is written before the lock is made. A process killed between the lock and its ledger entry leaves a folder; this
tells whether it is what is asked for now, or the remains of another request.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from holdout.reference import ReferenceStandard
from sandbox.canonical import canonical_json
from sandbox.institution.workspace import write_json


def request_digest(
    index: bytes,
    reference: ReferenceStandard,
    *,
    parts: Sequence[str] | None,
    site: Mapping[str, Sequence[str]] | None,
    exclusions: Mapping[str, str],
    declared: Collection[str],
) -> str:
    """Digest of everything that decides what a lock holds; ``index`` is the index file's content."""
    truths = {
        uid: [dict(truth.labels), truth.method, truth.readers, truth.date, *truth.objects]
        for uid, truth in reference.by_case.items()
    }
    asked = {
        "index": hashlib.sha256(index).hexdigest(),
        "unit": reference.unit,
        "labels": list(reference.labels),
        "binary": list(reference.binary),
        "problems": [*reference.duplicates, *reference.conflicts],
        "truths": hashlib.sha256(canonical_json(truths)).hexdigest(),
        "parts": None if parts is None else hashlib.sha256(canonical_json(list(parts))).hexdigest(),
        "site": None if site is None else hashlib.sha256(canonical_json(_plain(site))).hexdigest(),
        # A file name given on the command line need not be text.
        "exclusions": {ascii(what): ascii(reason) for what, reason in exclusions.items()},
        "declared": sorted(declared),
    }
    return hashlib.sha256(canonical_json(asked)).hexdigest()


def was_asked(folder: Path, version: str, digest: str) -> bool:
    """Whether ``version`` of the hold-out in ``folder`` was made by the same request."""
    try:
        return bool(json.loads(_path(folder, version).read_bytes()) == {"request": digest})
    except (OSError, ValueError):
        return False


def note_request(folder: Path, version: str, digest: str) -> None:
    """Write down what ``version`` is about to be made from."""
    write_json(_path(folder, version), {"request": digest})


def remove_unfinished(destination: Path) -> None:
    """Remove a locked folder that no ledger entry knows, so that nothing can rest on it."""
    destination.chmod(0o700)
    shutil.rmtree(destination)


def _path(folder: Path, version: str) -> Path:
    return folder / f"request-{version}.json"


def _plain(site: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name: list(values) for name, values in site.items()}
