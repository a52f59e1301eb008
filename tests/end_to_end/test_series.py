"""A hold-out whose cases are series of several slices, from ingest to scores, through real containers."""

import csv
import hashlib
import json
import random
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_workspace
from sandbox.outcome.results import from_json

pytestmark = pytest.mark.engine
VENDORS = Path(__file__).parent / "vendors"
ZOO = Path(__file__).parents[3] / "shared/data/dicom-zoo"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
PATIENTS = 12
# How a scanner numbered its slices, against the order in which they lie in the patient.
NUMBERINGS = ("upwards", "downwards", "none", "shuffled")
PROTOCOL = """
proctor: protocol/1
name: series
title: Bleeding on synthetic CT
task: {kind: binary, target: bleeding, unit: series}
output: {score: {minimum: 0, maximum: 1, levels: 101}}
operating_points: [{name: default, threshold: 0.5}]
intervals: {bootstrap_replicates: 200}
limits: {seconds_per_case: 20, seconds_per_run: 600}
"""
DOCKERFILE = """FROM proctor/base
COPY oracle_series.py table.json /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/oracle_series.py", "%s"]
"""


def write_series(folder, patient, series, study, slices, numbering, shuffler):
    """Write the slices of one SYNTHETIC series under names that tell nothing; return its UID."""
    series_uid = generate_uid(entropy_srcs=[patient, str(series), "series"])
    numbers = list(range(1, slices + 1))
    if numbering == "downwards":
        numbers.reverse()
    elif numbering == "shuffled":
        shuffler.shuffle(numbers)
    for place, number in enumerate(numbers):
        image = Dataset()
        image.SOPClassUID = CT_IMAGE
        image.SOPInstanceUID = generate_uid(entropy_srcs=[patient, str(series), str(place)])
        image.StudyInstanceUID = study
        image.SeriesInstanceUID = series_uid
        image.FrameOfReferenceUID = generate_uid(entropy_srcs=[patient, "frame"])
        image.PatientID, image.PatientName = patient, "SYNTHETIC"
        image.Modality, image.Manufacturer = "CT", "Synthetic A"
        if numbering != "none":
            image.InstanceNumber = number
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [-8, -8, -20 + 2.5 * place]
        image.PixelSpacing, image.SliceThickness = [1, 1], 2.5
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.Rows = image.Columns = 16
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 0
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        image.PixelData = np.random.default_rng([series, place, *patient.encode()]).bytes(512)
        image["PixelData"].VR = "OW"
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        name = folder / patient / f"{shuffler.getrandbits(64):016x}"
        name.parent.mkdir(parents=True, exist_ok=True)
        image.save_as(name, enforce_file_format=True)
    return series_uid


def add_real_series(folder):
    """Add a CT series of the public collection that is numbered against its places; return its UID, if it is there."""
    chosen = {}
    for path in sorted(ZOO.rglob("*")) if ZOO.is_dir() else ():
        if path.name in ("2062", "2392", "2693", "3023", "3353"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = pydicom.dcmread(path, force=True)
            if image.get("Modality") == "CT":
                chosen[image.SOPInstanceUID] = (path, image.SeriesInstanceUID)
    target = folder / "real"
    target.mkdir(parents=True)
    for path, _ in chosen.values():
        (target / path.name).write_bytes(path.read_bytes())
    return next((uid for _, uid in chosen.values()), None)


def table_of(folder, labels):
    """What the container knows, by the hash of the pixels: series, place, slices, label."""
    by_series = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = pydicom.dcmread(path, force=True)
            place = float(image.ImagePositionPatient[2])
            digest = hashlib.sha256(image.PixelData).hexdigest()
            by_series.setdefault(image.SeriesInstanceUID, []).append((place, digest))
    return {
        digest: [series, place, len(slices), labels[series]]
        for series, slices in by_series.items()
        for place, (_, digest) in enumerate(sorted(slices))
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A locked hold-out of series; the table that tells its slices; labels by series."""
    folder = tmp_path_factory.mktemp("series")
    data, shuffler = folder / "data" / "dicom", random.Random(5)
    labels = {}
    for number in range(PATIENTS):
        patient = f"S{number:03d}"
        study = generate_uid(entropy_srcs=[patient, "study"])
        # Every fourth patient has two series in one study, and they do not have the same truth.
        for series in range(2 if number % 4 == 0 else 1):
            uid = write_series(
                data, patient, series, study, 3 + number % 5, NUMBERINGS[number % len(NUMBERINGS)], shuffler
            )
            labels[uid] = (number // 2 + series) % 2
    real = add_real_series(data)
    if real is not None:
        labels[real] = 1
    with (folder / "data" / "reference.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["series", "bleeding"])
        rows.writerows(labels.items())
    (folder / "data" / "reference.yaml").write_text(
        "proctor: reference/1\ntable: reference.csv\nkey: {series_instance_uid: series}\n"
        "labels:\n  bleeding: {column: bleeding, positive: ['1'], negative: ['0']}\n"
        "method: {value: planted}\n"
    )
    (folder / "protocol.yaml").write_text(PROTOCOL)
    home = folder / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(home))
        assert main(["-q", "init"]) == 0
        reference = ["--reference", str(folder / "data" / "reference.yaml")]
        assert main(["-q", "holdout", "ingest", str(data), "--name", "ct", *reference]) == 0
        assert main(["-q", "holdout", "lock", "ct", "--unit", "series"]) == 0
        assert main(["-q", "protocol", "register", str(folder / "protocol.yaml")]) == 0
        policy = home / "policy.yaml"
        policy.write_text(policy.read_text().replace("mlflow: local", "mlflow: off"))
        yield home, folder, table_of(data, labels), labels


@pytest.mark.parametrize("contract", ["worker", "files", "grand-challenge"])
def test_a_container_gets_all_slices_of_one_series_as_they_lie_in_the_patient(
    site, engine, tmp_path, monkeypatch, contract
):
    home, folder, table, labels = site
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    files = {
        "Dockerfile": (DOCKERFILE % contract).encode(),
        "oracle_series.py": (VENDORS / "oracle_series.py").read_bytes(),
        "table.json": json.dumps(table, sort_keys=True).encode(),
    }
    image = build_image(engine, f"proctor/test-series-{contract}", files)
    archive = str(save_image(engine, image, tmp_path / "image.tar"))
    options = {
        "worker": [],
        "files": ["--contract", "files", "--answer", "answer.json#/score"],
        "grand-challenge": [
            *("--contract", "grand-challenge", "--answer", "answer.json#/score"),
            *("--contract-file", str(VENDORS / "series_inputs.yaml")),
        ],
    }[contract]
    vendor = f"series-{contract}"
    assert main(["-q", "submission", "admit", archive, "--vendor", vendor, *options]) == 0
    asked = ["--holdout", "ct", "--submission", vendor, "--protocol", str(folder / "protocol.yaml")]
    assert main(["-q", "evaluate", *asked]) == 0
    (item,) = [each for each in evaluations(open_workspace(home)) if each.vendor == vendor]
    results = from_json((item.folder / "results.json").read_bytes())
    assert (results.flow.answered, results.flow.failed) == (len(labels), 0)
    (auroc,) = [each for each in results.analysis().estimates if each.metric == "auroc"]
    assert (auroc.value, auroc.n, auroc.positives) == (1.0, len(labels), sum(labels.values()))
    assert auroc.patients == PATIENTS + (ZOO.is_dir())
