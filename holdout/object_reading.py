"""Truth out of one object for the cases that it is about; runs in child processes with limits.

The parts by form: :mod:`holdout.reference_segmentation`, ``reference_volumes``, ``reference_structures``,
``reference_presentations``, ``reference_reports`` and ``reference_keys``.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from holdout.boxes import Box
from holdout.image_grid import ImageGrid, read_grid, read_instances
from holdout.image_reading import ImageDefect
from holdout.mask_runs import encode
from holdout.placed_mask import FoundMask
from holdout.reference_forms import (
    KeyObjectsForm,
    PresentationForm,
    Reading,
    ReportForm,
    SegmentationForm,
    StructureSetForm,
    VolumeForm,
)
from holdout.volume_lesions import LesionKind, VolumeLesions


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTask:
    """One object (its file) to read for cases, each with the files of its images; ``label`` is what it is read for.

    Without a file the cases are those that no object speaks of: their mask is empty.
    """

    label: str
    reading: Reading
    mask: bool
    boxes: bool
    path: str
    cases: tuple[tuple[str, tuple[str, ...]], ...]
    lesions: LesionKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTruthFound:
    """What an object says of one case; all but ``case`` empty where it says nothing of it.

    ``mask`` are the numbers of run lengths, ``boxes`` the findings in an image, ``lesions`` those in a volume, ``text``
    a number or answer; ``problem`` is why there is none of them.
    """

    case: str
    mask: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None
    resampled: bool = False
    boxes: tuple[Box, ...] | None = None
    lesions: tuple[tuple[float, ...], ...] | None = None
    text: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFound:
    """Outcome of a task: hash of the object's file, and what it says of each case."""

    sha256: str
    cases: tuple[CaseTruthFound, ...]


def read_object(task: ReadingTask) -> ObjectFound:
    """Carry out one task."""
    if not task.path:
        return ObjectFound(
            sha256="", cases=tuple(_read_case(task, None, case, paths) for case, paths in task.cases)
        )
    digest, content = _content(task.path)
    try:
        thing: Any = content if isinstance(task.reading, VolumeForm) else _dataset(task.path)
    except ImageDefect as defect:
        return ObjectFound(
            sha256=digest,
            cases=tuple(CaseTruthFound(case=case, problem=str(defect)) for case, _ in task.cases),
        )
    return ObjectFound(
        sha256=digest, cases=tuple(_read_case(task, thing, case, paths) for case, paths in task.cases)
    )


def _read_case(task: ReadingTask, thing: Any, case: str, paths: Sequence[str]) -> CaseTruthFound:
    try:
        geometric = task.mask or task.boxes or task.lesions
        grid = (read_grid if geometric else read_instances)([Path(path) for path in paths])
        if task.lesions is not None:
            return _lesions_found(thing, grid, task.reading, task.lesions, case)
        found = _blank(grid) if thing is None else _read(thing, grid, task.reading, mask=task.mask)
    except ImageDefect as defect:
        return CaseTruthFound(case=case, problem=str(defect))
    except (AttributeError, ValueError, TypeError, KeyError, IndexError, ArithmeticError):
        # Foreign objects lack anything; what was being read when it showed is of no use to the operator.
        return CaseTruthFound(case=case, problem=f"is no {task.reading.form} that can be read")
    if isinstance(found, FoundMask):
        plane = found.mask[0] if grid.slices == 1 else found.mask
        return CaseTruthFound(
            case=case,
            mask=encode(plane).numbers,
            spacing=grid.element_spacing,
            resampled=found.resampled,
        )
    if isinstance(found, tuple):
        return CaseTruthFound(case=case, boxes=found)
    return CaseTruthFound(case=case, text=found)


def _blank(grid: ImageGrid) -> FoundMask:
    return FoundMask(mask=np.zeros((grid.slices, grid.rows, grid.columns), dtype=bool))


def _read(
    thing: Any, grid: ImageGrid, reading: Reading, *, mask: bool
) -> FoundMask | tuple[Box, ...] | str | None:
    # Each form is imported by the children that meet it.
    if isinstance(reading, SegmentationForm):
        from holdout.reference_segmentation import segmentation_mask

        return segmentation_mask(thing, grid, reading)
    if isinstance(reading, VolumeForm):
        from holdout.reference_volumes import volume_mask

        return volume_mask(thing, grid, reading)
    if isinstance(reading, StructureSetForm):
        from holdout.reference_structures import structure_mask, structure_points

        return structure_mask(thing, grid, reading) if mask else structure_points(thing, grid, reading)
    if isinstance(reading, PresentationForm):
        from holdout.reference_presentations import presented_boxes, presented_mask

        return presented_mask(thing, grid, reading) if mask else presented_boxes(thing, grid, reading)
    if isinstance(reading, ReportForm):
        from holdout.reference_reports import reported

        return reported(thing, grid, reading)
    assert isinstance(reading, KeyObjectsForm)
    from holdout.reference_keys import referenced_as

    return referenced_as(thing, grid, reading)


def _lesions_found(
    thing: Any, grid: ImageGrid, reading: Reading, kind: LesionKind, case: str
) -> CaseTruthFound:
    """Lesions in a volume: the separate objects of a mask, or the places that a report or a structure set names."""
    places: VolumeLesions | None = None
    if isinstance(reading, ReportForm):
        from holdout.reference_reports import reported_places

        places = reported_places(thing, grid, reading)
    elif isinstance(reading, StructureSetForm) and kind == "points":
        from holdout.reference_structures import structure_places

        places = structure_places(thing, grid, reading)
    if places is not None or isinstance(reading, ReportForm):
        return CaseTruthFound(case=case, lesions=None if places is None else places.lesions)
    from holdout.mask_lesions import mask_lesions

    found = _read(thing, grid, reading, mask=True)
    if not isinstance(found, FoundMask):
        return CaseTruthFound(case=case)
    objects = mask_lesions(found.mask, grid, kind)
    return CaseTruthFound(case=case, lesions=objects.lesions, resampled=found.resampled)


def opened(content: bytes) -> Any:
    """A DICOM object as a pydicom dataset.

    Parses foreign bytes: to be called in a child process with limits.

    Raises:
        ImageDefect: it is none.
    """
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(io.BytesIO(content))
    except MemoryError:
        raise
    except Exception as error:
        # Broken files make pydicom raise almost anything.
        raise ImageDefect("not a DICOM object that can be read") from error


@lru_cache(maxsize=1)
def _content(path: str) -> tuple[str, bytes]:
    content = Path(path).read_bytes()
    return hashlib.sha256(content).hexdigest(), content


@lru_cache(maxsize=1)
def _dataset(path: str) -> Any:
    """The object of the last task is often that of the next: one segmentation may be about hundreds of images."""
    return opened(_content(path)[1])
