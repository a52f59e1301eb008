"""Where the policy wants two people, one proposes, another confirms, and the ledger shows both."""

import json

import pytest
import yaml

from sandbox.canonical import digest
from sandbox.commands.main import main
from sandbox.errors import ActorError
from sandbox.institution import actors
from sandbox.institution.workspace import create, entry, open_ledger


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.delenv("PROCTOR_ACTOR_KEY", raising=False)
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    workspace = create(tmp_path / "home")
    actors.add(workspace, "ada", ["approver"])
    actors.add(workspace, "carl", ["custodian"])
    policy = yaml.safe_load(workspace.policy_path.read_text())
    workspace.policy_path.write_text(yaml.safe_dump({**policy, "two_people": ["actor", "retire"]}))
    return workspace


def entries(workspace, kind):
    with open_ledger(workspace) as ledger:
        return ledger.find(kind=kind)


def known(workspace):
    return {actor.name: actor.revoked is None for actor in actors.actors(workspace)}


ADD = ["actor", "add", "bea", "--role", "approver"]


def test_an_approver_is_added_by_two(site, capsys):
    assert main([*ADD, "--as", "ada"]) == 3
    assert "The proposal of ada is in the ledger" in capsys.readouterr().err
    assert "bea" not in known(site)
    assert main(ADD) == 0
    assert known(site)["bea"]
    (proposed,), added = entries(site, "act-proposed"), entries(site, "actor-added")[-1]
    assert (proposed.actor, added.actor) == ("ada", "operator")
    act = {"kind": added.kind, "subject": dict(added.subject), "detail": dict(added.detail)}
    assert proposed.subject["act"] == digest(act)
    with open_ledger(site) as ledger:
        assert ledger.verify_all().held


def test_one_person_alone_adds_nobody_however_often(site):
    assert [main(ADD), main(ADD)] == [3, 3]
    assert len(entries(site, "act-proposed")) == 1
    assert "bea" not in known(site)


def test_who_may_only_propose_leaves_the_act_to_a_role_that_allows_it(site):
    assert main(ADD) == 3
    assert main([*ADD, "--as", "ada"]) == 3
    assert "bea" not in known(site)
    assert main(ADD) == 0


@pytest.mark.parametrize("other", [["--role", "approver", "--role", "operator"], ["--role", "witness"]])
def test_another_act_under_the_same_name_is_not_confirmed(site, other):
    assert main([*ADD, "--as", "ada"]) == 3
    assert main(["actor", "add", "bea", *other]) == 3
    assert "bea" not in known(site)


def test_another_key_under_the_same_name_is_not_confirmed(site):
    assert main([*ADD, "--as", "ada"]) == 3
    keys = site.home / "keys" / "actors"
    (keys / "bea.pem").write_bytes((keys / "ada.pem").read_bytes())
    assert main(ADD) == 3
    assert "bea" not in known(site)


def test_a_proposal_of_one_who_was_revoked_does_not_count(site):
    assert main([*ADD, "--as", "ada"]) == 3
    assert main(["actor", "revoke", "ada", "--as", "carl"]) == 3
    assert main(["actor", "revoke", "ada"]) == 0
    assert main(ADD) == 3
    assert main([*ADD, "--as", "carl"]) == 0


def test_who_is_to_be_revoked_has_no_say_in_it(site):
    assert main(["actor", "revoke", "carl"]) == 3
    assert main(["actor", "revoke", "carl", "--as", "carl"]) == 3
    assert known(site)["carl"]
    assert main(["actor", "revoke", "carl", "--as", "ada"]) == 3
    assert main(["actor", "revoke", "carl"]) == 0
    assert not known(site)["carl"]


def test_a_hold_out_is_retired_by_two(site, monkeypatch):
    from types import SimpleNamespace

    from sandbox.custody import holdouts

    locked = SimpleNamespace(name="cxr", version="1", root="ab" * 32)
    monkeypatch.setattr(holdouts, "open_holdout", lambda *_: locked)
    with pytest.raises(ActorError, match="two people"):
        holdouts.retire(site, "cxr", "worn")
    assert entries(site, "holdout-retired") == []
    assert main(["holdout", "retire", "cxr", "--reason", "worn", "--as", "carl"]) == 0
    assert entries(site, "holdout-retired")[-1].actor == "carl"


def test_a_hold_out_is_retired_once_for_one_reason(site, monkeypatch, capsys):
    from types import SimpleNamespace

    from sandbox.custody import holdouts

    site.policy_path.write_text(site.policy_path.read_text().replace("- retire\n", ""))
    locked = SimpleNamespace(name="cxr", version="1", root="ab" * 32)
    monkeypatch.setattr(holdouts, "open_holdout", lambda *_: locked)
    retire = ["holdout", "retire", "cxr", "--reason"]
    assert main([*retire, "Mr Smith objected"]) == 2
    assert [main([*retire, "worn"]), main([*retire, "worn"]), main([*retire, "replaced"])] == [0, 0, 2]
    assert "with the reason worn" in capsys.readouterr().err
    (entered,) = entries(site, "holdout-retired")
    assert entered.subject["reason"] == "worn"


@pytest.mark.parametrize("role", ["vendor", "regulator", "witness"])
def test_other_roles_propose_nothing(site, role):
    site.policy_path.write_text(site.policy_path.read_text().replace("- actor\n", ""))
    actors.add(site, "vera", [role])
    with (
        pytest.raises(ActorError, match="may not do this"),
        open_ledger(
            type(site)(home=site.home, origin=site.origin, created=site.created, actor="vera")
        ) as ledger,
    ):
        ledger.append(entry("act-proposed", subject={"act": "ab" * 32, "proposed": "actor-added"}))


def test_without_the_rule_one_is_enough(site):
    site.policy_path.write_text(site.policy_path.read_text().replace("- actor\n", ""))
    assert main(ADD) == 0
    assert entries(site, "act-proposed") == []


def test_the_rules_stand_in_the_ledger_and_are_entered_once(site):
    assert main([*ADD, "--as", "ada"]) == 3
    assert main(ADD) == 0
    adopted = entries(site, "policy-adopted")
    assert [each.detail["actor"] for each in adopted] == [False, True]
    assert adopted[-1].detail["approvals"] == 2


def test_a_rule_is_taken_away_by_two_and_until_then_nothing_is_done(site, capsys):
    assert main([*ADD, "--as", "ada"]) == 3
    assert main(ADD) == 0
    site.policy_path.write_text(site.policy_path.read_text().replace("- actor\n", ""))
    alone = ["actor", "add", "mallory", "--role", "approver"]
    assert main(alone) == 3
    assert "takes away two_people: actor" in capsys.readouterr().err
    assert [main(["policy", "adopt"]), main(["policy", "adopt"])] == [3, 3]
    assert main(alone) == 3
    assert main(["policy", "adopt", "--as", "bea"]) == 0
    assert main(alone) == 0
    with open_ledger(site) as ledger:
        assert ledger.verify_all().held


def test_the_policy_is_shown_with_what_the_ledger_holds_of_it(site, capsys):
    assert main(["policy", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["adopted"], shown["two_people"]) == (False, ["actor", "retire"])
    assert main(["policy", "adopt"]) == 0
    capsys.readouterr()
    assert main(["policy", "show"]) == 0
    assert "in the ledger" in capsys.readouterr().out
