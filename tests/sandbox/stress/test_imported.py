"""Perturbations of radiographs and photographs that were imported from pictures and a table."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from holdout.importer import builtin_mapping, import_folder
from sandbox.stress.perturb import perturbed_files
from sandbox.stress.registry import find, registry

LABELLED = Path(__file__).parents[4] / "shared" / "data"
ANY = ("blur", "contrast", "resolution", "occlusion", "lossy_jpeg")
RADIOGRAPH = ("dr_quantum_noise", "dr_grid_cutoff", "dr_collimation", "dr_gamma", "side_marker_on_positives")
PHOTOGRAPH = ("colour_temperature", "overexposure")
LOSSLESS = tuple(name for name, entry in registry().items() if entry.family == "DICOM lossless")
Files = list[tuple[str, bytes]]


@pytest.fixture(
    scope="module",
    params=[("covid-cxr", RADIOGRAPH), ("nih-cxr64", RADIOGRAPH), ("ham10000-200", PHOTOGRAPH)],
    ids=lambda given: given[0],
)
def imported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Files], tuple[str, ...]]:
    """Three images of a labelled set, and the perturbations that are for their kind."""
    name, own = request.param
    if not (LABELLED / name).is_dir():
        pytest.skip(f"the labelled set {name} is not at {LABELLED / name}")
    destination = tmp_path_factory.mktemp(name) / "out"
    import_folder(LABELLED / name, builtin_mapping(name), destination, processes=1, limit=3)
    with (destination / "acquisition.csv").open(newline="") as stream:
        paths = [destination / "dicom" / row["file"] for row in csv.DictReader(stream)]
    return [[("000001.dcm", path.read_bytes())] for path in paths], (*ANY, *own)


def made(files: Files, name: str, severity: int) -> pydicom.Dataset:
    result = perturbed_files(files, find(name), severity, case="c", seed=1, key=b"k" * 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(result.files[0][1]))


def distance(one: pydicom.Dataset, other: pydicom.Dataset) -> float:
    difference = one.pixel_array.astype(float) - other.pixel_array.astype(float)
    return float(np.sqrt((difference**2).mean()))


def test_each_severity_changes_imported_images_more(imported: tuple[list[Files], tuple[str, ...]]) -> None:
    cases, names = imported
    for name in names:
        for files in cases[:2]:
            clean = made(files, name, 0)
            ladder = [distance(clean, made(files, name, severity)) for severity in (1, 3, 5)]
            # Blur of 1% of 64 pixels is less than a pixel.
            assert 0 <= ladder[0] < ladder[1] < ladder[2], (name, ladder)


def test_imported_images_keep_their_form_and_lose_their_identifiers(
    imported: tuple[list[Files], tuple[str, ...]],
) -> None:
    cases, names = imported
    for files in cases:
        source = pydicom.dcmread(io.BytesIO(files[0][1]))
        for name in names:
            data = made(files, name, 3)
            assert data.SOPInstanceUID != source.SOPInstanceUID
            assert data.PatientID != source.PatientID
            assert data.SamplesPerPixel == source.SamplesPerPixel
            assert data.pixel_array.shape == source.pixel_array.shape
            assert data.Modality == source.Modality


def test_lossless_rewriting_of_imported_images_changes_no_pixel(
    imported: tuple[list[Files], tuple[str, ...]],
) -> None:
    (files, *_), _ = imported
    clean = made(files, "blur", 0)
    assert len(LOSSLESS) == 11
    for name in LOSSLESS:
        data = made(files, name, 1)
        # Imported JPEG is YBR: what is compared is what a reader shows.
        assert np.abs(data.pixel_array.astype(int) - clean.pixel_array.astype(int)).max() == 0, name
