"""Whole evaluations of containers that were not written for Proctor's own contract, and the smoke case."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from runners.attachments import check_attachments
from runners.errors import RunnerError
from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_ledger, open_workspace
from sandbox.outcome.results import from_json
from sandbox.submissions import find

pytestmark = pytest.mark.engine
VENDORS = Path(__file__).parent / "vendors"
MANIFEST = {"contract": "files/1", "unit": "set", "answer": "predictions.csv#case=score"}
FILES = b"""FROM proctor/base
COPY oracle_set.py table.json /vendor/
COPY proctor.json /
USER 65532:65532
ENTRYPOINT ["python3", "/vendor/oracle_set.py"]
"""
DECODED = b"""FROM proctor/base
COPY oracle_mha.py table.json /vendor/
LABEL org.grand-challenge.api-method=invoke
USER 65532:65532
ENTRYPOINT ["python3", "/vendor/oracle_mha.py"]
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
            "oracle_mha.py": (VENDORS / "oracle_mha.py").read_bytes(),
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


def test_an_algorithm_that_reads_decoded_images_is_evaluated(site, image, capsys, tmp_path):
    """Pixels arrive in the .mha as they are in the hold-out: the oracle knows every image by their hash."""
    protocol = tmp_path / "sex.yaml"
    text = site.protocol.read_text().replace("name: end-to-end", "name: sex")
    protocol.write_text(text + "input: {attributes: [PatientSex]}\n")
    assert main(["-q", "protocol", "register", str(protocol)]) == 0
    options = [
        "--contract-file",
        str(VENDORS / "image_inputs.yaml"),
        "--answer",
        "result.json#/likelihood/{output}",
    ]
    archive = image("oracle-mha", DECODED, site.labels)
    capsys.readouterr()
    assert main(["-q", "--json", "submission", "admit", archive, "--vendor", "mha", *options]) == 0
    assert json.loads(capsys.readouterr().out)["contract"] == "grand-challenge"
    assert evaluate(replace(site, protocol=protocol), "mha") == 0
    (item,) = evaluations(open_workspace(site.home))
    results = from_json((item.folder / "results.json").read_bytes())
    (auroc,) = [each for each in results.analysis().estimates if each.metric == "auroc"]
    assert auroc.value == 1.0
    run = json.loads((item.folder / "run.json").read_bytes())
    # Warm: no container was lost on the way.
    assert run["containers"] == 2


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


def test_what_is_handed_in_beside_the_image_is_part_of_the_submission(site, image, capsys, tmp_path):
    archive = image("silent", SILENT, {})
    inputs = tmp_path / "inputs.yaml"
    inputs.write_text("inputs: [{slug: ct, kind: DICOM Image Set, relative_path: images/ct}]\n")
    with tarfile.open(tmp_path / "weights.tar.gz", "w:gz") as tar:
        tar.add(inputs, "weights/model.bin")
    options = ["--contract-file", str(inputs), "--answer", "a.json"]
    weights = ["--additional-files", str(tmp_path / "weights.tar.gz")]
    admit = ["-q", "--json", "submission", "admit", archive, "--vendor", "v"]
    assert main([*admit, *options, *weights]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["attached"]) == {"additional_files"}
    with open_ledger(open_workspace(site.home)) as ledger:
        (entry,) = ledger.find(kind="submission-admitted")
    assert entry.detail["settings"].startswith("sha256:")
    assert main([*admit, *options]) == 4
    assert "attachment" in capsys.readouterr().err
    submission = find(open_workspace(site.home), "v")
    check_attachments(submission.attachments, submission.attached)
    (submission.attachments["additional_files"] / "weights" / "model.bin").write_text("other")
    with pytest.raises(RunnerError, match="not what was admitted"):
        check_attachments(submission.attachments, submission.attached)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--contract", "nothing"], "must be one of"),
        (["--contract", "grand-challenge", "--answer", "a.json"], "--contract-file"),
        (["--contract", "files", "--answer", "../a.json"], "relative to"),
        (["--contract-file", "nowhere.yaml"], "cannot be read"),
        (["--additional-files", str(VENDORS / "image_inputs.yaml")], "does not ask for additional_files"),
        (["--signature-payload", "nowhere.json"], "cannot be read"),
    ],
)
def test_what_is_wrong_beside_the_image_is_said(site, image, capsys, options, words):
    archive = image("silent", SILENT, {})
    assert main(["-q", "submission", "admit", archive, "--vendor", "v", *options]) in (2, 3)
    assert words in capsys.readouterr().err
    assert list((site.home / "submissions").iterdir()) == []
