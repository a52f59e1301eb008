"""Containers in each contract's own style, built on the base image, and a way to run them."""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from runners.contracts.declaration import read_document
from runners.contracts.interface import ContractRun, ImageDeclaration
from runners.contracts.metaimage import Volume
from runners.contracts.registry import CONTRACTS, Declared, declare
from runners.images import build_image
from runners.limits import MIB, Limits
from runners.posture import Posture
from runners.worker import CaseInput

VENDORS = Path(__file__).parent / "vendors"
SCORE = {"output": {"score": {"minimum": 0, "maximum": 1}}}
GC_INPUTS = {
    "inputs": [
        {"slug": "chest-x-ray", "kind": "DICOM Image Set", "relative_path": "images/chest-x-ray"},
        {
            "slug": "clinical-information",
            "kind": "Anything",
            "relative_path": "clinical-information.json",
            "value": {"protocol": "routine"},
        },
    ]
}


MHA_INPUTS = {
    "inputs": [
        {"slug": "chest-ct", "kind": "Image", "relative_path": "images/chest-ct"},
        {
            "slug": "patient-age",
            "kind": "Integer",
            "relative_path": "patient-age.json",
            "attribute": "PatientAge",
        },
    ]
}


class SpellingReader:
    """Stands in for the host's decoder: a volume whose first slice spells the word in the case's file."""

    def attributes(self, case, keywords):
        return {name: {"PatientAge": 61} for name in case.files}

    def volume(self, case, files):
        word = (case.directory / files[0]).read_bytes()
        pixels = np.zeros((2, 4, 8), np.int16)
        pixels[0].ravel()[: len(word)] = np.frombuffer(word, np.uint8)
        return Volume(array=pixels, spacing=(0.7, 0.5, 2.5), origin=(-10.0, 20.0, 30.5))


@dataclass(frozen=True)
class Style:
    """A contract as a vendor would declare it, and the container that goes with it."""

    program: str
    contract: str
    answer: str | None = None
    document: dict | None = None
    labels: dict = field(default_factory=dict)
    manifests: dict = field(default_factory=dict)
    dockerfile: str = ""
    decoded: bool = False
    attached: tuple = ()

    def attachments(self, folder):
        """What the vendor hands in beside the image, as admission keeps it."""
        if not self.attached:
            return {}
        folder.mkdir()
        places = {name: folder / name for name in self.attached}
        places["parameters_file"].write_text("threshold: 0.5\n")
        (places["additional_files"] / "weights").mkdir(parents=True)
        (places["additional_files"] / "weights" / "model.bin").write_bytes(b"weights")
        return places

    def declared(self) -> Declared:
        image = ImageDeclaration(
            labels=self.labels,
            manifests={path: (VENDORS / name).read_text() for path, name in self.manifests.items()},
        )
        # What image and contract file say is enough where the contract has a way to say it.
        named = None if self.labels or self.manifests or self.document else self.contract
        return declare(
            image,
            contract=named,
            document=self.document,
            answer=self.answer,
            attached=frozenset(self.attached),
        )


def map_style(generation):
    path, package = f"etc/{generation}/app.json", f"etc/{generation}/pkg.json"
    return Style(
        program="map_app.py",
        contract="map",
        answer="result.json#/findings/0/probability",
        manifests={path: f"{generation}_app.json", package: f"{generation}_pkg.json"},
        dockerfile=f"COPY entrypoint.sh /app/\nCOPY {generation}_app.json /{path}\n"
        f"COPY {generation}_pkg.json /{package}\n",
    )


def medperf_style(configuration):
    return Style(
        program="mlcube_infer.py",
        contract="medperf",
        answer="predictions.csv#case=probability",
        document=read_document((VENDORS / configuration).read_bytes()),
        attached=("parameters_file", "additional_files"),
    )


