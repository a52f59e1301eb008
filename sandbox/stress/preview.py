"""A contact sheet: a case at severities 0 to 5 of one perturbation, for people inside the institution."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from pydicom.misc import is_dicom

from holdout.bounded import BoundedPool, Failure
from sandbox.errors import UsageError
from sandbox.stress.case import OpenCase, read_image
from sandbox.stress.errors import NotApplicableError, StressError, UnknownPerturbationError
from sandbox.stress.perturb import PerturbedFiles, perturbed_files
from sandbox.stress.perturbation import Perturbation
from sandbox.stress.registry import find
from sandbox.stress.volume import FloatArray, in_spatial_order, volumes

TILE = 384
SOFT_TISSUE = (-260.0, 340.0)
"""Hounsfield units shown black and white in CT."""
_MARGIN = 8
_CAPTION = 22
_KEY = b"contact sheet, which is not kept with any run"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewTask:
    """What to show: DICOM files, a perturbation of the registry, the donor's files where it needs one."""

    files: tuple[str, ...]
    perturbation: str
    seed: int = 0
    donor: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A picture (RGB bytes, ``TILE`` x ``TILE``) with its caption; ``pixels`` empty where nothing can be shown."""

    caption: str
    pixels: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Tiles of severities 0, 1, ...; or why there are none."""

    tiles: tuple[Tile, ...] = ()
    reason: str = ""
    series: int = 1


def contact_sheet(
    source: Path, name: str, destination: Path, *, donor: Path | None = None
) -> tuple[str, ...]:
    """Write a PNG of a case at every severity of a perturbation; returns the captions.

    Files are read in a child process with memory and time limits.

    Raises:
        UnknownPerturbationError: no such perturbation, or one that changes no file.
        UsageError: there is no DICOM file, or there are files of several series.
        StressError: the case cannot be read, or the perturbation has no meaning for it.
    """
    files, others = dicom_files(source), dicom_files(donor) if donor is not None else ()
    return contact_sheet_of(files, name, destination, donor=others, called=source.name)


def contact_sheet_of(
    files: tuple[str, ...], name: str, destination: Path, *, donor: tuple[str, ...] = (), called: str
) -> tuple[str, ...]:
    """Write the sheet of a case whose files lie anywhere; ``called`` is its name in messages.

    Raises: as ``contact_sheet``.
    """
    perturbation = find(name)
    if perturbation.function is None:
        raise UnknownPerturbationError(
            f"{name} changes how a case is run, not its files: there is nothing to see"
        )
    task = PreviewTask(files=files, perturbation=name, donor=donor)
    pool: BoundedPool[PreviewTask, Sheet] = BoundedPool(
        draw_tiles, processes=1, memory_bytes=4 << 30, seconds_per_task=300.0
    )
    with pool:
        ((_, sheet),) = pool.map([task])
    if isinstance(sheet, Failure):
        raise StressError(f"{called} cannot be previewed: {sheet.code}. Is it a case of DICOM images?")
    if sheet.series > 1:
        raise UsageError(
            f"{called} holds files of {sheet.series} series. Give one file, or the folder of one series."
        )
    if sheet.reason:
        raise NotApplicableError(f"{name} has no meaning for {called}: {sheet.reason}.")
    content = _assembled(perturbation, sheet)
    building = destination.with_name(f".{destination.name}.part")
    building.write_bytes(content)
    building.replace(destination)
    return tuple(tile.caption for tile in sheet.tiles)


def dicom_files(source: Path) -> tuple[str, ...]:
    """DICOM files of a case: the file itself, or those directly in a folder, by name.

    Raises:
        UsageError: there are none.
    """
    wanted = "Give one DICOM file, or the folder of one case."
    if not source.exists():
        raise UsageError(f"{source} is not there. {wanted}")
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    found = tuple(str(path) for path in paths if path.is_file() and is_dicom(path))
    if not found:
        raise UsageError(
            f"{source} {'holds no DICOM files' if source.is_dir() else 'is not a DICOM file'}. {wanted}"
        )
    return found


