"""The vendor kit: what it writes runs, is admitted and passes; what a vendor gets wrong is found and said."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import get_args

import pytest

from runners.contracts.registry import CONTRACTS
from runners.images import build_image, save_image
from sandbox.asking.kit import TASKS, contracts, options
from sandbox.commands.main import main
from sandbox.plan.metric_catalogue import TaskKind

PROTOCOLS = Path(__file__).parents[2] / "policies/protocols"
LEAKY = """
def load():
    return []

def predict(model, paths):
    model.append(paths)
    return {"score": len(model) / 100}
"""
# The answer depends on the case before, so that the same order gives the same answers.
ECHO = """
import pathlib

def load():
    return [0.0]

def predict(model, paths):
    before, model[0] = model[0], sum(pathlib.Path(paths[0]).read_bytes()[-4000:]) % 997 / 997
    return {"score": before}
"""
RANDOM = """
import random

def load():
    return None

def predict(model, paths):
    return {"score": random.random()}
"""


@pytest.fixture
def archive(engine, tmp_path):
    """Return a function that builds a kit's folder on the base image, as a vendor would on another one."""

    def make(folder):
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        lines = (
            files["Dockerfile"].replace(b"FROM python:3.12-slim\n", b"FROM proctor/base\n").splitlines(True)
        )
        # The base image has both; a build here reaches no package index.
        files["Dockerfile"] = b"".join(line for line in lines if not line.startswith(b"RUN pip"))
        return save_image(
            engine, build_image(engine, f"proctor/test-{folder.name}", files), tmp_path / f"{folder.name}.tar"
        )

    return make


def new(folder, contract, task="binary", form=None):
    given = ["--task", task, "--contract", contract, *(["--form", form] if form else [])]
    assert main(["-q", "kit", "new", *given, str(folder)]) == 0
    return folder


def check(capsys, *arguments):
    capsys.readouterr()
    code = main(["--json", "-q", "kit", "check", *map(str, arguments)])
    report = json.loads(capsys.readouterr().out)
    return code, {item["name"]: item["held"] for item in report["checks"]}, report


def test_there_is_a_kit_for_every_contract_and_every_task():
    assert set(contracts()) == set(CONTRACTS)
    assert set(TASKS) == set(get_args(TaskKind))