STYLES = {
    "worker": Style(program="worker_lines.py", contract="worker", labels={"io.proctor.contract": "worker"}),
    "files-case": Style(program="files_case.py", contract="files"),
    "files-set": Style(
        program="files_set.py",
        contract="files",
        document={
            "contract": "files/1",
            "unit": "set",
            "input": "/data/in",
            "output": "/data/out",
            "answer": "{case}.json",
        },
    ),
    "gc-exec": Style(
        program="gc_exec.py",
        contract="grand-challenge",
        answer="malignancy-likelihood.json",
        document=GC_INPUTS,
    ),
    "gc-invoke": Style(
        program="gc_invoke.py",
        contract="grand-challenge",
        answer="malignancy-likelihood.json",
        document=GC_INPUTS,
        labels={"org.grand-challenge.api-method": "Invoke"},
    ),
    "gc-exec-mha": Style(
        program="gc_mha_exec.py",
        contract="grand-challenge",
        answer="malignancy-likelihood.json",
        document=MHA_INPUTS,
        decoded=True,
    ),
    "gc-invoke-mha": Style(
        program="gc_mha_invoke.py",
        contract="grand-challenge",
        answer="malignancy-likelihood.json",
        document=MHA_INPUTS,
        labels={"org.grand-challenge.api-method": "invoke"},
        decoded=True,
    ),
    "medperf-weights": medperf_style("medperf_weights.yaml"),
    "medperf-mlcube": medperf_style("mlcube.yaml"),
    "medperf": Style(
        program="medperf_infer.py",
        contract="medperf",
        answer="predictions.csv#case=probability",
        document=read_document((VENDORS / "container_config.yaml").read_bytes()),
    ),
    "map-holoscan": map_style("holoscan"),
    "map-monai": map_style("monai"),
}


@pytest.fixture(scope="session")
def image(engine):
    """Return a function from the name of a style to the id of its image."""
    return lambda name: built(engine, name)


def built(engine, name):
    style = STYLES[name]
    shared = {
        "model.py",
        "gc_exec.py",
        "gc_invoke.py",
        "gc_mha_exec.py",
        "mha.py",
        style.program,
        "entrypoint.sh",
        *style.manifests.values(),
    }
    files = {path: (VENDORS / path).read_bytes() for path in shared}
    labels = "".join(f'LABEL {key}="{value}"\n' for key, value in style.labels.items())
    files["Dockerfile"] = (
        f"FROM proctor/base\nCOPY *.py /app/\n{style.dockerfile}{labels}WORKDIR /app\nUSER 65532:65532\n"
        f'ENTRYPOINT ["python3", "/app/{style.program}"]\n'
    ).encode()
    return build_image(engine, f"proctor/test-{name}", files).digest


@pytest.fixture
def limits():
    return Limits(
        memory_bytes=128 * MIB,
        tmp_bytes=8 * MIB,
        shm_bytes=8 * MIB,
        output_bytes=16 * MIB,
        pids=32,
        seconds_to_ready=10,
        seconds_per_case=1.5,
        stray_bytes=4 * MIB,
    )


@pytest.fixture
def put(engine, image, tmp_path, limits):
    """Return a function that puts cases, by the words in their files, to the container of a style."""

    def run(name, words, *, limits=limits, on_event=lambda event: None, **changes):
        style, root = STYLES[name], tmp_path / f"input-{time.monotonic_ns()}"
        root.mkdir()
        declared = style.declared()
        assert declared.contract == style.contract
        # What runs comes out of the submission's record.
        settings = json.loads(json.dumps(declared.settings))
        request = ContractRun(
            engine=engine,
            image=image(name),
            posture=Posture(),
            limits=limits,
            input_root=root,
            task=SCORE,
            settings=settings,
            answer=declared.location,
            user="65532:65532",
            on_event=on_event,
            reader=SpellingReader() if style.decoded else None,
            attachments=style.attachments(tmp_path / f"attached-{time.monotonic_ns()}"),
        )
        request = replace(request, **changes)
        staged = tmp_path / "staged"
        outcomes = list(CONTRACTS[style.contract].run(request, (stage(staged, word) for word in words)))
        assert list(root.iterdir()) == []
        assert list(staged.iterdir()) == []
        return outcomes

    return run


def stage(folder, name):
    directory = folder / name
    directory.mkdir(parents=True)
    # A name such as ``c0_25`` stands for the score 0.25, so that names stay pseudonyms.
    word = name.split("-")[0]
    (directory / "000001.dcm").write_text(
        word.removeprefix("c").replace("_", ".") if word[1:2].isdigit() else word
    )
    return CaseInput(case=name, directory=directory, files=("000001.dcm",))
