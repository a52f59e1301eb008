"""The vendor kit: what it writes runs, is admitted and passes; what a vendor gets wrong is found and said."""

import json
import subprocess
import sys

import pytest

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.kit import contracts

GRAND_CHALLENGE = ["--answer", "probability.json"]
LEAKY = """
def load():
    return []

def predict(model, paths):
    model.append(paths)
    return len(model) / 100
"""
RANDOM = """
import random

def load():
    return None

def predict(model, paths):
    return random.random()
"""


@pytest.fixture
def archive(engine, tmp_path):
    """Return a function that builds a kit's folder on the base image, as a vendor would on another one."""

    def make(folder):
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        files["Dockerfile"] = files["Dockerfile"].replace(b"FROM python:3.12-slim\n", b"FROM proctor/base\n")
        return save_image(
            engine, build_image(engine, f"proctor/test-{folder.name}", files), tmp_path / f"{folder.name}.tar"
        )

    return make


def new(folder, contract):
    assert main(["-q", "kit", "new", "--task", "binary", "--contract", contract, str(folder)]) == 0
    return folder


def check(capsys, *arguments):
    capsys.readouterr()
    code = main(["--json", "-q", "kit", "check", *map(str, arguments)])
    report = json.loads(capsys.readouterr().out)
    return code, {item["name"]: item["held"] for item in report["checks"]}, report


@pytest.mark.parametrize("contract", contracts())
def test_what_the_kit_writes_passes_its_own_test(tmp_path, contract):
    folder = new(tmp_path / "kit-own", contract)
    done = subprocess.run(
        [sys.executable, folder / "test_container.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "keeps to" in done.stdout


@pytest.mark.engine
@pytest.mark.parametrize("contract", contracts())
def test_what_the_kit_writes_passes_the_institutions_checks(tmp_path, archive, capsys, contract):
    folder = new(tmp_path / f"kit-{contract}", contract)
    more = []
    if contract == "grand-challenge":
        more = ["--contract-file", folder / "inputs.yaml", *GRAND_CHALLENGE]
    code, held, report = check(capsys, archive(folder), *more)
    assert code == 0, report
    assert report["contract"] == contract
    assert set(held) == {
        "admission",
        "smoke",
        "several cases",
        "same input twice",
        "shuffled order",
        "alone and among many",
    }


@pytest.mark.engine
def test_state_that_leaks_and_chance_are_reported(tmp_path, archive, capsys):
    for name, model in (("leaky", LEAKY), ("random", RANDOM)):
        folder = new(tmp_path / f"kit-{name}", "worker")
        (folder / "model.py").write_text(model)
        code, held, _ = check(capsys, archive(folder))
        assert code == 1
        assert held["smoke"]
        assert not held["same input twice"]
        assert not held["shuffled order"]


@pytest.mark.engine
def test_refusals_and_failures_come_with_a_sentence(tmp_path, archive, capsys):
    (tmp_path / "no.tar").write_bytes(b"no archive")
    code, held, report = check(capsys, tmp_path / "no.tar")
    assert (code, held) == (1, {"admission": False})
    assert "not admitted" in report["checks"][0]["sentence"]
    folder = new(tmp_path / "kit-broken", "worker")
    (folder / "model.py").write_text("import torch\n")
    code, held, report = check(capsys, archive(folder))
    assert (code, held) == (1, {"admission": True, "smoke": False})
    assert "No module named 'torch'" in report["log"]


def test_wrong_usage_is_said(tmp_path, capsys):
    assert main(["-q", "kit", "new", "--contract", "medperf", str(tmp_path / "a")]) == 2
    assert main(["-q", "kit", "new", "--task", "guess", str(tmp_path / "a")]) == 2
    assert main(["-q", "kit", "new", str(tmp_path)]) == 2
    assert main(["-q", "kit", "check", str(tmp_path / "nowhere.tar")]) == 2
    assert list(tmp_path.iterdir()) == []
