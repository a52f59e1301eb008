"""Where one frame of a DICOM image lies: spacing, thickness, position, orientation, from wherever the object says it.

Sources: PS3.3 C.7.6.2 (image plane of single-frame images), C.7.6.16 (functional groups of multi-frame ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdout.errors import DecodingError

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePlace:
    """Place of a frame in LPS millimetres; None where the object does not say.

    ``spacing`` is the distance between rows, then between columns. ``position`` is that of the centre of the first
    pixel, ``orientation`` the directions along a row and along a column.
    """

    spacing: tuple[float, float] | None
    thickness: float | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None


def frame_place(dataset: Any, index: int) -> FramePlace:
    """Place of frame ``index`` (from 0) of a pydicom dataset.

    Raises:
        DecodingError: a spacing is not a positive number.
    """
    groups = functional_groups(dataset, index)
    measures = first_item(groups, "PixelMeasuresSequence") or dataset
    spacing = next(
        (
            measures.get(name) or dataset.get(name)
            for name in _SPACINGS
            if measures.get(name) or dataset.get(name)
        ),
        None,
    )
    place = first_item(groups, "PlanePositionSequence") or (None if groups else dataset)
    turn = first_item(groups, "PlaneOrientationSequence") or (None if groups else dataset)
    # One place for several frames is the place of none of them.
    single = int(dataset.get("NumberOfFrames") or 1) == 1 or bool(groups)
    thickness = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    return FramePlace(
        spacing=None if spacing is None else (_positive(spacing[0]), _positive(spacing[1])),
        thickness=None if thickness is None else _positive(thickness),
        position=_numbers(place, "ImagePositionPatient", 3) if single else None,
        orientation=_numbers(turn, "ImageOrientationPatient", 6) if single else None,
    )


def functional_groups(dataset: Any, index: int) -> list[Any]:
    """Functional groups of a frame, its own before the shared ones."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    return [*own[index : index + 1], *shared[:1]]


def first_item(groups: Sequence[Any], keyword: str) -> Any:
    """First item of sequence ``keyword`` in the first group that has it; None where none has."""
    return next((group.get(keyword)[0] for group in groups if group.get(keyword)), None)


def _numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    values = None if dataset is None else dataset.get(keyword)
    if not values or len(values) != count:
        return None
    return tuple(float(value) for value in values)


def _positive(value: Any) -> float:
    number = float(value)
    if not (np.isfinite(number) and number > 0):
        raise DecodingError("a spacing of the image is not a positive number")
    return number
