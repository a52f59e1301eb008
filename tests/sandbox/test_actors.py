"""People act under their own key and role, and the ledger itself says who they are."""

import json
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from sandbox.commands.main import main
from sandbox.errors import ActorError, EvidenceError, UsageError
from sandbox.evidence.actors import Acting, sign_entry, unsigned
from sandbox.evidence.keys import load_signing_key
from sandbox.evidence.kinds import ROLES
from sandbox.evidence.ledger import Ledger
from sandbox.institution import actors
from sandbox.institution.workspace import create, entry, open_ledger, open_workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.delenv("PROCTOR_ACTOR_KEY", raising=False)
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    return create(tmp_path / "home")


def as_actor(workspace, name):
    return type(workspace)(
        home=workspace.home, origin=workspace.origin, created=workspace.created, actor=name
    )


def ledger_without_rules(workspace):
    """The ledger as someone opens it who holds its key and goes around Proctor."""
    key = load_signing_key(workspace.home / "keys" / "ledger.pem", workspace.origin)
    return Ledger.open(workspace.home / "ledger", key=key)


def verified(workspace):
    with open_ledger(workspace) as ledger:
        return ledger.verify_all()


def test_whoever_makes_the_workspace_is_its_first_actor(workspace):
    (first,) = actors.actors(workspace)
    assert (first.name, first.roles) == ("operator", ("operator", "custodian"))
    assert verified(workspace).held


def test_every_entry_bears_its_actor_and_signature(workspace):
    actors.add(workspace, "ada", ["approver"])
    with open_ledger(workspace) as ledger:
        entries = ledger.entries()
    assert {item.actor for item in entries} == {"operator"}
    assert all(item.signature for item in entries)


def test_a_role_decides_what_may_be_entered(workspace):
    actors.add(workspace, "ada", ["approver"])
    with open_ledger(as_actor(workspace, "ada")) as ledger:
        ledger.append(entry("ledger-read", subject={}, detail={"entries": 3}))
        with pytest.raises(ActorError, match="needs the role custodian"):
            ledger.append(
                entry("holdout-locked", subject={"holdout": "cxr", "version": "1", "root": "ab" * 32})
            )
    assert verified(workspace).held


def test_a_revoked_actor_enters_nothing_more_and_its_past_stays(workspace):
    actors.add(workspace, "ada", ["operator"])
    with open_ledger(as_actor(workspace, "ada")) as ledger:
        ledger.append(entry("ledger-read", subject={}, detail={"entries": 3}))
    actors.revoke(workspace, "ada")
    with open_ledger(as_actor(workspace, "ada")) as ledger, pytest.raises(ActorError, match="was revoked"):
        ledger.append(entry("ledger-read", subject={}, detail={"entries": 4}))
    assert verified(workspace).held


def test_a_name_is_never_used_again(workspace):
    actors.add(workspace, "ada", ["approver"])
    actors.revoke(workspace, "ada")
    with pytest.raises(UsageError, match="never used again"):
        actors.add(workspace, "ada", ["operator"])


def test_the_last_who_may_add_actors_stays(workspace):
    with pytest.raises(UsageError, match="last one"):
        actors.revoke(workspace, "operator")
    actors.add(workspace, "carl", ["custodian"])
    actors.revoke(workspace, "operator")
    assert actors.add(as_actor(workspace, "carl"), "ada", ["operator"]).roles == ("operator",)


def test_another_key_under_a_known_name_is_refused(workspace, monkeypatch, tmp_path):
    stolen = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "stolen.pem"
    path.write_bytes(stolen)
    path.chmod(0o600)
    monkeypatch.setenv("PROCTOR_ACTOR_KEY", str(path))
    with open_ledger(workspace) as ledger, pytest.raises(ActorError, match="under the key at hand"):
        ledger.append(entry("ledger-read", subject={}))


