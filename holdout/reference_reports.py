"""Structured reports as truth: measurement groups of TID 1500 (PS3.16) as findings, numbers and answers.

The content tree is walked for containers named Measurement Group, wherever they stand; a report without any counts as
one group, so that vendors' own templates can be read by the concepts in them. What a group says of a case: its regions
on the case's images, or, where it names no image at all, everything. A group is one finding, the box around all of its
regions in the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from holdout.boxes import Box
from holdout.coded import code_of, is_code
from holdout.image_grid import Floats, ImageGrid
from holdout.image_reading import ImageDefect
from holdout.outlines import Kind, Outline, box_of
from holdout.reference_forms import SOP_CLASSES, ReportForm
from holdout.volume_lesions import VolumeLesions, checked_lesion

_MEASUREMENT_GROUP = "DCM:125007"
_FINDING = "DCM:121071"
_REFERENCED_SEGMENT = "DCM:121214"
_UCUM = "UCUM"
_DEEPEST = 32
_KINDS: dict[str, Kind] = {
    "POINT": "POINT",
    # Points of one region have no order: what counts of them is the box around.
    "MULTIPOINT": "POLYLINE",
    "POLYLINE": "POLYLINE",
    "POLYGON": "POLYGON",
    "CIRCLE": "CIRCLE",
    "ELLIPSE": "ELLIPSE",
}


def reported(dataset: Any, grid: ImageGrid, form: ReportForm) -> tuple[Box, ...] | str | None:
    """Findings, the number or the answer that a report has for a case; None when it has none.

    Raises:
        ImageDefect: it is no report, or says several things, in another unit, or what is not declared.
    """
    groups = _asked_groups(dataset, grid, form)
    if form.measurement is not None:
        return _number(groups, form)
    if form.evaluation is not None:
        return _answer(groups, form)
    if grid.slices != 1:
        raise ImageDefect(
            "findings are boxes in one image, but the case has several; lock with --unit image, or declare "
            "lesions: points"
        )
    boxes = [box for group in groups for box in _finding(group, grid, whole=group is not dataset)]
    return tuple(boxes) or None


def reported_places(dataset: Any, grid: ImageGrid, form: ReportForm) -> VolumeLesions | None:
    """Findings of a report as places in the patient: the middle of all regions of a group; None when it has none.

    Raises:
        ImageDefect: it is no report, or says places that cannot be taken to the patient.
    """
    found = []
    for group in _asked_groups(dataset, grid, form):
        regions = [_in_patient(item, group, grid) for item in _region_items(group)]
        known = [points for points in regions if points is not None]
        # A report without groups is one in itself, whose regions are a finding each.
        for points in known if group is dataset else [np.vstack(known)] if known else []:
            middle = (points.min(axis=0) + points.max(axis=0)) / 2
            found.append(checked_lesion([round(float(each), 3) for each in middle], "points"))
    return VolumeLesions(kind="points", lesions=tuple(found)) if found else None


def _asked_groups(dataset: Any, grid: ImageGrid, form: ReportForm) -> list[Any]:
    if str(dataset.get("SOPClassUID")) not in SOP_CLASSES["report"]:
        raise ImageDefect("not a structured report")
    return [
        group for group in _groups(dataset) if _concerns(group, grid) and _is_finding(group, form.finding)
    ]


def _in_patient(item: Any, group: Any, grid: ImageGrid) -> Floats | None:
    """Points of a region in LPS millimetres, shape (n, 3); None when they lie on an image of another case."""
    if item.ValueType == "SCOORD3D":
        known = str(item.get("ReferencedFrameOfReferenceUID") or "")
        if not grid.placed or (known and known != grid.frame_of_reference):
            raise ImageDefect("has regions in another Frame of Reference than its images")
        return _numbers(item, 3)
    image = _image_of(item, group)
    index = grid.slice_of(image)
    if index is None:
        return None
    if grid.positions is None or grid.spacing is None:
        raise ImageDefect("its images have no place in the patient, so that a region has none either")
    across, down = (_outline(item, _numbers(item, 2)).corners - 0.5).T
    places: Floats = (
        np.asarray(grid.positions[index])
        + across[:, None] * grid.spacing[1] * grid.axes[0]
        + down[:, None] * grid.spacing[0] * grid.axes[1]
    )
    return places


def _children(item: Any, depth: int = 0) -> Iterator[Any]:
    """Content items below an item, but not those that a number was derived from."""
    if depth > _DEEPEST:
        raise ImageDefect("its content is nested too deeply")
    for child in item.get("ContentSequence") or []:
        yield child
        if child.get("ValueType") != "NUM":
            yield from _children(child, depth + 1)


def _is_named(item: Any, *codes: str) -> bool:
    names = item.get("ConceptNameCodeSequence") or []
    return any(is_code(name, code) for name in names for code in codes)


def _groups(dataset: Any) -> list[Any]:
    found = [
        item
        for item in _children(dataset)
        if item.get("ValueType") == "CONTAINER" and _is_named(item, _MEASUREMENT_GROUP)
    ]
    return found or [dataset]


def _concerns(group: Any, grid: ImageGrid) -> bool:
    named = _images(group)
    return not named or bool(named & {uid for uid, _ in grid.instances})


def _everything(item: Any, depth: int = 0) -> Iterator[Any]:
    if depth > _DEEPEST:
        raise ImageDefect("its content is nested too deeply")
    for child in item.get("ContentSequence") or []:
        yield child
        yield from _everything(child, depth + 1)


def _is_finding(group: Any, wanted: str | None) -> bool:
    return wanted is None or any(
        is_code(code, wanted)
        for item in _children(group)
        if item.get("ValueType") == "CODE" and _is_named(item, _FINDING)
        for code in item.get("ConceptCodeSequence") or []
    )


def _number(groups: Sequence[Any], form: ReportForm) -> str | None:
    """The one number of the measured concept."""
    assert form.measurement is not None
    found: list[float] = []
    for group in groups:
        for item in _children(group):
            if item.get("ValueType") != "NUM" or not _is_named(item, form.measurement):
                continue
            for value in item.get("MeasuredValueSequence") or []:
                units = [code_of(unit) for unit in value.get("MeasurementUnitsCodeSequence") or []]
                if not any(u and (u.scheme_designator, u.value) == (_UCUM, form.unit) for u in units):
                    raise ImageDefect(f"has a number in another unit than {form.unit}")
                found.append(float(value.NumericValue))
    if len(found) > 1:
        raise ImageDefect(f"has {len(found)} numbers for one case: narrow them by their finding")
    if found and not np.isfinite(found[0]):
        raise ImageDefect("has a number that is none")
    return repr(found[0]) if found else None


def _answer(groups: Sequence[Any], form: ReportForm) -> str | None:
    """The one answer to the evaluated concept, by its declared name."""
    assert form.evaluation is not None
    found: set[str] = set()
    for group in groups:
        for item in _children(group):
            if item.get("ValueType") not in ("CODE", "TEXT") or not _is_named(item, form.evaluation):
                continue
            found |= {_declared(item, form)}
    if len(found) > 1:
        raise ImageDefect("has answers that contradict each other: narrow them by their finding")
    return next(iter(found), None)


def _declared(item: Any, form: ReportForm) -> str:
    text = str(item.get("TextValue") or "").strip()
    for name, codes in form.answers.items():
        if name == text and item.get("ValueType") == "TEXT":
            return name
        if any(is_code(each, code) for each in item.get("ConceptCodeSequence") or [] for code in codes):
            return name
    raise ImageDefect("has an answer that the declaration does not name")


def _finding(group: Any, grid: ImageGrid, *, whole: bool) -> tuple[Box, ...]:
    """Box around all regions of a group on the image, or (not ``whole``) around each."""
    found = [box_of(each, grid.rows, grid.columns) for each in _regions(group, grid)]
    boxes = [box for box in found if box is not None]
    if not whole or len(boxes) < 2:
        return tuple(boxes)
    low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
    return ((float(low[0]), float(low[1]), float(high[2]), float(high[3])),)


def _regions(group: Any, grid: ImageGrid) -> Iterator[Outline]:
    """Outlines of a group on the image."""
    for item in _region_items(group):
        points = _on_plane(item, grid) if item.ValueType == "SCOORD3D" else _in_image(item, group, grid)
        if points is not None:
            yield _outline(item, points)


def _region_items(group: Any) -> list[Any]:
    """Regions of a group: its own, or else those that its numbers were taken from."""
    if not any(map(_is_region, _everything(group))) and any(
        _is_named(item, _REFERENCED_SEGMENT) for item in _children(group)
    ):
        raise ImageDefect("its regions are segments of another object: declare form: segmentation")
    own = [item for item in _children(group) if _is_region(item)]
    return own or [item for item in _everything(group) if _is_region(item)]


def _is_region(item: Any) -> bool:
    return str(item.get("ValueType")) in ("SCOORD", "SCOORD3D")


def _outline(item: Any, points: Floats) -> Outline:
    kind = str(item.get("GraphicType") or "")
    if kind not in _KINDS:
        raise ImageDefect("has a region of a type that has no outline in an image")
    if str(item.get("PixelOriginInterpretation") or "FRAME") != "FRAME":
        raise ImageDefect("has coordinates of a whole slide")
    return Outline(kind=_KINDS[kind], points=points)


def _images(item: Any) -> set[str]:
    """Images that an item names, anywhere below it; a segment of a segmentation is none."""
    return {
        str(reference.get("ReferencedSOPInstanceUID"))
        for child in _everything(item)
        if child.get("ValueType") == "IMAGE"
        for reference in child.get("ReferencedSOPSequence") or []
        if str(reference.get("ReferencedSOPClassUID")) not in SOP_CLASSES["segmentation"]
    }


def _in_image(item: Any, group: Any, grid: ImageGrid) -> Floats | None:
    """Coordinates in the image that they were selected from; None when that is another one."""
    return _numbers(item, 2) if grid.slice_of(_image_of(item, group)) is not None else None


def _image_of(item: Any, group: Any) -> str:
    # Where the image stands elsewhere in the group, and is the only one there, it is meant.
    named = _images(item) or _images(group)
    if len(named) != 1:
        raise ImageDefect("has coordinates that do not say in which image they lie")
    return next(iter(named))


def _numbers(item: Any, dimensions: int) -> Floats:
    values = np.array([float(value) for value in item.GraphicData], dtype=np.float64)
    if not len(values) or len(values) % dimensions:
        raise ImageDefect("has a region that is not a list of places")
    return values.reshape(-1, dimensions)


def _on_plane(item: Any, grid: ImageGrid) -> Floats | None:
    """Places in the patient as pixels of the image; None when they lie on another slice."""
    known = str(item.get("ReferencedFrameOfReferenceUID") or "")
    if not grid.placed or (known and known != grid.frame_of_reference):
        raise ImageDefect("has regions in another Frame of Reference than its images")
    seen = grid.in_plane(_numbers(item, 3), 0)
    reach = max(grid.nearness(), (grid.thickness or 0) / 2)
    if np.abs(seen[:, 2]).min() > reach:
        return None
    if np.abs(seen[:, 2]).max() > reach:
        raise ImageDefect("has a region that does not lie in the plane of the image")
    pixels: Floats = seen[:, :2] + 0.5
    return pixels
