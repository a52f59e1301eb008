"""Mistakes and broken surroundings: the exit code, JSON where it was asked for, one sentence that names the place."""

import errno
import json
import os
import subprocess
import sys

import pytest

from sandbox.commands.main import main
from sandbox.evidence.durable import write_durable


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    assert main(["-q", "init"]) == 0
    return tmp_path / "home"


@pytest.mark.parametrize("damage", [b"", b"not a note\n"])
def test_a_damaged_checkpoint_is_an_outcome_in_json_too(damage, home, capsys):
    (home / "ledger" / "checkpoint").write_bytes(damage)
    capsys.readouterr()
    assert main(["--json", "ledger", "verify"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["held"], found["entries"]) == (False, 0)
    assert found["problem"]
    assert main(["ledger", "verify"]) == 4
    assert "does NOT hold" in capsys.readouterr().out


def test_doctor_without_an_engine_says_so_in_json_too(home, capsys, monkeypatch):
    monkeypatch.setenv("PROCTOR_ENGINE", "unix:///nowhere/docker.sock")
    capsys.readouterr()
    assert main(["--json", "-q", "doctor"]) == 4
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["allowed"] is False
    assert "apt-get install docker.io" in found["problem"]
    assert "apt-get install docker.io" in err


@pytest.mark.parametrize("command", ["check", "register"])
def test_a_protocol_that_is_no_file_is_wrong_usage(command, home, tmp_path, capsys):
    for path in (tmp_path / "none.yaml", tmp_path):
        capsys.readouterr()
        assert main(["protocol", command, str(path)]) == 2
        assert f"{path} is not a file" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "dossier"])
def test_no_folder_is_made_for_an_output(command, home, tmp_path, capsys):
    for path, said in (
        (tmp_path / "none" / "file", f"There is no folder {tmp_path / 'none'}."),
        (tmp_path, "is a folder"),
    ):
        capsys.readouterr()
        assert main([command, "e-1", "-o", str(path)]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.fixture
def full(tmp_path):
    """A file system with no room left."""
    place = tmp_path / "full"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_names_the_file_that_was_written(full):
    with pytest.raises(OSError, match=r"No space left.*report\.html") as refused:
        write_durable(full / "report.html", bytes(1 << 20))
    assert refused.value.filename == str(full / "report.html")
    assert list(full.iterdir()) == []


def test_a_write_without_a_name_ends_with_the_room_that_is_left(home, full, capsys, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(full))
    monkeypatch.setattr("sandbox.plan.protocols.protocols", write)
    capsys.readouterr()
    assert main(["protocol", "list"]) == 4
    err = capsys.readouterr().err
    assert "No space left on device (free: " in err
    assert f"0 MiB in {full}" in err
    assert str(home) in err


def test_a_read_only_workspace_is_one_sentence(home, tmp_path):
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text(PROTOCOL)
    if subprocess.run(["mount", "--bind", str(home), str(home)], check=False).returncode:
        pytest.skip("mounting read-only needs root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
        for words in (
            ["protocol", "register", str(protocol)],
            ["holdout", "ingest", str(tmp_path), "--name", "a"],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "sandbox", "-q", *words],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 4, (words, done.stderr)
            assert done.stderr.count("\n") == 1
            assert "Read-only file system" in done.stderr
            assert str(home) in done.stderr
        looking = subprocess.run([sys.executable, "-m", "sandbox", "-q", "ledger", "verify"], check=False)
        assert looking.returncode == 0
    finally:
        subprocess.run(["umount", str(home)], check=True)
    assert main(["-q", "protocol", "register", str(protocol)]) == 0


def test_a_clock_that_went_back_is_told_and_breaks_nothing(home, tmp_path, capsys, monkeypatch):
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text(PROTOCOL)
    monkeypatch.setattr("sandbox.institution.workspace.utc_now", lambda: "2020-02-29T23:59:59Z")
    assert main(["-q", "protocol", "register", str(protocol)]) == 0
    monkeypatch.undo()
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    capsys.readouterr()
    assert main(["--json", "ledger", "show"]) == 0
    *_, registered, read = json.loads(capsys.readouterr().out)
    assert (registered["kind"], registered["time"]) == ("protocol-registered", "2020-02-29T23:59:59Z")
    assert read["kind"] == "ledger-read"
    assert main(["--json", "ledger", "verify"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["held"], found["clock_went_back"]) == (True, [registered["index"]])
    assert main(["ledger", "verify"]) == 0
    assert f"the clock went back before entry {registered['index']}" in " ".join(
        capsys.readouterr().out.split()
    )


PROTOCOL = """
proctor: protocol/1
name: read-only
title: Opacity
task: {kind: binary, target: opacity, unit: image}
output: {score: {minimum: 0, maximum: 1, levels: 101}}
operating_points: [{name: default, threshold: 0.5}]
acceptance: [{name: discrimination, metric: auroc, bound: lower, at_least: 0.7}]
"""
