"""Slices that are missing, twice there, or in another order; pixels that are not square."""

from __future__ import annotations

import copy

import numpy as np

from sandbox.stress.case import Image, OpenCase
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.filters import resized
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import in_spatial_order, put_back, slice_position, volumes

FEWEST = 5


def _slices(case: OpenCase) -> list[Image]:
    if len(case.images) < FEWEST or any(slice_position(image.dataset) is None for image in case.images):
        raise NotApplicableError(f"it is for {FEWEST} slices or more, one a file, with positions")
    return in_spatial_order(case.images)


def _count(case: OpenCase, share: Severity) -> int:
    return min(max(round(len(case.images) * float(share) / 100), 1), len(case.images) - 2)


def drop(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Leave out ``share`` percent of the slices, at random places; larger shares leave out the same and more."""
    slices = _slices(case)
    gone = {id(slices[index]) for index in numbers.permutation(len(slices))[: _count(case, share)]}
    case.images = [image for image in case.images if id(image) not in gone]


def drop_block(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Leave out ``share`` percent of the slices in one block about the middle."""
    slices = _slices(case)
    count = _count(case, share)
    start = (len(slices) - count) // 2
    gone = {id(image) for image in slices[start : start + count]}
    case.images = [image for image in case.images if id(image) not in gone]


def repeat(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Send ``share`` percent of the slices a second time, as other instances at the same place."""
    slices = _slices(case)
    number = len(case.images)
    for index in numbers.permutation(len(slices))[: _count(case, share)]:
        number += 1
        twin = Image(
            dataset=copy.deepcopy(slices[index].dataset),
            name=f"{number:06d}.dcm",
            syntax=slices[index].syntax,
        )
        twin.dataset.InstanceNumber = number
        case.images.append(twin)


def shuffle_files(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Give the files other names; what is inside stays."""
    if len(case.images) < 2:
        raise NotApplicableError("the case has one file")
    names = [image.name for image in case.images]
    for image, place in zip(case.images, _other_order(len(names), numbers), strict=True):
        image.name = names[place]
    case.images.sort(key=lambda image: image.name)


def shuffle_numbers(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Exchange Instance Numbers; positions still tell the order."""
    slices = _slices(case)
    old = [image.dataset.get("InstanceNumber") for image in slices]
    for image, place in zip(slices, _other_order(len(old), numbers), strict=True):
        image.dataset.InstanceNumber = old[place]


def _other_order(count: int, numbers: np.random.Generator) -> list[int]:
    order = numbers.permutation(count)
    return [int(place) for place in (order if np.any(order != np.arange(count)) else np.roll(order, 1))]


def stretch(case: OpenCase, factor: Severity, numbers: np.random.Generator) -> None:
    """Sample rows ``factor`` times more coarsely; spacing says so, hence the body is as large as before."""
    for volume in volumes(case):
        rows = max(round(volume.shape[0] / float(factor)), 2)
        ratio = volume.shape[0] / rows
        smaller = resized(volume.values, rows, volume.shape[1])
        volume.padding = None
        start = 0
        for image in volume.images:
            assert image.stored is not None
            count = len(image.stored)
            # Only the shape matters here: put_back fills the values in.
            image.stored = np.zeros((count, rows, *image.stored.shape[2:]), image.stored.dtype)
            _space_rows(image, ratio)
            start += count
        put_back(volume, smaller)


def _space_rows(image: Image, ratio: float) -> None:
    dataset = image.dataset
    known = False
    places = [dataset]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in dataset.get(groups) or ():
            places += list(item.get("PixelMeasuresSequence") or ())
    for place in places:
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
            gaps = place.get(keyword)
            if gaps:
                place[keyword].value = [f"{float(gaps[0]) * ratio:.8g}", f"{float(gaps[1]):.8g}"]
                known = True
    if not known:
        dataset.PixelAspectRatio = [round(1000 * ratio), 1000]


_FAMILY = "DICOM slices and pixels"
MISSING = Perturbation(
    name="slices_missing",
    family=_FAMILY,
    expectation="may change within a margin",
    kind="file",
    unit="% of the slices",
    severities=(3.0, 6.0, 12.0, 25.0, 50.0),
    sentence="Slices got lost between scanner and algorithm.",
    source="PS3.4 C.4.2 (retrieval may be partial); PS3.3 C.7.6.2",
    function=drop,
)
GAP = Perturbation(
    name="slices_gap",
    family=_FAMILY,
    expectation="may change within a margin",
    kind="file",
    unit="% of the slices",
    severities=(3.0, 6.0, 12.0, 25.0, 50.0),
    sentence="A block of slices about the middle is missing.",
    source="PS3.4 C.4.2 (retrieval may be partial); PS3.3 C.7.6.2",
    function=drop_block,
)
DUPLICATED = Perturbation(
    name="slices_duplicated",
    family=_FAMILY,
    expectation="may change within a margin",
    kind="file",
    unit="% of the slices",
    severities=(3.0, 6.0, 12.0, 25.0, 50.0),
    sentence="Slices were sent twice under other UIDs.",
    source="PS3.3 C.7.6.2.1.1 (two planes at one position)",
    function=repeat,
)
FILE_ORDER = Perturbation(
    name="file_order",
    family=_FAMILY,
    expectation="must not change",
    kind="encoding",
    unit="",
    severities=("shuffled",),
    sentence="Files under other names: only the header tells the order.",
    source="PS3.3 C.7.6.2.1.1",
    function=shuffle_files,
)
INSTANCE_ORDER = Perturbation(
    name="instance_number_order",
    family=_FAMILY,
    expectation="must not change",
    kind="encoding",
    unit="",
    severities=("shuffled",),
    sentence="Instance Numbers that do not follow the positions of the planes.",
    source="PS3.3 C.7.6.1 Instance Number (need not be ordered), C.7.6.2.1.1",
    function=shuffle_numbers,
    in_place=True,
)
NOT_SQUARE = Perturbation(
    name="non_square_pixels",
    family=_FAMILY,
    expectation="may change within a margin",
    kind="pixels",
    unit=": 1 row to column spacing",
    severities=(1.1, 1.25, 1.5, 1.75, 2.0),
    sentence="Pixels are not square; the header says so.",
    source="PS3.3 10.7.1.3 Pixel Spacing, C.7.6.3.1.7 Pixel Aspect Ratio",
    function=stretch,
)
