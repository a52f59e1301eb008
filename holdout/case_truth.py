"""The truth of one case, with how it was established."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTruth:
    """Truth of one case: label values as text ('1'/'0' where binary, None unlabelled), and the details."""

    labels: Mapping[str, str | None]
    method: str
    readers: str
    date: str

    @property
    def labelled(self) -> bool:
        """Whether any label has a value."""
        return any(value is not None for value in self.labels.values())
