"""What contracts of other platforms ask of the host about a staged case, read by ``holdout``, handed to ``runners``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from holdout.case_reader import CaseReader
from holdout.errors import DecodingError
from runners.contracts.metaimage import Volume
from runners.failures import CaseFailed, FailureCode
from runners.worker import CaseInput


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