def draw_tiles(task: PreviewTask) -> Sheet:
    """Perturb a case at every severity and draw its middle frame, all with the grey levels of the clean one."""
    perturbation = find(task.perturbation)
    files, donor = (
        [(f"{number:06d}.dcm", Path(path).read_bytes()) for number, path in enumerate(paths, start=1)]
        for paths in (task.files, task.donor)
    )
    series = len({_series(content) for _, content in files})
    if series > 1:
        return Sheet(series=series)
    tiles = []
    levels: tuple[float, float] | None = None
    try:
        for severity in range(len(perturbation.severities) + 1):
            made = perturbed_files(
                files, perturbation, severity, case="preview", seed=task.seed, key=_KEY, donor=donor
            )
            picture, levels = _shown(made, levels)
            tiles.append(Tile(caption=perturbation.severity_label(severity), pixels=picture))
    except NotApplicableError as reason:
        return Sheet(reason=str(reason))
    return Sheet(tiles=tuple(tiles))


def _series(content: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True)
    return str(dataset.get("SeriesInstanceUID") or "")


def _shown(
    made: PerturbedFiles, levels: tuple[float, float] | None
) -> tuple[bytes, tuple[float, float] | None]:
    frame = _middle_frame(made)
    if frame is None:
        return b"", levels
    values, inverted, hounsfield = frame
    if levels is None:
        low, high = np.percentile(values, (0.5, 99.5))
        levels = SOFT_TISSUE if hounsfield else (float(low), float(max(high, low + 1)))
    if values.ndim == 3:
        picture = np.clip(values, 0, 255).astype(np.uint8)
    else:
        # A negative of the same picture has other values: its own levels are taken from its own range.
        low, high = levels
        grey = np.clip((values - low) / (high - low), 0, 1)
        picture = np.repeat(((1 - grey if inverted else grey) * 255).astype(np.uint8)[..., None], 3, axis=2)
    image = PillowImage.fromarray(picture)
    image.thumbnail((TILE, TILE))
    if max(image.size) < TILE:
        scale = TILE / max(image.size)
        image = image.resize(
            (max(round(image.width * scale), 1), max(round(image.height * scale), 1)),
            PillowImage.Resampling.NEAREST,
        )
    tile = PillowImage.new("RGB", (TILE, TILE))
    tile.paste(image, ((TILE - image.width) // 2, (TILE - image.height) // 2))
    return tile.tobytes(), levels


def _middle_frame(made: PerturbedFiles) -> tuple[FloatArray, bool, bool] | None:
    images = []
    for name, content in made.files:
        try:
            image = read_image(content, name)
        except (NotApplicableError, pydicom.errors.InvalidDicomError, EOFError, ValueError, AttributeError):
            continue
        images.append(image)
    if not images:
        return None
    ordered = in_spatial_order(images)
    chosen = ordered[len(ordered) // 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            (volume,) = volumes(OpenCase(images=[chosen]))
        except NotApplicableError:
            return None
    return (
        volume.values[len(volume.values) // 2],
        volume.inverted,
        volume.modality == "CT" and not volume.colour,
    )


def _assembled(perturbation: Perturbation, sheet: Sheet) -> bytes:
    columns = min(3, len(sheet.tiles))
    rows = -(-len(sheet.tiles) // columns)
    head = 58
    width = max(columns * (TILE + _MARGIN) + _MARGIN, 640)
    height = head + rows * (TILE + _CAPTION + _MARGIN) + _MARGIN
    page = PillowImage.new("RGB", (width, height), (24, 24, 28))
    draw = ImageDraw.Draw(page)
    title, small = ImageFont.load_default(size=20), ImageFont.load_default(size=14)
    draw.text((_MARGIN, 6), f"{perturbation.name}: {perturbation.expectation}", fill="white", font=title)
    draw.text((_MARGIN, 33), perturbation.sentence[: width // 7], fill=(180, 180, 190), font=small)
    for number, tile in enumerate(sheet.tiles):
        left = _MARGIN + (number % columns) * (TILE + _MARGIN)
        top = head + (number // columns) * (TILE + _CAPTION + _MARGIN)
        if tile.pixels:
            page.paste(PillowImage.frombytes("RGB", (TILE, TILE), tile.pixels), (left, top))
        else:
            draw.text((left + 90, top + TILE // 2), "nothing that can be shown", fill="white", font=small)
        draw.text((left, top + TILE + 3), f"{number}: {tile.caption}", fill="white", font=small)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()
