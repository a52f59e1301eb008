"""What ladder and Thresholdout remember is bound by the ledger: it cannot be rolled back, edited or lost."""

import json

import pytest

from sandbox.errors import ReleaseError
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import create, open_ledger
from sandbox.release.memory import ENTRY_KIND, Memory


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.delenv("PROCTOR_ACTOR_KEY", raising=False)
    workspace = create(tmp_path / "home")
    return Memory(
        ledger=open_ledger(workspace),
        folder=workspace.home / "releases" / "memory",
        holdout="cxr",
        version="1",
        vendor="acme",
    )


def step(number):
    return {"state": {"queries": number}, "answers": {f"e-{i}": {"value": i} for i in range(number)}}


def remembered(memory):
    found = memory.recall("thresholdout")
    return {name: found[name] for name in ("state", "answers")}


def the_file(memory):
    (path,) = memory.folder.iterdir()
    return path


def test_before_the_first_answer_there_is_nothing(memory):
    assert memory.recall("ladder") == {"state": None, "answers": {}}


def test_each_step_is_an_entry_and_one_file_is_kept(memory):
    for number in (1, 2):
        memory.remember("thresholdout", f"e-{number}", step(number))
        assert remembered(memory) == step(number)
    entries = memory.ledger.find(kind=ENTRY_KIND)
    assert [each.detail["answers"] for each in entries] == [1, 2]
    assert memory.ledger.verify_all().held
    assert the_file(memory).stat().st_mode & 0o077 == 0
    assert memory.recall("ladder") == {"state": None, "answers": {}}


def test_equal_memories_have_unequal_digests(memory):
    """The noise on a threshold could otherwise be guessed from the digest in the ledger."""
    for _ in range(2):
        memory.remember("thresholdout", "e-1", step(1))
    first, second = (each.subject["memory"] for each in memory.ledger.find(kind=ENTRY_KIND))
    assert first != second


@pytest.mark.parametrize("under", ["its own name", "the newest name"])
def test_an_older_memory_put_back_is_refused(memory, under):
    memory.remember("thresholdout", "e-1", step(1))
    older, data = the_file(memory), the_file(memory).read_bytes()
    memory.remember("thresholdout", "e-2", step(2))
    newest = the_file(memory)
    newest.unlink()
    (older if under == "its own name" else newest).write_bytes(data)
    with pytest.raises(ReleaseError, match="backup"):
        memory.recall("thresholdout")


def test_an_edited_memory_is_refused(memory):
    memory.remember("thresholdout", "e-1", step(1))
    path = the_file(memory)
    plain = json.loads(path.read_bytes())
    plain["state"]["queries"] = 0
    path.write_text(json.dumps(plain))
    with pytest.raises(ReleaseError, match="it was changed"):
        memory.recall("thresholdout")


def test_killed_before_its_entry_a_step_never_was(memory, monkeypatch):
    memory.remember("thresholdout", "e-1", step(1))
    monkeypatch.setattr(Ledger, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        memory.remember("thresholdout", "e-2", step(2))
    monkeypatch.undo()
    assert remembered(memory) == step(1)
    memory.remember("thresholdout", "e-2", step(2))
    assert remembered(memory) == step(2)
