"""Laws that every registered perturbation keeps: its own order, the same bytes everywhere, geometry, units."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturb import PerturbedFiles
from sandbox.stress.registry import registry
from tests.sandbox.stress import cases

FILES = {modality: cases.case(modality, slices=8) for modality in ("CT", "MR", "CR", "US", "PT", "XC")}
TEXTURE = np.random.default_rng(0).integers(0, 4096, (96, 80)).astype(np.uint16)
FILES["textured CR"] = [
    (
        "000001.dcm",
        cases.dicom_file(
            "CR", TEXTURE, 1, BitsStored=12, HighBit=11, Laterality="L", PatientOrientation=["L", "F"]
        ),
    )
]
CHANGING = [name for name, entry in registry().items() if entry.function is not None]
ON_PIXELS = [name for name in CHANGING if registry()[name].kind == "pixels"]
GEOMETRY = (
    *("Rows", "Columns", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
# These are for the geometry, and their own tests say how.
MOVING = {"crop", "non_square_pixels", "us_depth_scale"}


def modalities(name: str) -> list[str]:
    wanted = registry()[name].modalities
    return [modality for modality in FILES if not wanted or modality.split()[-1] in wanted]


def body_size(made: PerturbedFiles) -> float:
    return float(sum((values > values.min() + 0.2 * np.ptp(values)).sum() for values in cases.values(made)))


MEASURES: dict[str, tuple[str, Callable[[PerturbedFiles], float]]] = {
    "truncated_file": ("CR", lambda made: -sum(len(content) for _, content in made.files)),
    "crop": ("CR", lambda made: -sum(values.size for values in cases.values(made))),
    "non_square_pixels": ("CR", lambda made: -sum(values.size for values in cases.values(made))),
    "slices_missing": ("CT", lambda made: -len(made.files)),
    "slices_gap": ("CT", lambda made: -len(made.files)),
    "slices_duplicated": ("CT", lambda made: len(made.files)),
    "constant": ("CR", lambda made: float(cases.values(made)[0].mean())),
    "noise": ("CR", lambda made: float(cases.values(made)[0].std())),
    "paediatric_scale": ("CR", lambda made: -body_size(made)),
    "us_depth_scale": ("US", lambda made: -body_size(made)),
    "corners_masked": ("textured CR", lambda made: float((cases.values(made)[0] != TEXTURE).sum())),
    "corners_swapped": ("textured CR", lambda made: float((cases.values(made)[0] != TEXTURE).sum())),
    "ct_table_shift": ("CT", lambda made: -body_size(made)),
}
"""What grows with the severity, where it is not the distance of pixels to those of the clean image."""


@pytest.mark.parametrize("name", MEASURES)
def test_severities_are_monotone_by_their_own_measure(name: str) -> None:
    modality, measure = MEASURES[name]
    files = cases.case("CT", slices=40) if modality == "CT" and "slices" in name else FILES[modality]
    donor = FILES["CR"] if registry()[name].donor == "other class" else None
    steps = np.diff(
        [measure(cases.perturbed(files, name, severity, donor=donor)) for severity in range(1, 6)]
    )
    assert all(steps > 0), (name, steps)


def test_every_graded_perturbation_has_a_test_of_its_order() -> None:
    from tests.sandbox.stress.test_perturb import NOT_BY_DISTANCE

    assert set(MEASURES) == NOT_BY_DISTANCE


def digests(names: list[str]) -> dict[str, str]:
    """SHA-256 of what each perturbation makes of the first case that it is for, at its last severity."""
    found = {}
    for name in names:
        for modality in modalities(name):
            try:
                made = cases.perturbed(FILES[modality], name, len(registry()[name].severities))
            except NotApplicableError:
                continue
            content = b"".join(file_name.encode() + content for file_name, content in made.files)
            found[name] = hashlib.sha256(content).hexdigest()
            break
    return found


def test_another_process_makes_the_same_bytes_of_every_perturbation() -> None:
    script = (
        "import json; from tests.sandbox.stress.test_properties import CHANGING, digests; "
        "print(json.dumps(digests(CHANGING)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "99", "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[3],
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs == digests(CHANGING)
    # No case of the tests is enhanced or has private elements.
    assert set(CHANGING) - set(theirs) <= {"as_single_frames", "frame_order", "private_tags_stripped"}, set(
        CHANGING
    ) - set(theirs)


@pytest.mark.parametrize("name", [name for name in ON_PIXELS if name not in MOVING])
def test_a_change_of_pixels_leaves_geometry_and_scale_of_values(name: str) -> None:
    for modality in modalities(name):
        try:
            made = cases.perturbed(FILES[modality], name, len(registry()[name].severities))
        except NotApplicableError:
            continue
        assert len(made.files) == len(FILES[modality])
        for (_, before), (_, after) in zip(FILES[modality], made.files, strict=True):
            old, new = (pydicom.dcmread(io.BytesIO(content)) for content in (before, after))
            for keyword in (
                *GEOMETRY,
                "RescaleSlope",
                "RescaleIntercept",
                "BitsStored",
                "PixelRepresentation",
            ):
                assert new.get(keyword) == old.get(keyword), (modality, keyword)


@pytest.mark.parametrize("name", [name for name in ON_PIXELS if "CT" in modalities(name)])
def test_units_are_those_of_the_rescale_however_values_are_stored(name: str) -> None:
    otherwise = list(cases.perturbed(FILES["CT"], "rescale_refactored", 1).files)
    assert pydicom.dcmread(io.BytesIO(otherwise[0][1])).RescaleSlope != 1
    severity = len(registry()[name].severities)
    try:
        one, other = (
            cases.values(cases.perturbed(files, name, severity)) for files in (FILES["CT"], otherwise)
        )
    except NotApplicableError:
        pytest.skip("it has no meaning for CT of five slices")
    difference = np.abs(np.stack(one) - np.stack(other))
    # Half a unit is rounded away, and what the wider range of the other can hold is clipped in the one.
    inside = (np.stack(one) > -1020) & (np.stack(one) < 3000)
    assert np.quantile(difference[inside], 0.999) <= 1.0
