"""DICOM Segmentation objects as masks of the images that they were drawn on (PS3.3 C.8.20).

A segment is taken for an image only where its frames name that image as their source: then both have one pixel grid,
and nothing has to be resampled. A segmentation that is tied to the image by geometry alone is refused.
"""

from __future__ import annotations

import io

import highdicom
import numpy as np
from numpy.typing import NDArray

from holdout.image_reading import ImageDefect

MAXIMUM_FRAMES = 10_000


def segment_plane(content: bytes, sop_instance_uid: str) -> NDArray[np.uint8]:
    """The one segment of a binary segmentation on the image ``sop_instance_uid``: 1 inside, shape (rows, columns).

    Parses foreign bytes: to be called in a child process with limits.

    Raises:
        ImageDefect: it is no such object, has several segments, or does not name the image as its source.
    """
    try:
        found = highdicom.seg.segread(io.BytesIO(content))
        kind = str(found.SegmentationType)
        segments = list(found.segment_numbers)
        frames = int(found.get("NumberOfFrames", 1))
    except Exception as error:
        raise ImageDefect("not a DICOM Segmentation that can be read") from error
    if kind != "BINARY":
        raise ImageDefect(f"is a {kind.lower()[:20]} segmentation; a mask is binary")
    if len(segments) != 1:
        raise ImageDefect(f"has {len(segments)} segments: which of them is meant is not known")
    if frames > MAXIMUM_FRAMES:
        raise ImageDefect(f"has more than {MAXIMUM_FRAMES} frames")
    try:
        sources = {str(uid) for _, _, uid in found.get_source_image_uids()}
    except Exception as error:
        raise ImageDefect("does not say which images it was drawn on") from error
    if sop_instance_uid not in sources:
        raise ImageDefect("does not name its image as a source")
    try:
        # A frame that is left out of a segmentation is one without anything inside.
        planes = found.get_pixels_by_source_instance([sop_instance_uid], assert_missing_frames_are_empty=True)
    except Exception as error:
        raise ImageDefect("its frames do not lie on the grid of its image") from error
    plane: NDArray[np.uint8] = np.asarray(planes[0, ..., 0], dtype=np.uint8)
    return plane
