"""What a contract may ask of the host about a staged case; the host reads images, a runner never does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from runners.contracts.metaimage import Volume
from runners.worker import CaseInput


class ImageReader(Protocol):
    """Reads what the container is about to see, never more: the staged files, in processes that may die."""

    def attributes(self, case: CaseInput, keywords: tuple[str, ...]) -> Mapping[str, Mapping[str, Any]]:
        """Values of attributes by file and keyword, plain JSON; what a file does not have is absent.

        Ages are numbers of years, decimal and integer strings are numbers, several values are a list.

        Raises:
            CaseFailed: STAGING_FAILED, it cannot be read.
        """
        ...

    def volume(self, case: CaseInput, files: tuple[str, ...]) -> Volume:
        """Decode ``files`` of a case as one image.

        Raises:
            CaseFailed: STAGING_FAILED, they cannot be decoded, or are not one image.
        """
        ...
