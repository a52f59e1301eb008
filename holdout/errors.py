"""Errors of the hold-out: one small tree, by meaning.

``refused`` tells a rule that said no (True) from something that is broken (False); commands turn it into
different exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from holdout.inclusion import Problem


class HoldoutError(Exception):
    """Anything about locked data that ends an operation; the message says what, where and what to do."""

    refused: ClassVar[bool] = False


class IngestError(HoldoutError):
    """A folder cannot be read into an index at all (single files that cannot be read become rows instead)."""


class HoldoutIndexError(HoldoutError):
    """An index file is missing, damaged, or of another version."""


class SearchError(HoldoutError):
    """A filter over the index is not valid, or asks for more than filtering rows."""

    refused: ClassVar[bool] = True


class FilterError(SearchError):
    """A filter is not an expression, or names a column that the index does not have."""

    refused: ClassVar[bool] = False


class MappingError(HoldoutError):
    """A mapping of a foreign image folder to DICOM is not valid, or does not fit the folder."""

    refused: ClassVar[bool] = True


class ReferenceStandardError(HoldoutError):
    """The reference standard has duplicates, conflicts or impossible values, so it cannot be locked.

    ``problems`` are all duplicates and conflicts, where the message names the first few.
    """

    refused: ClassVar[bool] = True

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class LeakageError(HoldoutError):
    """Cases are shared between places that must be disjoint."""

    refused: ClassVar[bool] = True


class PartitionError(HoldoutError):
    """A partition by patient cannot be made as asked."""

    refused: ClassVar[bool] = True


class LockError(HoldoutError):
    """A hold-out cannot be locked or opened."""


class LockRefusedError(LockError):
    """A rule forbids locking this data; ``problems`` are all of them, where the message names the first few."""

    refused: ClassVar[bool] = True

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class VerificationError(HoldoutError):
    """A locked hold-out no longer is what its manifest says."""

    refused: ClassVar[bool] = True


class SealError(HoldoutError):
    """An encrypted part cannot be opened: wrong key, or altered bytes."""


class StagingError(HoldoutError):
    """The container's view of a case cannot be made."""


class DecodingError(HoldoutError):
    """Pixel data cannot be decoded within the limits."""


class MaskError(HoldoutError):
    """A mask does not have the agreed form."""