@pytest.mark.parametrize(
    ("contract", "task"),
    [
        *((contract, task) for contract in contracts() for task in ("binary", "segmentation", "detection")),
        *(("worker", task) for task in TASKS if task not in ("binary", "segmentation", "detection")),
    ],
)
def test_what_the_kit_writes_passes_its_own_test(tmp_path, contract, task):
    folder = new(tmp_path / "kit-own", contract, task)
    done = subprocess.run(
        [sys.executable, folder / "test_container.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "keeps to" in done.stdout
    assert json.dumps(TASKS[task]) in (folder / "model.py").read_text() or not TASKS[task]


@pytest.mark.parametrize("contract", contracts())
def test_a_kit_of_points_in_a_volume_passes_its_own_test(tmp_path, contract):
    folder = new(tmp_path / "kit-own", contract, "detection", "points_in_volume")
    done = subprocess.run(
        [sys.executable, folder / "test_container.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "keeps to" in done.stdout
    assert '"points": point' in (folder / "model.py").read_text()


@pytest.mark.engine
@pytest.mark.parametrize("contract", contracts())
def test_what_the_kit_writes_passes_the_institutions_checks(tmp_path, archive, capsys, contract):
    folder = new(tmp_path / f"kit-{contract}", contract)
    code, held, report = check(capsys, archive(folder), *options(folder, contract))
    assert code == 0, report
    assert report["contract"] == contract
    assert report["state"] == "none seen"
    assert report["posture"]["allowed"]
    assert {"nonroot", "no-vsock"} <= {control["name"] for control in report["posture"]["controls"]}
    assert set(held) == {
        "admission",
        "posture",
        "smoke",
        "several cases",
        "same input twice",
        "shuffled order",
        "alone and among many",
    }


@pytest.mark.engine
@pytest.mark.parametrize(
    ("task", "contract", "form", "protocol"),
    [
        ("segmentation", "worker", None, "ham10000-segmentation"),
        ("segmentation", "files", None, "ham10000-segmentation"),
        ("detection", "worker", None, "example-detection"),
        ("detection", "worker", "points_in_volume", "example-nodules"),
    ],
)
def test_kits_of_masks_and_findings_pass_the_institutions_checks(
    tmp_path, archive, capsys, task, contract, form, protocol
):
    folder = new(tmp_path / f"kit-{task}-{contract}", contract, task, form)
    plan = PROTOCOLS / f"{protocol}.yaml"
    code, held, report = check(capsys, archive(folder), *options(folder, contract), "--protocol", plan)
    assert code == 0, report
    assert report["state"] == "none seen"
    assert all(held.values())


@pytest.mark.engine
@pytest.mark.parametrize(
    ("name", "model", "state", "broken"),
    [
        ("leaky", LEAKY, "leaks", {"same input twice", "shuffled order", "alone and among many"}),
        ("echo", ECHO, "leaks", {"same input twice", "shuffled order", "alone and among many"}),
        ("random", RANDOM, "cannot tell", {"same input twice", "shuffled order", "alone and among many"}),
    ],
)
def test_state_that_leaks_and_chance_are_told_apart(tmp_path, archive, capsys, name, model, state, broken):
    folder = new(tmp_path / f"kit-{name}", "worker")
    (folder / "model.py").write_text(model)
    code, held, report = check(capsys, archive(folder))
    assert (code, report["state"]) == (1, state)
    assert {check for check, did in held.items() if not did} == broken
    sentences = " ".join(item["sentence"] for item in report["checks"])
    assert ("State leaks" in sentences) == (state == "leaks")
    assert ("random seeds" in sentences) == (state == "cannot tell")


@pytest.mark.engine
def test_engine_that_gives_less_than_the_policy_requires_is_said(tmp_path, archive, capsys):
    policy = tmp_path / "policy.yaml"
    policy.write_text("proctor: policy/1\nname: strict\nisolation: {required: [own-user-namespace]}\n")
    folder = new(tmp_path / "kit-strict", "worker")
    code, held, report = check(capsys, archive(folder), "--policy", policy)
    if held["posture"]:
        pytest.skip("this engine maps users to a namespace of their own")
    assert (code, report["posture"]["missing"]) == (1, ["own-user-namespace"])
    assert [name for name, did in held.items() if not did] == ["posture"]
    assert "own-user-namespace" in report["checks"][1]["sentence"]


@pytest.mark.engine
def test_weights_beside_the_image_are_checked_with_it(tmp_path, archive, capsys):
    folder = new(tmp_path / "kit-weights", "medperf")
    configuration = (folder / "container_config.yaml").read_text()
    volumes = "      additional_files: {mount_path: /mlcommons/volumes/additional, type: directory}\n    output_volumes"
    (folder / "container_config.yaml").write_text(configuration.replace("    output_volumes", volumes))
    model = (folder / "model.py").read_text()
    reading = 'import json; return json.load(open("/mlcommons/volumes/additional/weights.json"))'
    (folder / "model.py").write_text(model.replace("    return ANSWER", f"    {reading}"))
    (tmp_path / "weights.json").write_text('{"score": 0.25}')
    with tarfile.open(tmp_path / "weights.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "weights.json", "weights.json")
    image = archive(folder)
    code, held, report = check(capsys, image, *options(folder, "medperf"))
    assert (code, held) == (1, {"admission": False})
    assert "--additional-files" in report["checks"][0]["sentence"]
    given = ["--additional-files", tmp_path / "weights.tar.gz"]
    code, held, report = check(capsys, image, *options(folder, "medperf"), *given)
    assert code == 0, report


@pytest.mark.engine
def test_refusals_and_failures_come_with_a_sentence(tmp_path, archive, capsys):
    (tmp_path / "no.tar").write_bytes(b"no archive")
    code, held, report = check(capsys, tmp_path / "no.tar")
    assert (code, held) == (1, {"admission": False})
    assert "not admitted" in report["checks"][0]["sentence"]
    folder = new(tmp_path / "kit-broken", "worker")
    (folder / "model.py").write_text("import torch\n")
    code, held, report = check(capsys, archive(folder))
    assert (code, held) == (1, {"admission": True, "posture": True, "smoke": False})
    assert "No module named 'torch'" in report["log"]


def test_wrong_usage_is_said(tmp_path, capsys):
    assert main(["-q", "kit", "new", "--contract", "other", str(tmp_path / "a")]) == 2
    assert main(["-q", "kit", "new", "--task", "guess", str(tmp_path / "a")]) == 2
    assert main(["-q", "kit", "new", "--task", "detection", "--form", "lines", str(tmp_path / "a")]) == 2
    assert main(["-q", "kit", "new", "--form", "points_in_volume", str(tmp_path / "a")]) == 2
    assert main(["-q", "kit", "new", str(tmp_path)]) == 2
    assert main(["-q", "kit", "check", str(tmp_path / "nowhere.tar")]) == 2
    assert list(tmp_path.iterdir()) == []
