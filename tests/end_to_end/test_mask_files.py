"""Masks as image files, end to end: truth in NIfTI, answers in NIfTI and MetaImage by containers of other contracts."""

import csv

import nibabel
import numpy as np
import pytest

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_workspace
from sandbox.outcome.results import from_json
from tests.end_to_end.conftest import VENDORS
from tests.holdout import truth_objects as made
from tests.holdout.test_reference_volumes import affine_of, nifti

pytestmark = pytest.mark.engine
PATIENTS, SHAPE = 8, (6, 24, 20)
OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
DOCKERFILE = b"""FROM proctor/base
COPY mask_files.py /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "/vendor/mask_files.py", "FORM"]
"""
PROTOCOL = """
proctor: protocol/1
name: NAME
title: Lesions on synthetic CT
task: {kind: segmentation, target: lesion, unit: series}
output: {mask: {runs: 4096OUTPUT}}
boundary: {tolerance: 1, unit: mm}
intervals: {bootstrap_replicates: 200}
minimum: {positives: 1, negatives: 1, patients: 3}
limits: {seconds_per_case: 20, seconds_per_run: 600}
"""
INPUTS = "inputs:\n  - {slug: ct, kind: Image, relative_path: images/ct}\n"


def ball(number):
    places = np.indices(SHAPE)
    middle = np.array([3.0, 9.0 + number % 3, 10.0])[:, None, None, None]
    return (((places - middle) / np.array([2.0, 5.0, 4.0])[:, None, None, None]) ** 2).sum(axis=0) < 1


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A workspace with a locked hold-out of SYNTHETIC series, half of them oblique, and their masks in NIfTI."""
    folder = tmp_path_factory.mktemp("masks")
    data = folder / "data"
    (data / "masks").mkdir(parents=True)
    rows = []
    for number in range(PATIENTS):
        images = made.ct_series(
            f"P{number}", slices=SHAPE[0], rows=SHAPE[1], columns=SHAPE[2],
            orientation=OBLIQUE if number % 2 else made.AXIAL,
        )  # fmt: skip
        mask = ball(number)
        random = np.random.default_rng(number)
        for image, plane in zip(images, mask, strict=True):
            noise = random.integers(900, 1200, plane.shape)
            image.PixelData = np.where(plane, 2000, noise).astype(np.uint16).tobytes()
            image["PixelData"].VR = "OW"
        (data / "dicom" / f"P{number}").mkdir(parents=True)
        made.save_all(data / "dicom" / f"P{number}", images)
        upright = mask.astype(np.uint8).transpose(2, 1, 0)
        (data / "masks" / f"P{number}.nii").write_bytes(
            nifti(upright, affine_of(images), nibabel.Nifti1Image)
        )
        rows.append((images[0].SeriesInstanceUID, f"masks/P{number}.nii"))
    with (data / "reference.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("series", "mask"), *rows])
    (data / "reference.yaml").write_text(
        "proctor: reference/1\ntable: reference.csv\nkey: {series_instance_uid: series}\n"
        "labels:\n  lesion: {mask: true, read: {form: nifti}, column: mask}\nmethod: {value: planted}\n"
    )
    (folder / "inputs.yaml").write_text(INPUTS)
    home = folder / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(home))
        assert main(["-q", "init"]) == 0
        policy = home / "policy.yaml"
        policy.write_text(policy.read_text().replace("mlflow: local", "mlflow: off"))
        for name, output in (("strict", ""), ("lenient", ", on_mismatch: resample")):
            (folder / f"{name}.yaml").write_text(PROTOCOL.replace("NAME", name).replace("OUTPUT", output))
        for command in (
            ["holdout", "ingest", str(data / "dicom"), "--name", "ct", "--reference", str(data / "reference.yaml")],
            ["holdout", "lock", "ct", "--unit", "series"],
            ["protocol", "register", str(folder / "strict.yaml")],
            ["protocol", "register", str(folder / "lenient.yaml")],
        ):  # fmt: skip
            assert main(["-q", *command]) == 0, command
    return home, folder


def evaluate(site, engine, tmp_path, monkeypatch, form, *, contract, answer, protocol="strict", file=None):
    home, folder = site
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    vendor = f"{form}-{protocol}"
    files = {
        "Dockerfile": DOCKERFILE.replace(b"FORM", form.encode()),
        "mask_files.py": (VENDORS / "mask_files.py").read_bytes(),
        "name": vendor.encode(),
    }
    files["Dockerfile"] += b"COPY name /vendor/\n"
    archive = save_image(
        engine, build_image(engine, f"proctor/test-{vendor}", files), tmp_path / f"{vendor}.tar"
    )
    options = ["--contract-file", str(folder / file)] if file else []
    command = ["-q", "submission", "admit", str(archive), "--vendor", vendor, "--contract", contract,
               "--answer", answer, *options]  # fmt: skip
    assert main(command) == 0
    main(["-q", "evaluate", "--holdout", "ct", "--submission", vendor,
          "--protocol", str(folder / f"{protocol}.yaml")])  # fmt: skip
    (item,) = [each for each in evaluations(open_workspace(home)) if each.vendor == vendor]
    assert item.state == "finished"
    return from_json((item.folder / "results.json").read_bytes())


def dice(results):
    return next(each.value for each in results.analysis().estimates if each.metric == "mean_dice")


@pytest.mark.parametrize(
    ("form", "contract", "answer", "file"),
    [
        ("files", "files", "lesion.nii.gz", None),
        ("grand-challenge", "grand-challenge", "images/lesion/*.mha", "inputs.yaml"),
    ],
)
def test_a_mask_in_a_file_is_the_mask(site, engine, tmp_path, monkeypatch, form, contract, answer, file):
    results = evaluate(site, engine, tmp_path, monkeypatch, form, contract=contract, answer=answer, file=file)
    assert (results.flow.failed, dice(results)) == (0, 1.0)
    assert results.measure_unit == "mm"


def test_a_mask_on_another_grid_is_refused_unless_the_protocol_resamples(site, engine, tmp_path, monkeypatch):
    asked = {"contract": "files", "answer": "lesion.nii.gz#1"}
    refused = evaluate(site, engine, tmp_path, monkeypatch, "shifted", **asked)
    assert [(each.code, each.cases) for each in refused.flow.failures] == [("output_refused", PATIENTS)]
    assert dice(refused) == 0.0
    moved = evaluate(site, engine, tmp_path, monkeypatch, "shifted", protocol="lenient", **asked)
    assert moved.flow.failed == 0
    assert 0.7 < dice(moved) < 1.0
