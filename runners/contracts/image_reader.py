"""What a contract may ask of the host about a staged case; the host reads images, a runner never does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def grid(self, case: CaseInput) -> object:
        """Where the elements of the case's images lie: for :meth:`mask` and :meth:`pixels`, and nobody else.

        Raises:
            CaseFailed: STAGING_FAILED, they have no common grid.
        """
        ...

    def mask(
        self, content: bytes, grid: object, *, value: int | None, resample: bool, runs: int
    ) -> tuple[int, ...]:
        """Read a file that a container wrote as a mask on ``grid``: how many sides, the sides, the run lengths.

        ``value`` alone is inside where it is given. One on another grid is refused, or put on this one.

        Raises:
            CaseFailed: GARBAGE, it is no mask; OUTPUT_REFUSED, it is too large or lies on another grid; OUT_OF_RANGE,
                it has more than ``runs`` run lengths.
        """
        ...

    def pixels(self, grid: object, points: Sequence[tuple[float, ...]]) -> list[tuple[float, float]]:
        """Column and row (0, 0 the centre of the first) of places in the patient (LPS, mm), on a case of one plane.

        Raises:
            CaseFailed: STAGING_FAILED, the case has several planes.
        """
        ...
