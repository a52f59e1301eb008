"""Any image: less contrast, less resolution, cropped, shifted, partly covered."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import Image, OpenCase
from sandbox.stress.curves import Curve, follow
from sandbox.stress.filters import resized
from sandbox.stress.geometry import background, shifted
from sandbox.stress.perturbation import Change, Perturbation, Severity
from sandbox.stress.volume import pixel_spacing, put_back, volumes

_BENCHMARK = (
    "Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
)


def flatten(case: OpenCase, factor: Severity, numbers: np.random.Generator) -> None:
    """Bring every value nearer to the mean, to ``factor`` of its distance."""
    for volume in volumes(case):
        follow(volume, _contrast_curve(np.float32(volume.values.mean()), np.float32(float(factor))))


def _contrast_curve(mean: np.float32, factor: np.float32) -> Curve:
    return lambda values: mean + factor * (values - mean)


def lower_resolution(case: OpenCase, factor: Severity, numbers: np.random.Generator) -> None:
    """Average to a ``factor`` times coarser matrix; each of its pixels then covers as many as it is larger."""
    for volume in volumes(case):
        sizes = [max(round(size / float(factor)), 2) for size in volume.shape]
        small = resized(volume.values, *sizes)
        rows, columns = (
            (2 * np.arange(size) + 1) * fewer // (2 * size)
            for size, fewer in zip(volume.shape, sizes, strict=True)
        )
        put_back(volume, small.take(columns, axis=2).take(rows, axis=1))


def crop(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Take ``share`` percent away from each side; the matrix is smaller and the position follows."""
    for volume in volumes(case):
        rows, columns = volume.shape
        top, left = int(rows * float(share) / 100), int(columns * float(share) / 100)
        inside = volume.values[:, top : rows - top, left : columns - left]
        if volume.padding is not None:
            volume.padding = volume.padding[:, top : rows - top, left : columns - left]
        for image in volume.images:
            assert image.stored is not None
            image.stored = image.stored[:, top : rows - top, left : columns - left]
            _move_origin(image, top, left)
        put_back(volume, inside)


def _move_origin(image: Image, rows: int, columns: int) -> None:
    """Image Position (Patient) is that of the first pixel (PS3.3 C.7.6.2.1.1)."""
    dataset = image.dataset
    spacing = pixel_spacing(dataset)
    position, orientation = dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient")
    if not position or not orientation or spacing is None:
        return
    along_row, along_column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    moved = np.asarray(position, float) + along_row * columns * spacing[1] + along_column * rows * spacing[0]
    dataset.ImagePositionPatient = [f"{value:.8g}" for value in moved]


def shift(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Move what is shown by ``share`` percent of each side, in a random diagonal direction."""
    for volume in volumes(case):
        signs = np.where(numbers.random(2) < 0.5, -1, 1)
        rows, columns = (
            float(share) / 100 * size * sign for size, sign in zip(volume.shape, signs, strict=True)
        )
        put_back(volume, shifted(volume.values, rows, columns, background(volume)), keep_padding=False)


def occlude(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Cover a square of ``share`` percent of the area, about a random point of the middle, by its background."""
    for volume in volumes(case):
        rows, columns = volume.shape
        side = np.sqrt(float(share) / 100 * rows * columns) / 2
        centre = [(0.35 + 0.3 * numbers.random()) * size for size in volume.shape]
        values = volume.values.copy()
        top, bottom = max(round(centre[0] - side), 0), round(centre[0] + side)
        left, right = max(round(centre[1] - side), 0), round(centre[1] + side)
        values[:, top:bottom, left:right] = background(volume)
        put_back(volume, values)


def _make(
    name: str,
    unit: str,
    severities: tuple[float, ...],
    sentence: str,
    function: Change,
    source: str = _BENCHMARK,
    *,
    in_place: bool = False,
) -> Perturbation:
    return Perturbation(
        name=name,
        family="any image",
        expectation="may change within a margin",
        kind="pixels",
        unit=unit,
        severities=severities,
        sentence=sentence,
        source=source,
        function=function,
        in_place=in_place,
    )


PERTURBATIONS = (
    _make(
        "contrast", "of the contrast", (0.8, 0.6, 0.45, 0.3, 0.15), "Less contrast.", flatten, in_place=True
    ),
    _make(
        "resolution", "times coarser", (2.0, 3.0, 4.0, 6.0, 8.0), "Fewer, larger pixels.", lower_resolution
    ),
    _make("crop", "% from each side", (3.0, 6.0, 10.0, 15.0, 22.0), "A smaller field of view.", crop),
    _make("shift", "% of each side", (2.0, 5.0, 9.0, 14.0, 20.0), "The body is not in the middle.", shift),
    _make(
        "occlusion",
        "% of the area",
        (1.0, 3.0, 7.0, 14.0, 25.0),
        "A part of the image is hidden.",
        occlude,
        "DeVries and Taylor, Improved regularization of convolutional neural networks with cutout, 2017",
    ),
)
