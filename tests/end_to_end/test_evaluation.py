"""Whole evaluations on a real engine: self-checks in real containers, resuming, tampering, disclosure."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from runners.leftovers import LABEL_OWNER
from sandbox.asking.staging_place import _in_memory, _on_disk
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_ledger, open_workspace
from sandbox.outcome.results import from_json

pytestmark = pytest.mark.engine


def evaluate(site, vendor):
    return ["evaluate", "--holdout", "cxr", "--submission", vendor, "--protocol", str(site.protocol)]


def only_evaluation(site):
    (item,) = evaluations(open_workspace(site.home))
    return item


def auroc(item):
    results = from_json((item.folder / "results.json").read_bytes())
    (estimate,) = [each for each in results.analysis().estimates if each.metric == "auroc"]
    return estimate


def left_behind(folder):
    return [path for path in (_on_disk(folder), _in_memory(folder)) if path.exists()]


def background(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_cases(site, count):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        journals = list((site.home / "evaluations").glob("*/journal.jsonl"))
        if journals and journals[0].read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)
    pytest.fail("the run did not get going")


def test_a_perfect_container_scores_1(site, admitted):
    admitted("perfect", site.labels)
    assert main(["-q", *evaluate(site, "perfect")]) == 0
    item = only_evaluation(site)
    assert auroc(item).value == 1.0
    assert item.verdict == "met"


def test_a_constant_container_scores_half(site, admitted, capsys):
    admitted("constant", dict.fromkeys(site.labels, 0.3))
    capsys.readouterr()
    assert main(["--json", "-q", *evaluate(site, "constant")]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "not_met"
    assert auroc(only_evaluation(site)).value == 0.5


def test_the_same_command_again_runs_nothing_and_charges_nothing(site, admitted):
    admitted("perfect", site.labels)
    assert main(["-q", *evaluate(site, "perfect")]) == 0
    with open_ledger(open_workspace(site.home)) as ledger:
        before = len(ledger)
    assert main(["-q", *evaluate(site, "perfect")]) == 0
    with open_ledger(open_workspace(site.home)) as ledger:
        assert len(ledger) == before


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(site, admitted, engine, tmp_path, monkeypatch):
    scores = {pixels: 0.9 if label else 0.2 for pixels, label in site.labels.items()}
    admitted("slow", scores, 0.05)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(site.home, undisturbed)
    run = background(evaluate(site, "slow"))
    wait_for_cases(site, 5)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=30)
    assert main(["-q", *evaluate(site, "slow")]) == 0
    resumed = only_evaluation(site)

    monkeypatch.setenv("PROCTOR_HOME", str(undisturbed))
    assert main(["-q", *evaluate(site, "slow")]) == 0
    (straight,) = evaluations(open_workspace(undisturbed))
    assert resumed.id == straight.id
    for name in ("predictions.parquet", "scored.parquet", "results.json"):
        assert (resumed.folder / name).read_bytes() == (straight.folder / name).read_bytes(), name

    with open_ledger(open_workspace(site.home)) as ledger:
        used = sum(each.detail["cases"] for each in ledger.find(kind="holdout-accessed"))
        assert len(ledger.find(kind="evaluation-started")) == 1
        assert len(ledger.find(kind="evaluation-resumed")) == 1
        assert ledger.verify_all().held
    assert used == len(site.labels)
    owners = [each.labels[LABEL_OWNER].split("/") for each in engine.labelled(LABEL_OWNER)]
    assert str(run.pid) not in {owner[2] for owner in owners}
    assert left_behind(resumed.folder) == []


def test_an_interrupt_says_so_and_the_command_goes_on(site, admitted):
    admitted("slow", site.labels, 0.05)
    run = background(evaluate(site, "slow"))
    wait_for_cases(site, 3)
    run.send_signal(signal.SIGINT)
    _, messages = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "run the same command again" in messages
    assert "Traceback" not in messages
    assert main(["-q", *evaluate(site, "slow")]) == 0


def test_a_flipped_bit_in_the_hold_out_refuses_the_run_and_is_named(site, admitted, capsys, tmp_path):
    admitted("perfect", site.labels)
    victim = sorted((site.data / "dicom").rglob("*.dcm"))[3]
    kept = victim.read_bytes()
    victim.chmod(0o644)
    try:
        victim.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        assert main(evaluate(site, "perfect")) == 3
    finally:
        victim.write_bytes(kept)
        victim.chmod(0o444)
    assert victim.name in capsys.readouterr().err
    # The same command goes on once the file is restored.
    assert main(["-q", *evaluate(site, "perfect")]) == 0


def test_dossier_holds_offline_and_gives_no_one_away(site, admitted, capsys, tmp_path, monkeypatch):
    admitted("perfect", site.labels)
    assert main(["-q", *evaluate(site, "perfect")]) == 0
    dossier, workspace = tmp_path / "dossier.zip", open_workspace(site.home)
    item = only_evaluation(site)
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "nowhere"))
    assert main(["-q", "verify", str(dossier), "--key", workspace.verifier_key]) == 0
    capsys.readouterr()

    with (site.data / "patients.csv").open(newline="") as file:
        patients = {row["patient_id"] for row in csv.DictReader(file)}
    with (site.data / "reference.csv").open(newline="") as file:
        uids = {row["sop_instance_uid"] for row in csv.DictReader(file)}
    with zipfile.ZipFile(dossier) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    everything += b"".join(path.read_bytes() for path in (site.home / "ledger").rglob("*") if path.is_file())
    assert not [name for name in patients | uids if name.encode() in everything]

    flipped = bytearray(dossier.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    dossier.write_bytes(flipped)
    assert main(["-q", "verify", str(dossier), "--key", workspace.verifier_key]) == 4


def test_what_a_container_saw_is_gone_afterwards(site, admitted):
    admitted("perfect", site.labels)
    assert main(["-q", *evaluate(site, "perfect")]) == 0
    assert list(site.home.rglob("*.dcm")) == []
    assert left_behind(only_evaluation(site).folder) == []


def test_mlflow_shows_the_evaluation_and_its_failure_stops_nothing(site, admitted, capsys):
    policy = site.home / "policy.yaml"
    policy.write_text(policy.read_text().replace("mlflow: off", "mlflow: http://127.0.0.1:9"))
    admitted("perfect", site.labels)
    assert main(evaluate(site, "perfect")) == 0
    assert "MLflow could not write" in capsys.readouterr().err
    policy.write_text(policy.read_text().replace("mlflow: http://127.0.0.1:9", "mlflow: local"))
    assert main(["-q", *evaluate(site, "perfect")]) == 0
    assert (site.home / "mlflow" / "mlflow.db").is_file()
