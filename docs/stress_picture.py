"""Draw docs/stress.png: four perturbations of drawn anatomy, clean and at five severities.

Run: ``python -m docs.stress_picture``. Nothing in it comes from a patient.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import scipy.ndimage
from PIL import Image, ImageDraw, ImageFont

from sandbox.stress.preview import TILE, PreviewTask, draw_tiles
from sandbox.stress.registry import find
from tests.sandbox.stress.cases import dicom_file

SIDE = 512
SIZE = 200
ROWS = (("CT", "ct_dose"), ("CT", "ct_metal_streak"), ("MR", "mr_motion"), ("US", "us_shadow"))


def ellipse(row: float, column: float, down: float, across: float, degrees: float = 0.0) -> np.ndarray:
    """Where an ellipse lies, in coordinates from -1 to 1."""
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    angle = np.deg2rad(degrees)
    along = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
    beside = -(rows - row) * np.sin(angle) + (columns - column) * np.cos(angle)
    return np.asarray((along / down) ** 2 + (beside / across) ** 2 < 1)


def chest(random: np.random.Generator) -> np.ndarray:
    """A slice of a chest in Hounsfield units."""
    values = np.full((SIDE, SIDE), -1000.0)
    for shape, level in (
        (ellipse(0.02, 0, 0.66, 0.92), -95),
        (ellipse(0.02, 0, 0.60, 0.85), 45),
        (ellipse(-0.02, -0.42, 0.46, 0.32, 8), -840),
        (ellipse(-0.02, 0.42, 0.46, 0.32, -8), -840),
        (ellipse(-0.08, 0.10, 0.24, 0.26, 30), 50),
        (ellipse(-0.06, 0.12, 0.15, 0.16, 30), 150),
        (ellipse(0.20, 0.14, 0.07, 0.07), 150),
        (ellipse(0.34, 0, 0.12, 0.12), 180),
        (ellipse(0.34, 0, 0.08, 0.08), 320),
        (ellipse(0.47, 0, 0.05, 0.05), 30),
        (ellipse(-0.52, 0, 0.035, 0.13), 300),
    ):
        values[shape] = level
    for angle in np.deg2rad(np.arange(20, 360, 24)):
        rib = ellipse(
            0.02 + 0.53 * np.sin(angle), 0.77 * np.cos(angle), 0.03, 0.09, 90 - np.rad2deg(angle) * 0.9
        )
        values[rib & (values > -200)] = 420
    for _ in range(70):
        side = random.choice((-0.42, 0.42))
        row, column, size = random.normal(0, 0.2), side + random.normal(0, 0.13), random.uniform(0.005, 0.018)
        vessel = ellipse(row, column, size * random.uniform(1, 4), size, random.uniform(0, 180))
        values[vessel & (values < -800)] = 20
    return scipy.ndimage.gaussian_filter(values, 1.1) + scipy.ndimage.gaussian_filter(
        random.normal(0, 60, values.shape), 0.9
    )


def head(random: np.random.Generator) -> np.ndarray:
    """A slice of a head, T1-weighted, from 0 to 1."""
    values = np.zeros((SIDE, SIDE))
    folds = scipy.ndimage.gaussian_filter(random.normal(0, 1, values.shape), 7)
    folds /= folds.std()
    brain = ellipse(0, 0, 0.72, 0.58)
    depth = scipy.ndimage.distance_transform_edt(brain)
    for shape, level in (
        (ellipse(0, 0, 0.86, 0.70), 0.85),
        (ellipse(0, 0, 0.81, 0.655), 0.12),
        (ellipse(0, 0, 0.75, 0.605), 0.18),
        (brain, 0.52),
        (brain & (depth > 16 + 9 * folds), 0.72),
        (ellipse(-0.12, -0.09, 0.22, 0.055, 14) | ellipse(-0.12, 0.09, 0.22, 0.055, -14), 0.16),
        (ellipse(0.06, -0.17, 0.14, 0.07, -12) | ellipse(0.06, 0.17, 0.14, 0.07, 12), 0.55),
        (ellipse(0, 0, 0.70, 0.006) & (depth < 120), 0.2),
    ):
        values[shape] = level
    return np.clip(scipy.ndimage.gaussian_filter(values, 1.2) + random.normal(0, 0.012, values.shape), 0, 1)


def liver(random: np.random.Generator) -> np.ndarray:
    """A sector of ultrasound with vessels and a cyst, from 0 to 1."""
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    distance, angle = np.hypot(rows + 1.25, columns), np.arctan2(columns, rows + 1.25)
    sector = (distance > 0.4) & (distance < 2.2) & (np.abs(angle) < 0.62)
    echo = np.full(rows.shape, 0.09)
    echo[ellipse(0.15, 0.3, 0.17, 0.2)] = 0.002
    for row, column, length, turn in (
        (-0.2, -0.2, 0.35, 60),
        (0.35, -0.25, 0.3, -50),
        (-0.35, 0.25, 0.2, -70),
    ):
        echo[ellipse(row, column, length, 0.035, turn)] = 0.006
    echo[np.abs(distance - 1.95) < 0.02] = 0.8
    speckle = scipy.ndimage.gaussian_filter(random.normal(0, 1, (2, *rows.shape)), (0, 1.4, 2.4))
    amplitude = np.hypot(*speckle / speckle.std()) * echo
    grey = 1 + 20 * np.log10(np.maximum(amplitude, 1e-4)) / 60
    return np.where(sector, np.clip(grey, 0, 1), 0)


def main() -> None:
    """Draw the sheet next to this file."""
    random = np.random.default_rng(5)
    extra = {"PixelSpacing": ["0.75", "0.75"], "BitsStored": 12, "HighBit": 11}
    echo = np.rint(liver(random) * 255).astype(np.uint8)
    contents = {
        "CT": dicom_file(
            "CT", np.clip(np.rint(chest(random) + 1024), 0, 4095).astype(np.uint16), 1,
            RescaleSlope="1", RescaleIntercept="-1024", **extra,
        ),
        "MR": dicom_file("MR", np.rint(head(random) * 1000).astype(np.uint16), 1, **extra),
        "US": dicom_file("US", np.repeat(echo[..., None], 3, axis=2), 1),
    }  # fmt: skip
    gap, head_height = 6, 26
    page = Image.new(
        "RGB", (6 * (SIZE + gap) + gap, len(ROWS) * (SIZE + head_height + 20 + gap) + gap), (24, 24, 28)
    )
    draw = ImageDraw.Draw(page)
    title, small = ImageFont.load_default(size=16), ImageFont.load_default(size=13)
    with tempfile.TemporaryDirectory() as folder:
        for number, (modality, name) in enumerate(ROWS):
            path = Path(folder) / f"{modality}.dcm"
            path.write_bytes(contents[modality])
            top = number * (SIZE + head_height + 20 + gap) + gap
            draw.text((gap, top), f"{name}   {find(name).sentence}", fill="white", font=title)
            for column, tile in enumerate(
                draw_tiles(PreviewTask(files=(str(path),), perturbation=name)).tiles
            ):
                picture = Image.frombytes("RGB", (TILE, TILE), tile.pixels).resize((SIZE, SIZE))
                left = gap + column * (SIZE + gap)
                page.paste(picture, (left, top + head_height))
                draw.text(
                    (left, top + head_height + SIZE + 2), tile.caption, fill=(190, 190, 200), font=small
                )
    page.save(Path(__file__).with_name("stress.png"), optimize=True)


if __name__ == "__main__":
    main()