def test_a_key_kept_elsewhere_acts_through_its_file(workspace, monkeypatch, tmp_path, capsys):
    key = Ed25519PrivateKey.generate()
    (tmp_path / "grace.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    path = tmp_path / "grace.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    arguments = ["actor", "add", "grace", "--role", "custodian", "--public-key", str(tmp_path / "grace.pub")]
    assert main(arguments) == 0
    assert not actors.kept_here(workspace, actors.actors(workspace)[-1])
    assert main(["--as", "grace", "actor", "add", "ada", "--role", "approver"]) == 3
    assert "PROCTOR_ACTOR_KEY" in capsys.readouterr().err
    monkeypatch.setenv("PROCTOR_ACTOR_KEY", str(path))
    assert main(["actor", "add", "ada", "--role", "approver", "--as", "grace"]) == 0
    assert verified(workspace).held


@pytest.mark.parametrize("forge", ["unsigned", "stranger", "role"])
def test_who_goes_around_the_rules_is_found_by_the_audit(workspace, forge):
    actors.add(workspace, "ada", ["approver"])
    rogue = ledger_without_rules(workspace)
    whole = {**entry("protocol-registered", subject={"protocol": "ab" * 32}), "actor": "operator"}
    if forge == "stranger":
        whole["actor"] = "nobody"
    if forge == "role":
        key = load_signing_key(workspace.home / "keys" / "actors" / "ada.pem", "ada")
        whole = sign_entry(whole, Acting(name="ada", key=key))
    index = rogue.append(whole)
    report = verified(workspace)
    assert not report.held
    assert report.first_bad == index
    assert "does not count as its actor's" in report.problem


def test_an_actor_added_by_itself_later_does_not_count(workspace):
    key = Ed25519PrivateKey.generate()
    from sandbox.evidence.encoding import encode_base64
    from sandbox.evidence.keys import SigningKey

    mine = SigningKey(name="mallory", private=key)
    forged = sign_entry(
        entry(
            "actor-added",
            subject={"name": "mallory", "key": encode_base64(mine.verifier.public)},
            detail=dict.fromkeys(ROLES, True),
        ),
        Acting(name="mallory", key=mine),
    )
    ledger_without_rules(workspace).append(forged)
    assert "its actor was not added before" in (verified(workspace).problem or "")


def test_a_signature_covers_every_field(workspace):
    with open_ledger(workspace) as ledger:
        ledger.append(entry("ledger-read", subject={}, detail={"entries": 3}))
        entries = ledger.entries()
    from sandbox.evidence.entry import decode_entry, encode_entry

    plain = json.loads(entries[-1].raw)
    for change in ({"time": "2020-01-01T00:00:00Z"}, {"detail": {"entries": 4}}, {"actor": "ada"}):
        forged = decode_entry(encode_entry({**plain, **change}), entries[-1].index)
        assert [fault.index for fault in unsigned([*entries[:-1], forged])] == [forged.index]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["actor", "add", "ada", "--role", "king"], 2),
        (["actor", "add", "Ada", "--role", "approver"], 2),
        (["actor", "add", "operator", "--role", "approver"], 2),
        (["actor", "add", "ada", "--role", "approver", "--public-key", "/dev/null"], 2),
        (["actor", "revoke", "nobody"], 2),
        (["actor", "list", "--as"], 2),
        (["actor", "add", "ada", "--role", "approver", "--as", "nobody"], 3),
    ],
)
def test_bad_input_is_told_and_changes_nothing(workspace, arguments, code, capsys):
    before = len(actors.actors(workspace))
    assert main(arguments) == code
    assert capsys.readouterr().err.startswith("proctor: ")
    assert len(actors.actors(workspace)) == before


def test_two_additions_of_one_name_are_refused_by_the_register(workspace):
    actors.add(workspace, "ada", ["approver"])
    with open_ledger(workspace) as ledger:
        added = ledger.entries()[-1]
    plain = json.loads(added.raw)
    ledger_without_rules(workspace).append(plain)
    with open_ledger(workspace) as ledger, pytest.raises(EvidenceError, match="whose name is taken"):
        ledger.actors()


def test_the_environment_names_the_actor(workspace, monkeypatch):
    monkeypatch.setenv("PROCTOR_ACTOR", "ada")
    assert open_workspace(workspace.home).actor == "ada"


def test_a_ledger_is_held_against_a_head_that_somebody_kept(workspace, tmp_path, capsys):
    kept = tmp_path / "kept"
    kept.write_bytes((workspace.home / "ledger" / "checkpoint").read_bytes())
    actors.add(workspace, "ada", ["approver"])
    assert main(["ledger", "verify", "--against", str(kept)]) == 0
    assert "only grew since the kept head at 2 entries" in capsys.readouterr().out
    other = create(tmp_path / "other")
    assert main(["ledger", "verify", "--against", str(other.home / "ledger" / "checkpoint")]) == 4
    assert main(["ledger", "verify", "--against", str(tmp_path / "absent")]) == 2


def test_a_ledger_rewritten_by_its_owner_shows_against_a_kept_head(workspace, tmp_path):
    """Whole in itself, signed by the right key, and another history than the one that was told."""
    before = tmp_path / "before"
    shutil.copytree(workspace.home / "ledger", before)
    actors.add(workspace, "ada", ["approver"])
    kept = tmp_path / "kept"
    kept.write_bytes((workspace.home / "ledger" / "checkpoint").read_bytes())
    shutil.rmtree(workspace.home / "ledger")
    shutil.copytree(before, workspace.home / "ledger")
    (workspace.home / "keys" / "actors" / "ada.pem").unlink()
    actors.add(workspace, "ada", ["operator", "approver"])
    assert main(["ledger", "verify"]) == 0
    assert main(["ledger", "verify", "--against", str(kept)]) == 4
