"""Where the echo picture lies in an ultrasound image: beside it stand texts and scales that no physics changes."""

from __future__ import annotations

from sandbox.stress.volume import Volume

_TISSUE_FORMAT = 1
"""Region Spatial Format 2D (PS3.3 C.8.5.5.1.1)."""


def echo_region(volume: Volume) -> tuple[slice, slice]:
    """Rows and columns of the 2D regions that the header declares; the whole image when it declares none."""
    rows, columns = volume.shape
    boxes = []
    for region in volume.images[0].dataset.get("SequenceOfUltrasoundRegions") or ():
        ends = [region.get(f"RegionLocation{name}") for name in ("MinY0", "MaxY1", "MinX0", "MaxX1")]
        if region.get("RegionSpatialFormat") == _TISSUE_FORMAT and None not in ends:
            top, bottom, left, right = (int(end) for end in ends)
            if 0 <= top < bottom <= rows and 0 <= left < right <= columns:
                boxes.append((top, bottom, left, right))
    if not boxes:
        return slice(0, rows), slice(0, columns)
    tops, bottoms, lefts, rights = zip(*boxes, strict=True)
    return slice(min(tops), max(bottoms)), slice(min(lefts), max(rights))
