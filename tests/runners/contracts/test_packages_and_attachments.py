"""MAP manifests and MedPerf configurations in both of their forms, and what is handed in beside an image."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from runners.admission import AdmissionRules
from runners.attachments import check_attachments, keep_additional, keep_parameters
from runners.contracts.interface import ImageDeclaration
from runners.contracts.registry import declare
from runners.errors import AdmissionRefused, ContractRefused, RunnerError
from runners.failures import FailureCode
from runners.limits import MIB

VENDORS = Path(__file__).parent / "vendors"
HOLOSCAN = {"command": '["python3", "/app"]', "workingDirectory": "/var/holoscan/"}
MONAI = {"command": "python3 /app", "working-directory": "/var/monai/"}
CUBE = {
    "docker": {"image": "vendor/model"},
    "tasks": {
        "infer": {
            "parameters": {
                "inputs": {"data_path": "data/", "parameters_file": "inner/parameters.yaml"},
                "outputs": {"output_path": {"type": "directory", "default": "predictions"}},
            }
        }
    },
}
RULES = AdmissionRules(total_bytes=MIB, files=20, seconds=30)


def package(generation, app, pkg=None):
    manifests = {f"etc/{generation}/app.json": json.dumps(app)}
    if pkg is not None:
        manifests[f"etc/{generation}/pkg.json"] = json.dumps(pkg)
    return declare(ImageDeclaration(manifests=manifests), answer="a.json").settings


def test_both_generations_of_packages_are_read_in_full():
    new = package(
        "holoscan",
        HOLOSCAN | {"timeout": 40, "input": {"path": "in/"}, "output": {"path": "out"}},
        {"modelRoot": "/opt/m", "models": {"a": "/opt/m/a"}, "resources": {"gpu": 1, "memory": "2Gi"}},
    )
    assert (new["input"], new["output"]) == ("/var/holoscan/in", "/var/holoscan/out")
    assert (new["models"], new["timeout"], new["gpus"], new["memory"]) == ("/opt/m", 40, 1, "2Gi")
    old = package(
        "monai", MONAI, {"model-root": "/opt/monai/models", "models": [{"name": "a-1", "path": "a"}]}
    )
    assert (old["input"], old["output"]) == ("/var/monai/input", "/var/monai/output")
    assert (old["models"], old["timeout"]) == ("/opt/monai/models", 0)
    assert package("holoscan", HOLOSCAN)["models"] == ""


@pytest.mark.parametrize(
    ("app", "pkg"),
    [
        ({"timeout": -1}, {}),
        ({"timeout": "soon"}, {}),
        ({}, {"modelRoot": "models"}),
        ({}, {"modelRoot": "/opt/../etc"}),
        ({}, {"models": 3}),
        ({}, {"resources": {"gpu": "many"}}),
    ],
)
def test_packages_that_are_refused(app, pkg):
    with pytest.raises(ContractRefused):
        package("holoscan", HOLOSCAN | app, pkg)


def test_a_cube_is_told_its_places_as_mlcube_numbers_them():
    attached = frozenset({"parameters_file"})
    declared = declare(ImageDeclaration(), document=CUBE, answer="p.csv#case=score", attached=attached)
    assert declared.contract == "medperf"
    assert declared.settings["entrypoint"] is None
    assert declared.settings["command"] == [
        "infer",
        "--data_path=/mlcube_io0",
        "--parameters_file=/mlcube_io1/parameters.yaml",
        "--output_path=/mlcube_io2",
    ]
    assert declared.settings["parameters"] == "/mlcube_io1/parameters.yaml"
    task = CUBE["tasks"]["infer"] | {"entrypoint": "python3 /infer.py --fast"}
    own = declare(
        ImageDeclaration(),
        document=CUBE | {"tasks": {"infer": task}},
        answer="{case}.json",
        attached=attached,
    )
    assert own.settings["entrypoint"] == ["python3"]
    assert own.settings["command"][:2] == ["/infer.py", "--fast"]


@pytest.mark.parametrize(
    ("document", "attached", "words"),
    [
        (CUBE, frozenset(), "--parameters-file"),
        (CUBE, frozenset({"parameters_file", "additional_files"}), "does not ask for additional_files"),
        (CUBE | {"container_type": "EncryptedDockerArchive"}, frozenset(), "tasks.infer"),
    ],
)
def test_what_is_handed_in_must_be_what_is_asked_for(document, attached, words):
    with pytest.raises(ContractRefused, match=words):
        declare(
            ImageDeclaration(), contract="medperf", document=document, answer="{case}.json", attached=attached
        )


def test_encrypted_images_are_told_apart():
    volumes = {
        "input_volumes": {"data_path": {"mount_path": "/a", "type": "directory"}},
        "output_volumes": {"output_path": {"mount_path": "/b", "type": "directory"}},
    }
    document = {"container_type": "EncryptedDockerArchive", "tasks": {"infer": volumes}}
    with pytest.raises(ContractRefused, match="encrypted"):
        declare(ImageDeclaration(), document=document, answer="{case}.json")


def packed(path, *members, squeeze=bytes):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, kind, content in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(content)
            entry.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(squeeze(whole.getvalue()))
    return path


FILE, FOLDER = tarfile.REGTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_attachments_are_kept_and_watched(tmp_path, squeeze):
    source = packed(
        tmp_path / "w.tar", ("./w", FOLDER, b""), ("./w/model.bin", FILE, b"weights"), squeeze=squeeze
    )
    place = tmp_path / "kept"
    digest = keep_additional(source, place, RULES)
    assert (place / "w" / "model.bin").read_bytes() == b"weights"
    (tmp_path / "p.yaml").write_text("a: 1\n")
    parameters = keep_parameters(tmp_path / "p.yaml", tmp_path / "parameters")
    places = {"additional_files": place, "parameters_file": tmp_path / "parameters"}
    digests = {"additional_files": digest, "parameters_file": parameters}
    check_attachments(places, digests)
    (place / "w" / "model.bin").write_bytes(b"Weights")
    with pytest.raises(RunnerError, match="not what was admitted"):
        check_attachments(places, digests)


@pytest.mark.parametrize(
    ("code", "members"),
    [
        ("attachment", [("link", tarfile.SYMTYPE, b"")]),
        ("attachment", [("link", tarfile.LNKTYPE, b"")]),
        ("attachment", [("device", tarfile.CHRTYPE, b"")]),
        ("attachment", [("a", FILE, b"1"), ("a", FILE, b"2")]),
        ("attachment", [("a", FILE, b"1"), ("a/b", FILE, b"2")]),
        ("path_traversal", [("../a", FILE, b"1")]),
        ("path_traversal", [("a/../../b", FILE, b"1")]),
        ("too_large", [("a", FILE, bytes(2 * MIB))]),
        ("too_many_files", [(f"d{number}", FOLDER, b"") for number in range(30)]),
    ],
)
def test_attachments_that_are_refused(tmp_path, code, members):
    with pytest.raises(AdmissionRefused) as caught:
        keep_additional(packed(tmp_path / "w.tar", *members), tmp_path / "kept", RULES)
    assert caught.value.code == code


def test_attachments_that_cannot_be_read(tmp_path):
    (tmp_path / "no.tar").write_bytes(b"nothing" * 200)
    with pytest.raises(AdmissionRefused, match="not_an_archive"):
        keep_additional(tmp_path / "no.tar", tmp_path / "kept", RULES)
    (tmp_path / "large").write_bytes(bytes(2 * MIB))
    for keep in (tmp_path / "large", tmp_path / "nowhere"):
        with pytest.raises(RunnerError, match="parameters file"):
            keep_parameters(keep, tmp_path / "p")


@pytest.mark.engine
@pytest.mark.parametrize("generation", ["holoscan", "monai"])
def test_a_package_s_own_time_limit_holds(put, generation):
    app = json.loads((VENDORS / f"{generation}_app.json").read_text())
    settings = package(generation, app | {"timeout": 1}, {"modelRoot": f"/opt/{generation}/models"})
    outcomes = put(f"map-{generation}", ["slow-1", "c0_5-a"], settings=settings)
    assert [outcome.failure for outcome in outcomes] == [FailureCode.TIMEOUT, None]
    assert outcomes[0].seconds < 2.4
