"""Warn of text burned into pixels, by the attribute and, on a sample, by reading the image.

Burned In Annotation (0028,0301) is absent on most files that do have identifying text, so its absence or a NO
proves nothing. Reading a sample with tesseract, one image for each device and geometry, finds what a device
burns in everywhere. It is a warning for a person to look, never a proof that there is no text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from holdout.bounded import Failure
from holdout.decoding import DecodingLimits, decode_all

Progress = Callable[[int, int | None], None]
Kind = Literal["declared", "text_found", "not_checked", "not_declared"]

MOST_SAMPLED = 40
SECONDS_PER_IMAGE = 30
SMALLEST_SIDE = 64
_LARGEST_SIDE = 2000
_SMALLEST_READ = 1000
_MONOCHROME_DIMENSIONS = 2
_WORD = re.compile(r"[A-Za-z]{3,}|\d{4,}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")
_WORDS_NEEDED = 3
_CONFIDENCE_NEEDED = 60.0
_GROUP = (
    "manufacturer",
    "manufacturer_model_name",
    "modality",
    "rows",
    "columns",
    "photometric_interpretation",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnedInWarning:
    """One warning: what it rests on, the files concerned (all, or the sampled one of a group), a sentence.

    Text that was read is not repeated here: it may be a name.
    """

    kind: Kind
    files: tuple[str, ...]
    sentence: str


def warn(
    index: pa.Table,
    source: Path,
    *,
    most_sampled: int = MOST_SAMPLED,
    limits: DecodingLimits | None = None,
    progress: Progress | None = None,
) -> list[BurnedInWarning]:
    """Warn of burned-in text among the usable images of an index.

    Args:
        index: the index, or the rows of it that are to be locked.
        source: the folder of the files.
        most_sampled: most images that are read, largest groups first.
        limits: bounds for decoding one file.
        progress: called with (images read, images to read).
    """
    rows = _image_rows(index)
    warnings = _by_attribute(rows)
    groups = _groups(rows)
    if not groups:
        return warnings
    tesseract = shutil.which("tesseract")
    if tesseract is None:
        sentence = (
            "PIXELS WERE NOT CHECKED for burned-in text: tesseract is not installed. "
            f"{len(rows)} images may show names or dates; install tesseract-ocr and run this again, "
            "or look at them."
        )
        return [*warnings, BurnedInWarning(kind="not_checked", files=(), sentence=sentence)]
    sampled = groups[:most_sampled]
    unread: list[str] = []
    paths = [source / members[0]["path"] for members in sampled]
    for done, (members, (_, result)) in enumerate(
        zip(sampled, decode_all(paths, limits), strict=True), start=1
    ):
        path = members[0]["path"]
        words = None if isinstance(result, Failure) else _words(tesseract, result.array, members[0])
        if words is None:
            unread.append(path)
        elif words >= _WORDS_NEEDED:
            sentence = (
                f"Text in the pixels of {path} ({words} words), the sample of {len(members)} images of one "
                "device and size: look at them before locking."
            )
            warnings.append(BurnedInWarning(kind="text_found", files=(path,), sentence=sentence))
        if progress is not None:
            progress(done, len(sampled))
    left = sum(len(members) for members in groups[most_sampled:])
    if unread or left:
        sentence = f"Pixels not checked for burned-in text: {len(unread)} samples could not be read"
        sentence += f", {left} images of rarer devices and sizes were not sampled." if left else "."
        warnings.append(BurnedInWarning(kind="not_checked", files=tuple(unread), sentence=sentence))
    return warnings


def _image_rows(index: pa.Table) -> list[dict[str, Any]]:
    columns = ["path", "status", "pixel_sample", "burned_in_annotation", "number_of_frames", *_GROUP]
    rows = index.select(columns).sort_by("path").to_pylist()
    return [row for row in rows if row["status"] == "ok" and row["pixel_sample"] is not None]


def _by_attribute(rows: Sequence[dict[str, Any]]) -> list[BurnedInWarning]:
    warnings = []
    declared = tuple(row["path"] for row in rows if row["burned_in_annotation"] == "YES")
    if declared:
        sentence = (
            f"{len(declared)} images say themselves that they have burned-in text (first: {declared[0]})."
        )
        warnings.append(BurnedInWarning(kind="declared", files=declared, sentence=sentence))
    silent = tuple(row["path"] for row in rows if row["burned_in_annotation"] not in ("YES", "NO"))
    if silent:
        sentence = f"{len(silent)} of {len(rows)} images do not say whether text is burned in."
        warnings.append(BurnedInWarning(kind="not_declared", files=silent, sentence=sentence))
    return warnings


def _groups(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Images by device and geometry, large groups first; images too small for legible text are left out."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if min(row["rows"] or 0, row["columns"] or 0) >= SMALLEST_SIDE:
            groups[tuple(row[column] for column in _GROUP)].append(row)
    return sorted(groups.values(), key=lambda members: (-len(members), members[0]["path"]))


def _words(tesseract: str, array: npt.NDArray[Any], row: dict[str, Any]) -> int | None:
    """Count legible words in one frame; None when it cannot be read."""
    picture = _picture(array, frames=row["number_of_frames"] or 1)
    with tempfile.TemporaryDirectory(prefix="burned-in-") as folder:
        path = Path(folder) / "image.png"
        picture.save(path)
        # Page segmentation 11 looks for sparse text anywhere in the image.
        command = [tesseract, str(path), "stdout", "--psm", "11", "tsv"]
        try:
            answer = subprocess.run(
                command,
                capture_output=True,
                timeout=SECONDS_PER_IMAGE,
                check=True,
                env={"OMP_THREAD_LIMIT": "1"},
            )
        except (subprocess.SubprocessError, OSError):
            return None
    words = 0
    for line in answer.stdout.decode("utf-8", "replace").splitlines()[1:]:
        *_, confidence, text = line.split("\t") if line.count("\t") == 11 else ("-1", "")
        if _WORD.search(text) and float(confidence) >= _CONFIDENCE_NEEDED:
            words += 1
    return words


def _picture(array: npt.NDArray[Any], *, frames: int) -> Image.Image:
    """Make an 8-bit picture of the middle frame, stretched to the full range and to a legible size."""
    frame = array[len(array) // 2] if frames > 1 else array
    values = frame.astype(np.float64)
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.9)))
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    mode = "L" if scaled.ndim == _MONOCHROME_DIMENSIONS else "RGB"
    picture = Image.fromarray(scaled.astype(np.uint8), mode)
    factor = max(1.0, _SMALLEST_READ / max(picture.size))
    factor = min(factor, _LARGEST_SIDE / max(picture.size))
    if factor != 1.0:
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture.convert("L")
