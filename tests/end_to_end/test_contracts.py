"""Whole evaluations of containers that were not written for Proctor's own contract, and the smoke case."""

import json
from pathlib import Path

import pytest

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluation import evaluations
from sandbox.results import from_json
from sandbox.workspace import open_ledger, open_workspace

pytestmark = pytest.mark.engine
VENDORS = Path(__file__).parent / "vendors"
MANIFEST = {"contract": "files/1", "unit": "set", "answer": "predictions.csv#case=score"}
FILES = b"""FROM proctor/base
COPY oracle_set.py table.json /vendor/
COPY proctor.json /
USER 65532:65532
ENTRYPOINT ["python3", "/vendor/oracle_set.py"]
"""
SILENT = b"""FROM proctor/base
COPY table.json /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-c", "print('hello')"]
"""


@pytest.fixture
def image(engine, tmp_path):
    def make(name, dockerfile, labels):
        files = {
            "Dockerfile": dockerfile,
            "oracle_set.py": (VENDORS / "oracle_set.py").read_bytes(),
            "proctor.json": json.dumps(MANIFEST).encode(),
            "table.json": json.dumps({"scores": labels}, sort_keys=True).encode(),
        }
        return str(
            save_image(engine, build_image(engine, f"proctor/test-{name}", files), tmp_path / f"{name}.tar")
        )

    return make


def evaluate(site, vendor):
    return main(
        ["-q", "evaluate", "--holdout", "cxr", "--submission", vendor, "--protocol", str(site.protocol)]
    )


def test_a_container_that_declares_its_contract_is_evaluated_in_one_go(site, image, capsys):
    archive = image("oracle-set", FILES, site.labels)
    assert main(["-q", "--json", "submission", "admit", archive, "--vendor", "set"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["contract"], shown["answer"]) == ("files", MANIFEST["answer"])
    assert any(
        package["name"] == "numpy" or package["name"] == "python3-numpy"
        for package in shown["facts"]["packages"]
    )
    assert main(["-q", "submission", "admit", archive, "--vendor", "set", "--contract", "worker"]) == 4
    assert "another contract" in capsys.readouterr().err
    assert evaluate(site, "set") == 0
    (item,) = evaluations(open_workspace(site.home))
    results = from_json((item.folder / "results.json").read_bytes())
    (auroc,) = [each for each in results.analysis().estimates if each.metric == "auroc"]
    assert auroc.value == 1.0
    assert json.loads((item.folder / "run.json").read_bytes())["containers"] == 1


def test_a_container_that_does_not_keep_to_its_contract_never_sees_a_case(site, image, capsys):
    archive = image("silent", SILENT, {})
    assert main(["-q", "submission", "admit", archive, "--vendor", "silent"]) == 0
    assert evaluate(site, "silent") == 3
    assert "smoke case" in capsys.readouterr().err
    (item,) = evaluations(open_workspace(site.home))
    assert (item.folder / "journal.jsonl").read_bytes() == b""
    with open_ledger(open_workspace(site.home)) as ledger:
        assert ledger.find(kind="holdout-accessed") == []
        assert len(ledger.find(kind="evaluation-failed", reason="smoke_case")) == 1
    # What it takes is a change of the policy or of the image; nothing half done is left to resume from.
    assert evaluate(site, "silent") == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--contract", "nothing"], "must be one of"),
        (["--contract", "grand-challenge", "--answer", "a.json"], "--contract-file"),
        (["--contract", "files", "--answer", "../a.json"], "relative to"),
        (["--contract-file", "nowhere.yaml"], "cannot be read"),
        (
            [
                "--contract",
                "grand-challenge",
                "--contract-file",
                str(VENDORS / "image_inputs.yaml"),
                "--answer",
                "a.json",
            ],
            "DICOM Image Set",
        ),
    ],
)
def test_what_is_wrong_beside_the_image_is_said(site, image, capsys, options, words):
    archive = image("silent", SILENT, {})
    assert main(["-q", "submission", "admit", archive, "--vendor", "v", *options]) in (2, 3)
    assert words in capsys.readouterr().err
    assert list((site.home / "submissions").iterdir()) == []
