from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdout.merkle import EMPTY_ROOT, leaf_hash, root, verify_consistency
from sandbox.errors import EvidenceError, LedgerError, NoteError
from sandbox.evidence.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.proof import verify_proof

MakeEntry = Callable[[int], dict[str, Any]]


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert (ledger.head.size, ledger.head.root, ledger.entries()) == (0, EMPTY_ROOT, [])
    assert ledger.verify_all().held
    with pytest.raises(LedgerError):
        ledger.prove(0)


def test_appended_entries_are_read_back_found_and_proven(ledger: Ledger, make_entry: MakeEntry) -> None:
    assert ledger.append(make_entry(0)) == 0
    assert ledger.append_all([make_entry(i) for i in range(1, 600)]) == list(range(1, 600))
    assert [entry.detail["cases"] for entry in ledger.entries()] == list(range(600))
    assert [entry.index for entry in ledger.entries(250, 260)] == list(range(250, 260))
    assert [entry.index for entry in ledger.find(evaluation=f"{300:016x}")] == [300]
    assert len(ledger.find(kind="evaluation-resumed")) == 600
    assert ledger.find(kind="evaluation-started") == []
    assert ledger.head.root == root(leaf_hash(entry.raw) for entry in ledger.entries())
    for index in (0, 255, 256, 599):
        verify_proof(ledger.entries(index, index + 1)[0].raw, ledger.prove(index), ledger.verifier)
    assert len(ledger) == 600
    assert ledger.append_all([]) == []


def test_nothing_superseded_stays_behind(ledger: Ledger, make_entry: MakeEntry) -> None:
    for i in range(300):
        ledger.append(make_entry(i))
    names = [path.relative_to(ledger.folder).as_posix() for path in files_of(ledger.folder)]
    assert names == [
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    ]


def test_format_and_time_are_filled_in(ledger: Ledger, make_entry: MakeEntry) -> None:
    entry = make_entry(1)
    del entry["format"], entry["time"]
    ledger.append(entry)
    assert ledger.entries()[0].time.endswith("Z")


def test_a_bad_entry_appends_nothing(ledger: Ledger, make_entry: MakeEntry) -> None:
    with pytest.raises(LedgerError):
        ledger.append_all([make_entry(0), {**make_entry(1), "kind": "chat"}])
    assert len(ledger) == 0


def test_reading_needs_no_secret_and_cannot_append(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append(make_entry(0))
    reader = Ledger.open(ledger.folder, ledger.verifier)
    assert reader.entries()[0].index == 0
    with pytest.raises(LedgerError, match="signing key"):
        reader.append(make_entry(1))


def test_a_copy_without_its_lock_can_be_read_and_proven(
    ledger: Ledger, make_entry: MakeEntry, tmp_path: Path
) -> None:
    ledger.append(make_entry(0))
    shutil.copytree(ledger.folder, tmp_path / "usb")
    (tmp_path / "usb" / "lock").unlink()
    copy = Ledger.open(tmp_path / "usb", ledger.verifier)
    assert copy.verify_all().held
    assert copy.prove(0) == ledger.prove(0)


def test_wrong_places_and_wrong_keys(
    ledger: Ledger, tmp_path: Path, key: SigningKey, other_key: SigningKey
) -> None:
    with pytest.raises(LedgerError, match="never made over"):
        Ledger.create(ledger.folder, origin=key.name, key=key)
    with pytest.raises(LedgerError):
        Ledger.open(tmp_path / "absent", key=key)
    with pytest.raises(LedgerError, match="not a signed head"):
        Ledger.open(ledger.folder, key=other_key)
    with pytest.raises(LedgerError):
        Ledger.open(ledger.folder, ledger.verifier, key=other_key)
    with pytest.raises(LedgerError):
        Ledger.open(ledger.folder)
    with pytest.raises(NoteError):
        Ledger.create(tmp_path / "new", origin="proctor/other", key=key)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_proofs_against_an_earlier_head_are_the_bytes_of_then(ledger: Ledger, make_entry: MakeEntry) -> None:
    kept = {}
    for i in range(270):
        ledger.append(make_entry(i))
        if i in (0, 1, 254, 255, 256, 268):
            kept[i + 1] = (ledger.checkpoint(), ledger.prove(0), ledger.prove(i))
    for size, (checkpoint, first, last) in kept.items():
        assert ledger.checkpoint_at(size) == checkpoint
        assert ledger.prove(0, size=size) == first
        assert ledger.prove(size - 1, size=size) == last
        proof = ledger.consistency(checkpoint)
        verify_consistency(size, 270, proof.old.root, proof.new.root, proof.path)
    with pytest.raises(LedgerError):
        ledger.checkpoint_at(271)
    with pytest.raises(LedgerError, match="no entry"):
        ledger.prove(5, size=5)
    with pytest.raises(LedgerError, match="signing key"):
        Ledger.open(ledger.folder, ledger.verifier).checkpoint_at(3)


def test_every_flipped_byte_on_disk_is_found(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append_all([make_entry(i) for i in range(3)])
    for path in files_of(ledger.folder):
        original = path.read_bytes()
        for at in range(len(original)):
            path.write_bytes(original[:at] + bytes([original[at] ^ 0x04]) + original[at + 1 :])
            report = ledger.verify_all()
            assert not report.held, (path, at)
            assert report.problem
        path.write_bytes(original)
    assert ledger.verify_all().held


def test_the_first_bad_entry_is_named(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append_all([make_entry(i) for i in range(300)])
    path = ledger.folder / "tile" / "entries" / "001.p" / "44"
    data = path.read_bytes()
    path.write_bytes(data.replace(f"{270:016x}".encode(), f"{271:016x}".encode()))
    report = ledger.verify_all()
    assert (report.held, report.first_bad) == (False, 270)
    with pytest.raises(LedgerError, match="entry 270"):
        ledger.entries()
    with pytest.raises(LedgerError, match="entry 270"):
        ledger.append(make_entry(300))
    assert len(ledger.entries(0, 256)) == 256


def test_a_changed_tile_is_found_and_nothing_is_signed_over_it(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append_all([make_entry(i) for i in range(10)])
    path = ledger.folder / "tile" / "0" / "000.p" / "10"
    data = path.read_bytes()
    path.write_bytes(data[:40] + b"\x00" * 8 + data[48:])
    report = ledger.verify_all()
    assert not report.held
    assert "tile 0 of level 0" in str(report.problem)
    with pytest.raises(LedgerError):
        ledger.append(make_entry(10))


def test_entries_swapped_on_disk_are_found(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append_all([make_entry(i) for i in range(4)])
    path = ledger.folder / "tile" / "entries" / "000.p" / "4"
    text = path.read_bytes()
    one, two = f"{1:016x}".encode(), f"{2:016x}".encode()
    path.write_bytes(text.replace(one, b"?" * 16).replace(two, one).replace(b"?" * 16, two))
    assert ledger.verify_all().first_bad == 1


def test_a_removed_file_is_found(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append_all([make_entry(i) for i in range(300)])
    for path in files_of(ledger.folder):
        hidden = path.with_name("hidden")
        path.rename(hidden)
        report = ledger.verify_all()
        assert not report.held, path
        assert path.name in str(report.problem)
        hidden.rename(path)


def _rewritten(folder: Path, key: SigningKey, entries: list[dict[str, Any]]) -> Ledger:
    forged = Ledger.create(folder, origin=key.name, key=key)
    forged.append_all(entries)
    return forged


def test_history_rewritten_by_the_key_holder_shows_against_a_kept_checkpoint(
    ledger: Ledger, make_entry: MakeEntry, key: SigningKey, tmp_path: Path
) -> None:
    ledger.append_all([make_entry(i) for i in range(5)])
    kept = ledger.checkpoint()
    entries = [make_entry(i) for i in range(8)]
    entries[2] = make_entry(99)
    forged = _rewritten(tmp_path / "forged", key, entries)
    assert forged.verify_all().held  # whole in itself: only the kept head tells
    with pytest.raises(LedgerError, match="rewritten"):
        forged.consistency(kept)
    shorter = _rewritten(tmp_path / "shorter", key, [make_entry(i) for i in range(4)])
    with pytest.raises(LedgerError, match="fewer"):
        shorter.consistency(kept)


def test_an_open_ledger_notices_rollback_and_fork(
    ledger: Ledger, make_entry: MakeEntry, key: SigningKey, tmp_path: Path
) -> None:
    ledger.append(make_entry(0))
    shutil.copytree(ledger.folder, tmp_path / "backup")
    ledger.append(make_entry(1))
    shutil.rmtree(ledger.folder)
    shutil.copytree(tmp_path / "backup", ledger.folder)
    with pytest.raises(LedgerError):
        ledger.append(make_entry(2))
    Ledger.open(ledger.folder, key=key).append_all([make_entry(7), make_entry(8)])
    with pytest.raises(LedgerError, match="rewritten"):
        ledger.entries()


def test_a_head_signed_for_a_forged_root_is_not_built_upon(
    ledger: Ledger, make_entry: MakeEntry, key: SigningKey
) -> None:
    ledger.append(make_entry(0))
    forged = sign_checkpoint(Checkpoint(origin=key.name, size=1, root=bytes(32)), key)
    (ledger.folder / "checkpoint").write_bytes(forged)
    fresh = Ledger.open(ledger.folder, key=key)
    with pytest.raises(LedgerError):
        fresh.append(make_entry(1))
    with pytest.raises(LedgerError):
        fresh.entries()
    assert not fresh.verify_all().held


def test_the_clock_going_back_is_reported_not_refused(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append_all([make_entry(5), make_entry(3), make_entry(6)])
    report = ledger.verify_all()
    assert report.held
    assert report.clock_went_back == (1,)


def test_the_head_is_a_checkpoint_that_others_can_read(ledger: Ledger, make_entry: MakeEntry) -> None:
    ledger.append(make_entry(0))
    lines = ledger.checkpoint().decode().split("\n")
    assert lines[:2] == ["proctor/0011223344556677", "1"]
    assert open_checkpoint(ledger.checkpoint(), ledger.verifier) == ledger.head


def test_errors_are_of_one_family(ledger: Ledger) -> None:
    (ledger.folder / "checkpoint").write_bytes(b"\xff")
    with pytest.raises(EvidenceError):
        ledger.checkpoint()
