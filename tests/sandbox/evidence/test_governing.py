"""The list of entries that say who may do what: quick to use, never believed beyond what the tree shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.errors import ActorError, LedgerError
from sandbox.evidence import ledger_files
from sandbox.evidence.governing import FILE, FORMAT, read_list
from sandbox.evidence.keys import load_signing_key
from sandbox.evidence.note import sign_note
from sandbox.institution import actors
from sandbox.institution.workspace import Workspace, create, entry, open_ledger


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.delenv("PROCTOR_ACTOR_KEY", raising=False)
    made = create(tmp_path / "home")
    actors.add(made, "ada", ["operator"])
    return made


def acting(workspace: Workspace, name: str) -> Workspace:
    return Workspace(home=workspace.home, origin=workspace.origin, created=workspace.created, actor=name)


def place(workspace: Workspace) -> Path:
    return workspace.home / "ledger" / FILE


def read(number: int) -> dict[str, object]:
    return entry("ledger-read", subject={}, detail={"entries": number})


def fill(workspace: Workspace, number: int) -> None:
    with open_ledger(workspace) as ledger:
        ledger.append_all([read(i) for i in range(number)])


def test_it_names_the_places_and_nothing_else(workspace: Workspace) -> None:
    fill(workspace, 600)
    actors.revoke(workspace, "ada")
    with open_ledger(workspace) as ledger:
        listed = read_list(ledger.folder, ledger.verifier)
        assert listed is not None
        assert listed[0] == ledger.head
        assert [ledger.entries(i, i + 1)[0].kind for i in listed[1]] == [
            "actor-added",
            "policy-adopted",
            "actor-added",
            "actor-revoked",
        ]
        assert ledger.verify_all().held


def test_an_append_to_a_long_ledger_reads_little_of_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(workspace, 5_000)
    reads: list[int] = []
    real = ledger_files.read_bundle
    monkeypatch.setattr(ledger_files, "read_bundle", lambda *place: (reads.append(place[1]), real(*place))[1])
    with open_ledger(workspace) as ledger:
        ledger.append(read(1))
        first = len(reads)
        ledger.append(read(2))
    # The bundle of the actors, the one that is written to, and its new entries; there are twenty bundles.
    assert first <= 4
    assert len(reads) - first <= 2


def test_a_revocation_by_another_process_counts_at_once(workspace: Workspace) -> None:
    with open_ledger(acting(workspace, "ada")) as hers:
        hers.append(read(1))
        actors.revoke(workspace, "ada")
        with pytest.raises(ActorError, match="was revoked"):
            hers.append(read(2))


def test_an_older_list_put_back_brings_nobody_back(workspace: Workspace) -> None:
    kept = place(workspace).read_bytes()
    actors.revoke(workspace, "ada")
    place(workspace).write_bytes(kept)
    with open_ledger(acting(workspace, "ada")) as ledger, pytest.raises(ActorError, match="was revoked"):
        ledger.append(read(1))


def test_a_lost_list_is_made_again(workspace: Workspace) -> None:
    place(workspace).unlink()
    fill(workspace, 300)
    assert place(workspace).exists()
    with open_ledger(workspace) as ledger:
        assert set(ledger.actors()) == {"operator", "ada"}
        assert ledger.verify_all().held


def test_a_changed_list_is_refused_and_named(workspace: Workspace) -> None:
    data = place(workspace).read_bytes()
    for at in range(0, len(data), 7):
        place(workspace).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with open_ledger(workspace) as ledger:
            with pytest.raises(LedgerError, match="Remove it"):
                ledger.append(read(1))
            assert not ledger.verify_all().held
    place(workspace).write_bytes(data)
    fill(workspace, 1)


def test_a_list_that_leaves_a_revocation_out_is_found_by_the_audit(workspace: Workspace) -> None:
    """Only the holder of the ledger's key can sign one; the audit trusts nobody's list."""
    actors.revoke(workspace, "ada")
    key = load_signing_key(workspace.home / "keys" / "ledger.pem", workspace.origin)
    with open_ledger(workspace) as ledger:
        text = f"{FORMAT}\n{ledger.head.body.decode()}1\n2\n3\n"
        place(workspace).write_bytes(sign_note(text.encode(), [key]))
        report = ledger.verify_all()
    assert not report.held
    assert FILE in str(report.problem)


def test_the_list_of_another_ledger_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    other = create(tmp_path / "other")
    place(workspace).write_bytes((other.home / "ledger" / FILE).read_bytes())
    with open_ledger(workspace) as ledger, pytest.raises(LedgerError, match="Remove it"):
        ledger.append(read(1))
