"""What a submission may declare of its contract, and how a contract is found without being told."""

import json

import numpy as np
import pytest

from runners.contracts.declaration import read_document
from runners.contracts.interface import ImageDeclaration
from runners.contracts.metaimage import Volume, write_metaimage
from runners.contracts.output_folder import OutputFolder, _parent
from runners.contracts.registry import CONTRACTS, declare, detect
from runners.errors import ContractRefused, SessionError

DICOM = {"slug": "ct", "kind": "DICOM Image Set", "relative_path": "images/ct"}
VALUE = {"slug": "age", "kind": "Integer", "relative_path": "age.json", "value": 50}
HOLOSCAN = {
    "command": '["python3", "/app"]',
    "workingDirectory": "/var/holoscan/",
    "input": {"path": "input/"},
}


def volume(path, kind="directory"):
    return {"mount_path": path, "type": kind}


def medperf(**changes):
    infer = {
        "input_volumes": {"data_path": volume("/data/in")},
        "output_volumes": {"output_path": volume("/data/out")},
        **changes,
    }
    return {"container_type": "DockerImage", "tasks": {"infer": infer, "statistics": {"odd": 1}}}


@pytest.mark.parametrize(
    ("labels", "manifests", "contract"),
    [
        ({}, {}, "worker"),
        ({"io.proctor.contract": "files"}, {}, "files"),
        ({"Org.Grand-Challenge.API-Method": "'Exec'"}, {}, "grand-challenge"),
        ({}, {"proctor.json": "{}"}, "files"),
        ({}, {"etc/holoscan/app.json": "{}"}, "map"),
        ({}, {"etc/monai/app.json": "{}"}, "map"),
        ({"org.grand-challenge.api-method": "invoke"}, {"proctor.json": "{}"}, "grand-challenge"),
        *(({"io.proctor.contract": name}, {"proctor.json": "{}"}, name) for name in CONTRACTS),
    ],
)
def test_contract_is_found(labels, manifests, contract):
    assert detect(ImageDeclaration(labels=labels, manifests=manifests)) == contract


def test_contract_is_found_by_the_file_beside_the_image():
    image = ImageDeclaration()
    assert detect(image, medperf()) == "medperf"
    assert detect(image, {"inputs": [DICOM]}) == "grand-challenge"
    assert detect(image, {"contract": "files/1"}) == "files"
    assert detect(image, {"else": 1}) == "worker"
    labelled = ImageDeclaration(labels={"io.proctor.contract": "files"})
    assert detect(labelled, medperf()) == "files"


@pytest.mark.parametrize("contract", sorted(CONTRACTS))
def test_contract_may_be_given(contract):
    given = {
        "grand-challenge": ({"inputs": [DICOM]}, "a.json"),
        "medperf": (medperf(), "p.csv#a=b"),
        "map": (None, "a.json"),
    }
    document, answer = given.get(contract, (None, None))
    image = ImageDeclaration(manifests={"etc/holoscan/app.json": json.dumps(HOLOSCAN)})
    assert declare(image, contract=contract, document=document, answer=answer).contract == contract


@pytest.mark.parametrize(
    ("contract", "document", "answer", "words"),
    [
        ("nothing", None, None, "must be one of"),
        ("worker", {}, None, "no contract file"),
        ("worker", None, "a.json", "standard output"),
        ("files", {"contract": "files/2"}, None, "contract"),
        ("files", {"contract": "files/1", "more": 1}, None, "not as it must be"),
        ("files", {"contract": "files/1", "input": "/proc/self"}, None, "system's own"),
        ("files", {"contract": "files/1", "input": "/a/../etc"}, None, "plain absolute"),
        ("files", {"contract": "files/1", "output": "/input"}, None, "different places"),
        ("files", {"contract": "files/1", "scratch": ["/tmp"]}, None, "system's own"),
        ("files", {"contract": "files/1", "unit": "set"}, "answer.json", "{case}"),
        ("grand-challenge", None, "a.json", "contract file"),
        ("grand-challenge", {"inputs": [DICOM]}, None, "--answer"),
        ("grand-challenge", {"inputs": [VALUE]}, "a.json", "must hold the case"),
        ("grand-challenge", {"inputs": [DICOM, DICOM]}, "a.json", "select"),
        ("grand-challenge", {"inputs": [DICOM, VALUE, VALUE]}, "a.json", "share"),
        ("grand-challenge", {"inputs": [DICOM | {"relative_path": "ct"}]}, "a.json", "inputs"),
        ("grand-challenge", {"inputs": [DICOM | {"relative_path": "images/../.."}]}, "a.json", "inputs"),
        (
            "grand-challenge",
            {"inputs": [DICOM, VALUE | {"relative_path": "inputs.json"}]},
            "a.json",
            "inputs",
        ),
        ("grand-challenge", {"inputs": [DICOM], "scratch": ["/output"]}, "a.json", "different places"),
        ("medperf", None, "p.csv#a=b", "container_config.yaml"),
        ("medperf", {"tasks": {}}, "p.csv#a=b", "tasks.infer"),
        ("medperf", medperf(), "p.json", "{case}"),
        ("medperf", medperf(run_args={"privileged": True}), "p.csv#a=b", "run_args"),
        ("medperf", medperf(run_args={"environment": {"LD_PRELOAD": "/x"}}), "p.csv#a=b", "LD_"),
        ("medperf", medperf(run_args={"command": 'a "b'}), "p.csv#a=b", "command line"),
        (
            "medperf",
            medperf(
                input_volumes={"data_path": volume("/a"), "labels_path": volume("/w")},
            ),
            "p.csv#a=b",
            "no others",
        ),
        (
            "medperf",
            medperf(output_volumes={"output_path": volume("/o", "file")}),
            "p.csv#a=b",
            "must be a directory",
        ),
        ("map", {}, "a.json", "declared inside"),
        ("map", None, "a.json", "not an application package"),
    ],
)
def test_what_cannot_be_declared(contract, document, answer, words):
    with pytest.raises(ContractRefused, match=words):
        declare(ImageDeclaration(), contract=contract, document=document, answer=answer)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": "[1]"}, "list of words"),
        ({"command": ""}, "list of words"),
        ({"environment": {"LD_LIBRARY_PATH": "/x"}}, "LD_"),
        ({"workingDirectory": "/etc"}, "system's own"),
        ({"output": {"path": "input"}}, "different places"),
        ({"output": {"path": "../../etc"}}, "plain absolute"),
    ],
)
def test_manifests_of_packages_that_are_refused(changes, words):
    image = ImageDeclaration(manifests={"etc/holoscan/app.json": json.dumps(HOLOSCAN | changes)})
    with pytest.raises(ContractRefused, match=words):
        declare(image, answer="a.json")


