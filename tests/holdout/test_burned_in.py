"""Burned-in text is warned of by attribute and by sample, and an unchecked set says so loudly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from holdout.burned_in import warn
from holdout.index import read_index
from holdout.ingest import ingest
from tests.holdout.dicom_files import dicom_file

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of one device with a name on them, two of another without."""
    place = tmp_path / "source"
    place.mkdir()
    noise = np.random.default_rng(1).normal(90, 10, (300, 400))
    picture = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    for number in range(2):
        pixels = np.asarray(picture, dtype="<u2").tobytes()
        dicom_file(
            place / f"plain{number}.dcm", rows=300, columns=400, PixelData=pixels, Manufacturer="Plain"
        )
    ImageDraw.Draw(picture).text(
        (10, 10),
        "MUSTERMANN ERIKA\nborn 12.08.1964\nGENERAL HOSPITAL",
        fill=255,
        font=ImageFont.load_default(24),
    )
    for number in range(3):
        pixels = np.asarray(picture, dtype="<u2").tobytes()
        declared = {"BurnedInAnnotation": "YES"} if number == 2 else {"BurnedInAnnotation": "NO"}
        dicom_file(place / f"text{number}.dcm", rows=300, columns=400, PixelData=pixels, **declared)
    ingest(place, tmp_path / "index.parquet", processes=1)
    return place


@needs_tesseract
def test_text_is_found_by_sample(folder: Path) -> None:
    warnings = warn(read_index(folder.parent / "index.parquet"), folder)
    kinds = {warning.kind: warning for warning in warnings}
    assert set(kinds) == {"declared", "not_declared", "text_found"}
    assert kinds["declared"].files == ("text2.dcm",)
    assert kinds["not_declared"].files == ("plain0.dcm", "plain1.dcm")
    assert kinds["text_found"].files == ("text0.dcm",)
    assert "MUSTERMANN" not in kinds["text_found"].sentence
    left = warn(read_index(folder.parent / "index.parquet"), folder, most_sampled=1)
    assert any("2 images of rarer devices" in warning.sentence for warning in left)


def test_without_tesseract_it_is_said_loudly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    warnings = warn(read_index(folder.parent / "index.parquet"), folder)
    assert warnings[-1].kind == "not_checked"
    assert warnings[-1].sentence.startswith("PIXELS WERE NOT CHECKED")
