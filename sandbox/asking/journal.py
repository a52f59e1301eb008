"""The journal of a run: one line for each case that ended, so that a killed run goes on where it stopped.

A line is written before the next case is asked. Only a whole line counts: a torn last one, from a kill in the
middle of a write, is cut off and its case is asked again.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.errors import EvaluationError

_SECONDS_BETWEEN_SYNCS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one case ended. ``seconds`` and ``container`` (round-side.number) stay inside the institution.

    ``kept`` stands in the place of ``levels`` where an answer is not kept itself, only what it was worth.
    """

    case_id: str
    levels: list[int] | None
    failure: str | None
    seconds: float
    container: str
    kept: Mapping[str, object] | None = None


_FIELDS = tuple(field.name for field in fields(Ended))


class Journal:
    """Append-only journal of one evaluation, opened for the length of a run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ended: dict[str, Ended] = {}
        whole = 0
        if path.exists():
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            for number, text in enumerate(content[:whole].splitlines(), start=1):
                try:
                    item = Ended(**json.loads(text))
                except (ValueError, TypeError) as error:
                    raise EvaluationError(
                        f"Line {number} of {path} is damaged. Remove the folder {path.parent} to run it from the start."
                    ) from error
                self.ended[item.case_id] = item
        self._file = path.open("ab")
        self._file.truncate(whole)
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sync()
        self._file.close()

    def append(self, item: Ended) -> None:
        """Record how a case ended."""
        line = {name: getattr(item, name) for name in _FIELDS if name != "kept" or item.kept is not None}
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        self.ended[item.case_id] = item
        # A lost machine may cost the last seconds' work, never a wrong line; a killed process loses nothing.
        if time.monotonic() - self._synced >= _SECONDS_BETWEEN_SYNCS:
            self._sync()

    def failure_counts(self) -> dict[str, int]:
        """How many ended without an answer, by code."""
        return dict(sorted(Counter(item.failure for item in self.ended.values() if item.failure).items()))

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()