def test_method_is_the_labels():
    image = ImageDeclaration(labels={"org.grand-challenge.api-method": "INVOKE"})
    assert declare(image, document={"inputs": [DICOM]}, answer="a.json").settings["method"] == "invoke"
    with pytest.raises(ContractRefused, match="contradicts"):
        declare(image, document={"inputs": [DICOM], "method": "exec"}, answer="a.json")
    with pytest.raises(ContractRefused, match="exec or invoke"):
        detect(ImageDeclaration(labels={"org.grand-challenge.api-method": "stream"}))
    with pytest.raises(ContractRefused, match="label"):
        detect(ImageDeclaration(labels={"io.proctor.contract": "other"}))


def test_settings_are_plain_and_come_back():
    image = ImageDeclaration(manifests={"etc/holoscan/app.json": json.dumps(HOLOSCAN)})
    declared = declare(image, answer="a.json")
    assert json.loads(json.dumps(declared.settings)) == declared.settings
    assert declared.settings["input"] == "/var/holoscan/input"
    assert declared.settings["command"] == ["python3", "/app"]
    assert set(CONTRACTS) == {"worker", "files", "grand-challenge", "medperf", "map"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"a: &x 1\nb: *x",
        b"\xff",
        b"a: [",
        b"x" * (65 << 10),
        b"a: .nan",
        b"a: 9007199254740992",
        b"!!python/object:os.x {}",
    ],
)
def test_contract_files_that_are_not_read(content):
    with pytest.raises(ContractRefused, match="plain mapping"):
        read_document(content)


def test_metaimage_has_header_and_pixels(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = tmp_path / "a.mha"
    write_metaimage(Volume(array=array, spacing=(0.5, 0.7, 2.0), origin=(-1.0, 0.0, 3.5)), path)
    header, _, pixels = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    assert pixels == array.astype("<i2").tobytes()
    assert b"DimSize = 4 3 2\n" in header
    assert b"ElementSpacing = 0.5 0.7 2.0\n" in header
    assert b"ElementType = MET_SHORT\n" in header
    with pytest.raises(ValueError, match="as many dimensions"):
        write_metaimage(Volume(array=array, spacing=(1.0, 1.0), origin=(0.0, 0.0)), tmp_path / "b.mha")
    colour = np.zeros((2, 3, 3), np.uint8)
    write_metaimage(Volume(array=colour, spacing=(1, 1), origin=(0, 0), colour=True), tmp_path / "c.mha")
    assert b"ElementNumberOfChannels = 3\n" in (tmp_path / "c.mha").read_bytes()


def test_output_folder_is_bounded_and_gone_afterwards():
    try:
        with OutputFolder(1 << 20, 16) as folder:
            with pytest.raises(OSError, match="No space left"):
                (folder.path / "a").write_bytes(bytes(2 << 20))
            folder.empty()
            for number in range(15):
                (folder.path / str(number)).touch()
            with pytest.raises(OSError, match="No space left"):
                (folder.path / "15").touch()
            folder.fresh()
            assert list(folder.path.iterdir()) == []
            left = folder.path
    except Exception as refused:
        if "only root" in str(refused):
            pytest.skip("mounting a tmpfs needs root")
        raise
    assert not left.exists()


def test_folder_for_output_folders_is_private(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    _parent().chmod(0o755)
    with pytest.raises(SessionError, match="private"):
        _parent()
