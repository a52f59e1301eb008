"""The workspace appears whole, keeps its keys to itself, and names nothing outside itself."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.errors import UsageError, WorkspaceError
from sandbox.institution import workspace as module
from sandbox.institution.workspace import checked_name, create, open_ledger, open_workspace, secret_key, short


def test_a_new_workspace_opens_and_its_ledger_holds(tmp_path):
    made = create(tmp_path / "home")
    opened = open_workspace(tmp_path / "home")
    assert opened == made
    with open_ledger(opened) as ledger:
        assert [entry.kind for entry in ledger.entries()] == ["workspace-created", "actor-added"]
        assert ledger.verify_all().held


def test_keys_are_readable_by_their_owner_alone(tmp_path):
    home = create(tmp_path / "home").home
    for path in (home, home / "keys"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for name in ("ledger.pem", "keyring.json"):
        assert stat.S_IMODE((home / "keys" / name).stat().st_mode) == 0o600


def test_an_interrupted_init_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Ledger, "create", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_taken(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(WorkspaceError, match="not empty"):
        create(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_key_is_made_once_and_missed_loudly(tmp_path):
    workspace = create(tmp_path / "home")
    first = secret_key(workspace, "holdout:a:reference", make=True)
    assert secret_key(workspace, "holdout:a:reference", make=True) == first
    with pytest.raises(WorkspaceError, match="backup"):
        secret_key(workspace, "holdout:b:reference")


def test_keys_made_at_once_do_not_lose_each_other(tmp_path):
    workspace = create(tmp_path / "home")
    names = [f"holdout:{number}:reference" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda name: secret_key(workspace, name, make=True), names))
    assert [secret_key(workspace, name) for name in names] == made


@pytest.mark.parametrize("name", ["", "..", "../x", "A", "a/b", "a b", "a" * 65, "a\n", "\x1b[31m"])
def test_names_cannot_climb_or_write_to_a_terminal(name):
    with pytest.raises(UsageError):
        checked_name(name)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:" + "g" * 64, "../" + "0" * 61])
def test_only_digests_become_folders(digest):
    with pytest.raises(WorkspaceError):
        short(digest)


def test_a_damaged_description_is_told(tmp_path):
    home = create(tmp_path / "home").home
    facts = {"format": "proctor-workspace/9", "origin": "proctor/0", "created": "2026-01-01T00:00:00Z"}
    (home / "workspace.json").write_text(json.dumps(facts))
    with pytest.raises(WorkspaceError, match="proctor-workspace/9"):
        open_workspace(home)
    for damaged in ("{", "[]", '{"format": "proctor-workspace/1"}'):
        (home / "workspace.json").write_text(damaged)
        with pytest.raises(WorkspaceError, match="damaged"):
            open_workspace(home)


def test_an_init_killed_at_its_last_step_leaves_no_workspace_without_its_first_entry(tmp_path, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Ledger, "append_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []
