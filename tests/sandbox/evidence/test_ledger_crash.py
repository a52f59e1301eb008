"""Kills, torn writes, full disks and several processes: the log stands at its old head or its new one."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import LedgerError
from sandbox.evidence import durable
from sandbox.evidence.keys import SigningKey, generate_signing_key
from sandbox.evidence.ledger import Ledger

MakeEntry = Callable[[int], dict[str, Any]]

APPENDER = """
import sys
from pathlib import Path
from sandbox.evidence.keys import load_signing_key
from sandbox.evidence.ledger import Ledger
folder, name, first, count, batch = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
ledger = Ledger.open(folder / "ledger", key=load_signing_key(folder / "k.pem", name))
for i in range(first, first + count, batch):
    entries = [
        {"kind": "evaluation-resumed", "actor": "operator", "detail": {},
         "subject": {"evaluation": f"{n:016x}"}}
        for n in range(i, i + batch)
    ]
    print(i, ledger.append_all(entries)[0], flush=True)
"""


def start(folder: Path, name: str, first: int, count: int, batch: int = 1) -> subprocess.Popen[str]:
    arguments = [str(folder), name, str(first), str(count), str(batch)]
    return subprocess.Popen([sys.executable, "-c", APPENDER, *arguments], stdout=subprocess.PIPE, text=True)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def restore(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("before", [2, 255])
def test_a_write_torn_at_any_byte_before_the_head_is_repaired(
    ledger: Ledger, make_entry: MakeEntry, key: SigningKey, before: int
) -> None:
    ledger.append_all([make_entry(i) for i in range(before)])
    old = snapshot(ledger.folder)
    ledger.append(make_entry(before))
    new = snapshot(ledger.folder)
    added = {name: data for name, data in new.items() if old.get(name) != data}
    assert "checkpoint" in added
    step = 1 if before == 2 else 997
    for name, data in added.items():
        place = "unfinished/.checkpoint.0.partial" if name == "checkpoint" else name
        for cut in range(0, len(data) + 1, step):
            restore(ledger.folder, {**old, place: data[:cut]})
            again = Ledger.open(ledger.folder, key=key)
            assert len(again) == before
            assert again.verify_all().held
            if cut % 16 == 0 or cut == len(data):
                assert again.append(make_entry(1000)) == before
                assert again.verify_all().held
                assert not [path for path in snapshot(ledger.folder) if "partial" in path]


def test_a_write_torn_under_a_signed_head_is_a_clear_error(
    ledger: Ledger, make_entry: MakeEntry, key: SigningKey
) -> None:
    ledger.append_all([make_entry(i) for i in range(3)])
    new = snapshot(ledger.folder)
    for name, data in new.items():
        for cut in range(len(data)):
            restore(ledger.folder, {**new, name: data[:cut]})
            with pytest.raises(LedgerError) as caught:
                Ledger.open(ledger.folder, key=key).append(make_entry(3))
            assert Path(name).name in str(caught.value)
    restore(ledger.folder, new)
    assert Ledger.open(ledger.folder, key=key).append(make_entry(3)) == 3


def test_a_full_disk_at_any_step_leaves_the_old_head(
    ledger: Ledger, make_entry: MakeEntry, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append_all([make_entry(i) for i in range(255)])
    real, allowed, size = durable.os.fsync, 0, len(ledger)
    calls = {"left": 0}

    def fsync(descriptor: int) -> None:
        calls["left"] -= 1
        if calls["left"] < 0:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(durable.os, "fsync", fsync)
    while len(ledger) <= size + 1 and allowed < 50:
        calls["left"] = allowed
        before = len(ledger)
        try:
            ledger.append(make_entry(500 + allowed))
        except LedgerError as caught:
            message = str(caught)
        else:
            break
        assert "No space left" in message
        fresh = Ledger.open(ledger.folder, key=key)
        # Before the head was renamed into place the entry is not in; afterwards it is, flushed or not.
        assert len(fresh) in (before, before + 1)
        assert fresh.verify_all().held
        allowed += 1
    assert allowed >= 8
    assert ledger.verify_all().held


def test_killed_at_random_moments_no_acknowledged_entry_is_lost(tmp_path: Path) -> None:
    key = generate_signing_key(tmp_path / "k.pem", "proctor/kill")
    Ledger.create(tmp_path / "ledger", origin=key.name, key=key)
    chance = random.Random(7)
    acknowledged: dict[int, int] = {}
    for turn in range(12):
        process = start(tmp_path, key.name, turn * 100_000, 90_000, batch=chance.choice([1, 1, 40]))
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.random() * 0.08)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.wait()
        process.stdout.close()
        for line in (first + rest).splitlines(keepends=True):
            if line.endswith("\n"):
                number, index = map(int, line.split())
                acknowledged[number] = index
        ledger = Ledger.open(tmp_path / "ledger", key=key)
        assert ledger.verify_all().held
    entries = ledger.entries()
    for number, index in acknowledged.items():
        assert entries[index].subject["evaluation"] == f"{number:016x}"
    assert len(acknowledged) >= 12


def test_two_processes_append_without_losing_or_forking(tmp_path: Path) -> None:
    key = generate_signing_key(tmp_path / "k.pem", "proctor/two")
    ledger = Ledger.create(tmp_path / "ledger", origin=key.name, key=key)
    processes = [start(tmp_path, key.name, first, 150) for first in (0, 1000)]
    kept = []
    while any(process.poll() is None for process in processes):
        kept.append(ledger.checkpoint())  # a reader beside the writers never sees a half-made head
        ledger.entries(max(0, len(ledger) - 3))
        time.sleep(0.01)
    for process in processes:
        assert process.stdout is not None
        for line in process.stdout.read().splitlines():
            number, index = map(int, line.split())
            assert ledger.entries(index, index + 1)[0].subject["evaluation"] == f"{number:016x}"
        process.stdout.close()
        assert process.returncode == 0
    assert len(ledger) == 300
    assert ledger.verify_all().held
    for checkpoint in kept:
        ledger.consistency(checkpoint)
