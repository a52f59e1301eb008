"""A mask as run lengths: how an answer and a reference standard hold one, in 2-D and 3-D.

The runs alternate from background: how many elements are outside, then inside, then outside again, through the array
in row-major order (C order: slice, row, column). They add up to the number of elements. A first run of 0 begins a mask
whose first element is inside; no later run is 0. So each mask has exactly one such list.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdout.errors import MaskError

Mask = npt.NDArray[np.bool_]

DIMENSIONS = (2, 3)
ELEMENTS = 2**31 - 1
"""Most elements of a mask: the largest run must fit 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """A mask: ``shape`` is (rows, columns) or (slices, rows, columns), ``lengths`` its run lengths."""

    shape: tuple[int, ...]
    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shape) not in DIMENSIONS or any(side < 1 for side in self.shape):
            raise MaskError(f"A mask has 2 or 3 dimensions of at least 1 element; this has {self.shape}.")
        if math.prod(self.shape) > ELEMENTS:
            raise MaskError(f"A mask of {self.shape} elements is larger than {ELEMENTS}.")
        if sum(self.lengths) != math.prod(self.shape):
            raise MaskError("The run lengths of a mask do not add up to its elements.")
        if min(self.lengths) < 0 or 0 in self.lengths[1:]:
            raise MaskError("A run length of a mask is negative, or 0 after the first.")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The mask as one list of whole numbers: dimensions, sides, run lengths."""
        return (len(self.shape), *self.shape, *self.lengths)


def from_numbers(numbers: Sequence[int]) -> Runs:
    """Read what :attr:`Runs.numbers` gives.

    Raises:
        MaskError: it is not a mask.
    """
    if not numbers or numbers[0] not in DIMENSIONS or len(numbers) < numbers[0] + 2:
        raise MaskError("A list of numbers does not hold a mask.")
    dimensions = numbers[0]
    return Runs(shape=tuple(numbers[1 : dimensions + 1]), lengths=tuple(numbers[dimensions + 1 :]))


def encode(mask: Mask) -> Runs:
    """Runs of a boolean array of 2 or 3 dimensions.

    Raises:
        MaskError: it has other dimensions, or too many elements.
    """
    flat = np.ascontiguousarray(mask).reshape(-1)
    if not flat.size:
        raise MaskError("A mask has no element.")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    lengths = np.diff(edges).tolist()
    return Runs(shape=mask.shape, lengths=tuple([0, *lengths] if flat[0] else lengths))


def decode(runs: Runs) -> Mask:
    """The boolean array of ``runs``."""
    lengths = np.asarray(runs.lengths, dtype=np.int64)
    inside = np.arange(lengths.size) % 2 == 1
    return np.repeat(inside, lengths).reshape(runs.shape)


MASK_BEGINS = '{"runs"'
"""How the text of a mask begins, and no other label's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueMask:
    """The mask that a reference standard holds for a case.

    ``spacing`` is the distance in mm between neighbouring elements along each axis; None where the image states none.
    """

    runs: Runs
    spacing: tuple[float, ...] | None

    def __post_init__(self) -> None:
        if self.spacing is not None and (
            len(self.spacing) != len(self.runs.shape) or not all(0 < each < 1e6 for each in self.spacing)
        ):
            raise MaskError("The spacing of a mask is not a distance for each axis.")

    @property
    def text(self) -> str:
        """One line of JSON: how a reference standard keeps it."""
        content = {"runs": self.runs.lengths, "shape": self.runs.shape, "spacing": self.spacing}
        return json.dumps(content, separators=(",", ":"))


def true_mask(text: str) -> TrueMask:
    """Read what :attr:`TrueMask.text` gives.

    Raises:
        MaskError: it is not a mask.
    """
    try:
        found = json.loads(text)
        runs = Runs(shape=tuple(found["shape"]), lengths=tuple(found["runs"]))
        spacing = None if found["spacing"] is None else tuple(map(float, found["spacing"]))
    except (ValueError, KeyError, TypeError) as error:
        raise MaskError("A label of the reference standard is not a mask.") from error
    return TrueMask(runs=runs, spacing=spacing)
