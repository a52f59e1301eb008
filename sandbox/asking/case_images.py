"""What contracts of other platforms ask of the host about a staged case, read by ``holdout``, handed to ``runners``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from holdout.answered_mask import Problem
from holdout.case_reader import CaseReader
from holdout.errors import DecodingError
from holdout.image_grid import ImageGrid
from runners.contracts.metaimage import Volume
from runners.failures import CaseFailed, FailureCode
from runners.worker import CaseInput

_CODES: dict[Problem, FailureCode] = {
    "unreadable": FailureCode.GARBAGE,
    "unfit": FailureCode.OUTPUT_REFUSED,
    "too_many_runs": FailureCode.OUT_OF_RANGE,
}


class StagedImages:
    """A :class:`runners.contracts.image_reader.ImageReader` over a reader of staged files."""

    def __init__(self, reader: CaseReader) -> None:
        self._reader = reader

    def attributes(self, case: CaseInput, keywords: tuple[str, ...]) -> Mapping[str, Mapping[str, Any]]:
        """Values of attributes by file and keyword.

        Raises:
            CaseFailed: STAGING_FAILED.
        """
        try:
            return self._reader.attributes(case.directory, case.files, keywords)
        except DecodingError as error:
            raise CaseFailed(FailureCode.STAGING_FAILED, str(error)) from None

    def volume(self, case: CaseInput, files: tuple[str, ...]) -> Volume:
        """Decode ``files`` of a case as one image.

        Raises:
            CaseFailed: STAGING_FAILED.
        """
        try:
            found = self._reader.volume(case.directory, files)
        except DecodingError as error:
            raise CaseFailed(FailureCode.STAGING_FAILED, str(error)) from None
        return Volume(
            array=np.frombuffer(found.data, np.dtype(found.dtype)).reshape(found.shape),
            spacing=found.spacing,
            origin=found.origin,
            direction=found.direction,
            colour=found.colour,
        )

    def grid(self, case: CaseInput) -> ImageGrid:
        """Where the elements of the case's images lie.

        Raises:
            CaseFailed: STAGING_FAILED.
        """
        try:
            return self._reader.grid(case.directory, case.files)
        except DecodingError as error:
            raise CaseFailed(FailureCode.STAGING_FAILED, str(error)) from None

    def mask(
        self, content: bytes, grid: object, *, value: int | None, resample: bool, runs: int
    ) -> tuple[int, ...]:
        """Read what a container wrote as a mask on the grid of its case.

        Raises:
            CaseFailed: GARBAGE, OUTPUT_REFUSED or OUT_OF_RANGE.
        """
        assert isinstance(grid, ImageGrid)
        found = self._reader.mask(content, grid, value=value, resample=resample, runs=runs)
        if found.problem:
            raise CaseFailed(_CODES[found.problem], found.detail)
        return found.numbers

    def pixels(self, grid: object, points: Sequence[tuple[float, ...]]) -> list[tuple[float, float]]:
        """Column and row of places in the patient, on a case of one plane.

        Images without a place have their first pixel at 0 and their spacing, as in the file that was handed in.

        Raises:
            CaseFailed: STAGING_FAILED.
        """
        assert isinstance(grid, ImageGrid)
        if grid.slices != 1:
            raise CaseFailed(FailureCode.STAGING_FAILED, "a case of several planes has no pixels for a place")
        if not points:
            return []
        if grid.placed:
            found = grid.in_plane(points, 0)[:, :2]
        else:
            row, column = grid.spacing or (1.0, 1.0)
            found = np.asarray(points, dtype=np.float64)[:, :2] / (column, row)
        return [(float(x), float(y)) for x, y in found]
