"""A small SYNTHETIC hold-out in a workspace, and containers that know its answers, through the real commands."""

import csv
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from holdout import synthetic
from runners.images import build_image, save_image
from sandbox.commands.main import main

VENDORS = Path(__file__).parent / "vendors"
DOCKERFILE = b"""FROM proctor/base
COPY oracle.py table.json /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/oracle.py"]
"""
PATIENTS = 60
PROTOCOL = """
proctor: protocol/1
name: end-to-end
title: Opacity on synthetic radiographs
task: {kind: binary, target: opacity, unit: image}
output: {score: {minimum: 0, maximum: 1, levels: 101}}
operating_points: [{name: default, threshold: 0.5}]
intervals: {bootstrap_replicates: 200}
strata: [{attribute: manufacturer}]
acceptance: [{name: discrimination, metric: auroc, bound: lower, at_least: 0.7}]
limits: {seconds_per_case: 10, seconds_per_run: 600}
"""


@dataclass(frozen=True)
class Site:
    """An institution: its workspace and the data behind its hold-out."""

    home: Path
    data: Path
    protocol: Path
    labels: dict  # SHA-256 of the pixels -> 0 or 1


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A workspace with a locked hold-out and a registered protocol; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("site")
    data = folder / "data"
    synthetic.generate(data, patients=PATIENTS, seed=7)
    with (data / "reference.csv").open(newline="") as file:
        truth = {row["sop_instance_uid"]: int(row["opacity"]) for row in csv.DictReader(file)}
    labels = {}
    for path in sorted((data / "dicom").rglob("*.dcm")):
        image = pydicom.dcmread(path)
        labels[hashlib.sha256(image.PixelData).hexdigest()] = truth[image.SOPInstanceUID]
    protocol = folder / "protocol.yaml"
    protocol.write_text(PROTOCOL)
    site = Site(home=folder / "workspace", data=data, protocol=protocol, labels=labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(site.home))
        reference = ["--reference", str(data / "reference.yaml"), "--site", str(data / "site.yaml")]
        for command in (
            ["init"],
            ["holdout", "ingest", str(data / "dicom"), "--name", "cxr", *reference],
            ["holdout", "lock", "cxr"],
            ["protocol", "register", str(protocol)],
        ):
            assert main(["--quiet", *command]) == 0, command
        # A store of its own for every test would cost eight seconds each; one test turns it on again.
        policy = site.home / "policy.yaml"
        policy.write_text(policy.read_text().replace("mlflow: local", "mlflow: off"))
    return site


@pytest.fixture
def site(prepared, tmp_path, monkeypatch):
    """A fresh copy of the workspace; the data behind it are shared and read-only."""
    home = tmp_path / "workspace"
    shutil.copytree(prepared.home, home)
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    return Site(home=home, data=prepared.data, protocol=prepared.protocol, labels=prepared.labels)


@pytest.fixture(scope="session")
def archive(engine, tmp_path_factory):
    """Return a function from a table of scores to the archive of a container that answers them."""
    folder = tmp_path_factory.mktemp("archives")

    def make(name, scores, seconds=0.0):
        table = json.dumps({"scores": scores, "seconds": seconds}, sort_keys=True).encode()
        files = {
            "Dockerfile": DOCKERFILE,
            "oracle.py": (VENDORS / "oracle.py").read_bytes(),
            "table.json": table,
        }
        return save_image(engine, build_image(engine, f"proctor/test-{name}", files), folder / f"{name}.tar")

    return make


@pytest.fixture
def admitted(site, archive):
    """Return a function that admits a container answering ``scores`` as the vendor ``name``."""

    def admit(name, scores, seconds=0.0):
        assert main(["-q", "submission", "admit", str(archive(name, scores, seconds)), "--vendor", name]) == 0

    return admit
