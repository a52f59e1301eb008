"""Mask files as truth: read once, checked against the image they are about, and kept as run lengths.

A mask file is a PNG of its image's own size, or a binary DICOM Segmentation that names its image as a source. Every
value but 0 is inside. A file with more than two values, or several segments, is refused: which of them is meant would
be a guess. Whatever needs a choice, or lies on another grid, is declared by its form (:mod:`holdout.reference_forms`).
The run lengths are sealed with the rest of the reference standard, and the files are not needed afterwards.

Mask files are foreign bytes: they are parsed in child processes with limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from holdout.bounded import BoundedPool, Failure
from holdout.case_truth import CaseTruth
from holdout.cases import Unit
from holdout.dicom_writer import NativePixels
from holdout.errors import ReferenceStandardError
from holdout.image_grid import without_place
from holdout.image_reading import ImageDefect, read_image
from holdout.mask_runs import Runs, TrueMask, encode, from_numbers
from holdout.reference_forms import SegmentationForm

MAXIMUM_BYTES = 256 << 20
_SHOWN = 5
_SPACINGS = ("pixel_spacing", "imager_pixel_spacing")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFile:
    """One mask file to read: the case and label that it is about, and the size that it must have."""

    case: str
    label: str
    name: str
    folder: str
    rows: int
    columns: int


def read_masks(
    by_case: Mapping[str, CaseTruth],
    labels: Sequence[str],
    folder: Path,
    index: pa.Table,
    unit: Unit,
) -> dict[str, CaseTruth]:
    """Put the masks in the place of the names of their files.

    Args:
        by_case: truth by UID of the case, with a file name for each of ``labels``.
        labels: labels that are masks.
        folder: what the names are relative to; nothing outside of it is read.
        index: the usable files of the hold-out.
        unit: what a case is; masks go with images.

    Raises:
        ReferenceStandardError: a file is missing, cannot be read, or does not fit its image (the first few are named).
    """
    if unit != "image":
        raise ReferenceStandardError(
            f"masks in image files are about images, but a case is a {unit} here; lock with --unit image, or declare "
            "with read in which form of object its masks stand"
        )
    images = {
        row["sop_instance_uid"]: row
        for row in index.select(
            [
                "sop_instance_uid",
                "rows",
                "columns",
                *(f"{s}_{a}" for s in _SPACINGS for a in ("row", "column")),
            ]
        ).to_pylist()
    }
    truths = dict(by_case)
    problems: list[str] = []

    def files() -> Iterator[MaskFile]:
        for case, truth in by_case.items():
            for label in labels:
                name = truth.labels[label]
                if name is None:
                    continue
                reason = refusal(folder, name)
                if reason:
                    problems.append(f"{name[:100]!a}: {reason}")
                    continue
                size = images[case]["rows"] or 0, images[case]["columns"] or 0
                yield MaskFile(
                    case=case, label=label, name=name, folder=str(folder), rows=size[0], columns=size[1]
                )

    with BoundedPool(_read, memory_bytes=2 << 30, seconds_per_task=60) as pool:
        for file, outcome in pool.map(files()):
            if isinstance(outcome, Failure):
                problems.append(f"{file.name[:100]!a}: reading it failed ({outcome.code})")
            elif isinstance(outcome, str):
                problems.append(f"{file.name[:100]!a}: {outcome}")
            else:
                mask = TrueMask(runs=from_numbers(outcome), spacing=_spacing(images[file.case]))
                known = truths[file.case]
                truths[file.case] = replace(known, labels={**known.labels, file.label: mask.text})
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ReferenceStandardError("mask files: " + "; ".join(sorted(problems)[:_SHOWN]) + more)
    return truths


def refusal(folder: Path, name: str) -> str:
    """Why a file name of a table cannot be followed; '' when it can."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        return "the name leads out of the folder"
    path = folder / name
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        return "is a link"
    if not path.is_file():
        return "no such file"
    if path.stat().st_size > MAXIMUM_BYTES:
        return f"larger than {MAXIMUM_BYTES} bytes"
    return ""


def _spacing(image: Mapping[str, float | None]) -> tuple[float, float] | None:
    for name in _SPACINGS:
        row, column = image[f"{name}_row"], image[f"{name}_column"]
        if row and column:
            return float(row), float(column)
    return None


def _read(file: MaskFile) -> tuple[int, ...] | str:
    """Numbers of the mask's runs, or why there are none; runs in a child process."""
    content = (Path(file.folder) / file.name).read_bytes()
    try:
        runs = read_plane(content, (file.rows, file.columns), file.case)
    except ImageDefect as error:
        return str(error)
    return runs.numbers


def read_plane(content: bytes, shape: tuple[int, int], sop_instance_uid: str) -> Runs:
    """Read a mask of one plane, drawn on the image ``sop_instance_uid``.

    Raises:
        ImageDefect: it is no mask, or not one of this shape (rows, columns).
    """
    if content[128:132] == b"DICM":
        return _segmented(content, shape, sop_instance_uid)
    pixels = read_image(content, colour=False)
    if not isinstance(pixels, NativePixels):
        raise ImageDefect("is a JPEG image: lossy coding leaves other values at the border of a mask")
    array = pixels.array
    if array.shape != shape:
        raise ImageDefect(
            f"has {array.shape[0]} rows and {array.shape[1]} columns, its image {shape[0]} and {shape[1]}"
        )
    if np.unique(array[array != 0]).size > 1:
        raise ImageDefect("has more than two values: which of them is meant is not known")
    return encode(array != 0)


def _segmented(content: bytes, shape: tuple[int, int], sop_instance_uid: str) -> Runs:
    # A fifth of a second to import, which only children that meet such a file must wait.
    from holdout.object_reading import opened
    from holdout.reference_segmentation import segmentation_mask

    grid = without_place([sop_instance_uid], *shape)
    found = segmentation_mask(opened(content), grid, SegmentationForm(form="segmentation"))
    assert found is not None, "without a chosen segment there is one or a defect"
    return encode(found.mask[0])
