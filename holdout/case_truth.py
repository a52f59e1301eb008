"""The truth of one case, with how it was established."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTruth:
    """Truth of one case: label values as text ('1'/'0' where binary, None unlabelled), and the details.

    ``objects`` are the SHA-256 of the files of objects that labels were read from; ``resampled`` says whether one of
    them lay on another grid than the images.
    """

    labels: Mapping[str, str | None]
    method: str
    readers: str
    date: str
    objects: tuple[str, ...] = ()
    resampled: bool = False

    @property
    def labelled(self) -> bool:
        """Whether any label has a value."""
        return any(value is not None for value in self.labels.values())
