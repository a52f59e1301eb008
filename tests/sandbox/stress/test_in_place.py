"""What says that it leaves every pixel where it was: a landmark in the image stays, and so does the grid.

The oracle is none of the product's code: pydicom reads the files, and the displacement of the whole image is where
the correlation with the clean one is largest.
"""

import io

import numpy as np
import pydicom
import pytest

from sandbox.stress.errors import NotApplicableError
from sandbox.stress.registry import registry
from tests.sandbox.stress import cases

ROWS, COLUMNS = 96, 80
GRID = (
    *("Rows", "Columns", "NumberOfFrames", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
SCALE = {"CT": (np.uint16, 12, 24, 2000), "MR": (np.uint16, 12, 50, 900), "CR": (np.uint16, 12, 600, 2400)}
SCALE |= {"US": (np.uint8, 8, 20, 150), "PT": (np.int16, 16, 500, 20000), "XC": (np.uint8, 8, 60, 140)}
EXTRA = {
    "CT": {
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "PixelSpacing": ["1", "1"],
        "SliceThickness": "1",
        "KVP": "120",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    },
    "MR": {"PixelSpacing": ["1", "1"], "WindowCenter": "450", "WindowWidth": "900", "EchoTime": "30"},
    "CR": {
        "ImagerPixelSpacing": ["0.2", "0.2"],
        "WindowCenter": "2048",
        "WindowWidth": "4096",
        "BodyPartExamined": "CHEST",
        "Laterality": "L",
        "PatientOrientation": ["L", "F"],
        "ViewPosition": "PA",
    },
    "PT": {"RescaleSlope": "0.37", "RescaleIntercept": "0", "PixelSpacing": ["4", "4"]},
}


def landmark(modality):
    """A body with one bright disc in it, off the centre both ways; CT of eleven slices with the disc in each."""
    kind, bits, low, high = SCALE[modality]
    row, column = np.mgrid[:ROWS, :COLUMNS]
    body = 0.45 * (((row - 50) / 40) ** 2 + ((column - 38) / 32) ** 2 < 1)
    disc = np.clip(6.5 - np.hypot(row - 34, column - 48), 0, 1)
    image = np.rint(low + high * np.maximum(body, disc)).astype(kind)
    if modality in ("US", "XC"):
        image = np.repeat(image[..., None], 3, axis=2)
    stored = {} if modality in ("US", "XC", "PT") else {"BitsStored": bits, "HighBit": bits - 1}
    files = []
    for number in range(1, 12 if modality == "CT" else 2):
        place = {"ImagePositionPatient": [0, 0, float(number)]} if modality == "CT" else {}
        extra = {**EXTRA.get(modality, {}), **stored, **place}
        files.append((f"{number:06d}.dcm", cases.dicom_file(modality, image, number, **extra)))
    return files


CASES = {modality: landmark(modality) for modality in SCALE}
CHANGING = [
    name
    for name, entry in registry().items()
    if entry.function is not None and entry.expectation != "must refuse" and entry.donor == "none"
]

ILLEGIBLE = {("lossy_jpeg_2000", 5)}
"""190 bytes are left of an image of this size: too few to find the landmark in."""


def displaced(one, other):
    """Rows and columns by which ``other`` has to be moved for the largest correlation with ``one``, either sign."""
    first, second = (each - each.mean() for each in (one, other))
    found = np.abs(np.fft.ifft2(np.fft.fft2(first) * np.conj(np.fft.fft2(second))))
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return (int(row + ROWS // 2) % ROWS - ROWS // 2, int(column + COLUMNS // 2) % COLUMNS - COLUMNS // 2)


def headers(files):
    return [
        tuple(str(pydicom.dcmread(io.BytesIO(content)).get(keyword)) for keyword in GRID)
        for _, content in files
    ]


def moves(name, modality, severity):
    """Whether grid or landmark is another one than in the clean case."""
    files = CASES[modality]
    made = cases.perturbed(files, name, severity)
    if headers(files) != headers(made.files):
        return True
    return any(
        displaced(clean.reshape(ROWS, COLUMNS, -1).mean(axis=2), new.reshape(ROWS, COLUMNS, -1).mean(axis=2))
        != (0, 0)
        for clean, new in zip(cases.values(files), cases.values(made), strict=True)
    )


@pytest.mark.parametrize("name", [name for name in CHANGING if registry()[name].in_place])
def test_a_landmark_stays_where_it_was(name):
    tried = 0
    for modality in CASES:
        for severity in range(1, len(registry()[name].severities) + 1):
            if (name, severity) in ILLEGIBLE:
                continue
            try:
                assert not moves(name, modality, severity), (modality, severity)
            except NotApplicableError:
                continue
            tried += 1
    # No case here has private elements.
    assert tried or name == "private_tags_stripped"


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("shift", "CR"),
        ("crop", "CT"),
        ("non_square_pixels", "MR"),
        ("ct_table_shift", "CT"),
        ("dr_mirrored", "CR"),
        ("us_depth_scale", "US"),
        ("slices_missing", "CT"),
        ("slices_duplicated", "CT"),
        ("absent_image_position", "CT"),
        ("as_multi_frame", "CT"),
    ],
)
def test_the_landmark_tells_what_moves(name, modality):
    assert moves(name, modality, len(registry()[name].severities))
    assert not registry()[name].in_place


def test_what_forgets_to_say_so_is_taken_to_move():
    entry = registry()["blur"]
    given = {name: getattr(entry, name) for name in entry.__slots__ if name != "in_place"}
    assert entry.in_place
    assert not type(entry)(**given).in_place


def test_runs_and_encodings_without_loss_leave_every_pixel():
    for entry in registry().values():
        if entry.kind == "run" or entry.family == "DICOM lossless":
            assert entry.in_place, entry.name
        if entry.donor != "none" or entry.expectation == "must refuse":
            assert not entry.in_place, entry.name
