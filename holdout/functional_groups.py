"""Pixel spacing and slice thickness of multi-frame objects, which have them in functional groups, not on top.

PS3.3, C.7.6.16: the Shared Functional Groups Sequence holds what is the same for all frames, the Per-Frame
Functional Groups Sequence the rest, an item a frame; C.7.6.16.2.1: the Pixel Measures Sequence in either.
"""

from __future__ import annotations

from holdout.elements import (
    PER_FRAME_GROUPS,
    PIXEL_MEASURES,
    SHARED_GROUPS,
    OddDataSetError,
    Values,
    first_item,
    walk_data_set,
)

FUNCTIONAL_GROUPS = (SHARED_GROUPS, PER_FRAME_GROUPS)
MEASURES = frozenset({0x00180050, 0x00280030})
"""Slice Thickness and Pixel Spacing."""


def lift_measures(values: Values, *, implicit: bool, big_endian: bool) -> None:
    """Put the measures that the top level lacks into ``values``, in place of the groups that hold them.

    Those of all frames come first, then those of the first frame.

    Raises:
        OddDataSetError: a group that is needed is not plainly a sequence of items.
    """
    for tag in FUNCTIONAL_GROUPS:
        vr, groups = values.pop(tag, ("", b""))
        if values.keys() >= MEASURES:
            continue
        try:
            # What is written as UN is in implicit VR (PS3.5, 6.2.2, note 2).
            found = _measures(groups, implicit=implicit or vr == "UN", big_endian=big_endian)
        except OddDataSetError as error:
            # What is odd in there says nothing about the top level.
            raise OddDataSetError(f"has odd functional groups: {error}") from error
        for measure, value in found.items():
            values.setdefault(measure, value)


def _measures(groups: bytes, *, implicit: bool, big_endian: bool) -> Values:
    of_frame = first_item(groups, implicit=implicit, big_endian=big_endian)
    found, _ = walk_data_set(of_frame, 0, {PIXEL_MEASURES}, implicit=implicit, big_endian=big_endian)
    vr, sequence = found.get(PIXEL_MEASURES, ("", b""))
    implicit = implicit or vr == "UN"
    measures = first_item(sequence, implicit=implicit, big_endian=big_endian)
    return walk_data_set(measures, 0, MEASURES, implicit=implicit, big_endian=big_endian)[0]
