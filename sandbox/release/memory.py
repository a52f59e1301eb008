"""What the ladder and Thresholdout remember of one vendor and hold-out version, bound by the ledger.

Each step is a file of its own, named by its digest, and the entry ``mechanism-answered`` that holds this digest makes
it count. An older file put back has another name, a changed one another digest, and a lost one stops the mechanism:
without its memory it would draw fresh noise, begin a fresh budget, or answer anew what it answered before.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.canonical import canonical_json, digest_bytes
from sandbox.errors import ReleaseError
from sandbox.evidence.durable import write_durable
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import entry, short
from sandbox.reuse.mechanisms import Mechanism

ENTRY_KIND = "mechanism-answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Where one mechanism remembers what it said to ``vendor`` of a hold-out version; ``folder`` holds all of them."""

    ledger: Ledger
    folder: Path
    holdout: str
    version: str
    vendor: str

    def recall(self, mechanism: Mechanism) -> dict[str, Any]:
        """``state``, and ``answers`` by evaluation; empty before the first answer.

        Raises:
            ReleaseError: the file that the ledger names is missing, or is not that file.
        """
        known = self._digest(mechanism)
        if known is None:
            return {"state": None, "answers": {}}
        path = self._path(mechanism, known)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ReleaseError(
                f"{path} cannot be read, so nobody can say what this mechanism answered before. Restore it from a "
                "backup of the workspace."
            ) from error
        if digest_bytes(data) != known:
            raise ReleaseError(
                f"{path} is not the file whose digest is in the ledger: it was changed. Restore it from a backup of "
                "the workspace."
            )
        found: dict[str, Any] = json.loads(data)
        return found

    def remember(self, mechanism: Mechanism, evaluation: str, content: dict[str, Any]) -> None:
        """Keep ``content`` as the mechanism's new memory, which counts once its entry is in the ledger."""
        before = self._digest(mechanism)
        # The noise on a threshold has few possible values: without salt its digest would tell it.
        data = canonical_json({**content, "salt": secrets.token_hex(16)})
        now = digest_bytes(data)
        self.folder.mkdir(exist_ok=True, mode=0o700)
        write_durable(self._path(mechanism, now), data, mode=0o600)
        subject = {**self._about(mechanism), "evaluation": evaluation, "memory": now}
        self.ledger.append(entry(ENTRY_KIND, subject=subject, detail={"answers": len(content["answers"])}))
        if before is not None:
            with suppress(OSError):
                self._path(mechanism, before).unlink()

    def _about(self, mechanism: Mechanism) -> dict[str, str]:
        return {
            "holdout": self.holdout,
            "version": self.version,
            "vendor": self.vendor,
            "mechanism": mechanism,
        }

    def _digest(self, mechanism: Mechanism) -> str | None:
        known = self.ledger.find(kind=ENTRY_KIND, **self._about(mechanism))
        return str(known[-1].subject["memory"]) if known else None

    def _path(self, mechanism: Mechanism, digest: str) -> Path:
        name = f"{self.holdout}.{self.version}.{self.vendor}.{mechanism}.{short(digest)}"
        return self.folder / name
