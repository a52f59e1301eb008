"""Lesions of a table held against the images of their case: places in mm mean nothing where the images have none.

Tables are often in another system of coordinates than DICOM's: voxels, or RAS (x and y of the other sign). A lesion
that does not touch its images is refused, because every answer would miss it.

Reads headers of foreign files in child processes with limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from holdout.bounded import BoundedPool, Failure
from holdout.case_truth import CaseTruth
from holdout.cases import UNIT_COLUMNS, Unit
from holdout.errors import ReferenceStandardError
from holdout.image_grid import ImageGrid, read_grid
from holdout.image_reading import ImageDefect
from holdout.object_references import case_images
from holdout.reference_objects import Progress
from holdout.volume_lesions import VolumeLesions, volume_lesions

_SHOWN = 5
_NO_PLACE = "its images have no common place in the patient, so that lesions in mm tell nothing"
_ONE_SLICE = "a case is one slice here: lock with --unit series"
_OTHER_AXES = (
    "coordinates are DICOM's (LPS, mm): turn the signs of x and y of RAS, take voxels through their matrix"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLesions:
    """The lesions of one case by label, as a reference standard keeps them, and the files of its images."""

    paths: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]


def check_places(
    by_case: Mapping[str, CaseTruth],
    labels: Sequence[str],
    index: pa.Table,
    source: Path,
    unit: Unit,
    progress: Progress | None = None,
) -> None:
    """Refuse lesions in mm about images that have no place, or that they do not touch.

    Args:
        by_case: truth by UID of the case.
        labels: labels that hold lesions in a volume, from a table.
        index: the usable files of the hold-out, objects left out.
        source: the ingested folder.
        unit: what a case is.
        progress: called with (cases done, cases to do).

    Raises:
        ReferenceStandardError: a lesion cannot lie where the table says (the first few cases are named).
    """
    images = case_images(index, UNIT_COLUMNS[unit])
    tasks = [
        PlacedLesions(
            paths=tuple(str(source / path) for path in images.paths[case]),
            texts=tuple((label, text) for label in labels if (text := truth.labels[label]) is not None),
        )
        for case, truth in by_case.items()
        if case in images.paths and any(truth.labels[label] is not None for label in labels)
    ]
    problems: list[str] = []
    with BoundedPool(misplaced, memory_bytes=2 << 30, seconds_per_task=300, largest_chunk=4) as pool:
        for done, (task, outcome) in enumerate(pool.map(tasks) if tasks else (), start=1):
            if progress is not None:
                progress(done, len(tasks))
            name = Path(task.paths[0]).name[:100]
            if isinstance(outcome, Failure):
                problems.append(f"the case of {name!a}: reading its images failed ({outcome.code})")
            elif outcome:
                problems.append(f"the case of {name!a}: {outcome}")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ReferenceStandardError("lesions: " + "; ".join(sorted(problems)[:_SHOWN]) + more, problems)


def misplaced(task: PlacedLesions) -> str:
    """Why the lesions of a case cannot lie where they are said to; '' when they can."""
    try:
        grid = read_grid([Path(path) for path in task.paths])
    except ImageDefect as defect:
        return str(defect)
    if not grid.placed:
        return _NO_PLACE
    for label, text in task.texts:
        lesions = volume_lesions(text)
        outside = int(np.count_nonzero(~_touch(lesions, grid)))
        if outside:
            why = _ONE_SLICE if grid.slices == 1 else _OTHER_AXES
            return f"{outside} of {len(lesions.lesions)} lesions of {label} lie beyond the images; {why}"
    return ""


def _touch(found: VolumeLesions, grid: ImageGrid) -> npt.NDArray[np.bool_]:
    """Which lesions touch the images, to the outer faces of their elements."""
    if not found.lesions:
        return np.ones(0, dtype=bool)
    numbers = np.asarray(found.lesions, dtype=np.float64)
    middle, reach = numbers[:, :3], np.zeros(len(numbers))
    if found.kind == "spheres":
        reach = numbers[:, 3] / 2
    elif found.kind == "boxes":
        middle = (numbers[:, :3] + numbers[:, 3:]) / 2
        reach = np.linalg.norm(numbers[:, 3:] - numbers[:, :3], axis=1) / 2
    heights = middle @ grid.axes[2]
    nearest = np.abs(heights[:, None] - grid.heights).argmin(axis=1)
    local = np.vstack(
        [grid.in_plane(point, int(index)) for point, index in zip(middle, nearest, strict=True)]
    )
    assert grid.spacing is not None
    across, down = reach / grid.spacing[1] + 0.5, reach / grid.spacing[0] + 0.5
    through = reach + max(grid.thickness or 0, grid.gap or 0, grid.nearness()) / 2
    columns, rows, above = local.T
    return np.asarray(
        (columns >= -across) & (columns <= grid.columns - 1 + across)
        & (rows >= -down) & (rows <= grid.rows - 1 + down)
        & (np.abs(above) <= through)
    )  # fmt: skip
