"""Where the real and malformed DICOM files lie, when they are there."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"
ZOO = DATA / "dicom-zoo"

needs_zoo = pytest.mark.skipif(not ZOO.is_dir(), reason="../shared/data/dicom-zoo is missing")


def manifest() -> list[dict[str, str]]:
    if not ZOO.is_dir():
        return []
    with (ZOO / "MANIFEST.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))
