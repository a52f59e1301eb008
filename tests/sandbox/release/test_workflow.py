"""A release from request to issue: two others read the exact bytes, and nobody approves what they asked for."""

import json
import threading

import pytest

from sandbox.commands.main import main
from sandbox.errors import ActorError, ReleaseRefusedError, UsageError
from sandbox.institution import actors
from sandbox.institution.workspace import open_ledger
from sandbox.release import workflow
from tests.sandbox.release.examined import (
    acting,
    approved,
    command,
    document_evaluation,
    entries,
    evaluate,
    release,
)


def test_from_request_to_issue(site, tmp_path):
    evaluation = evaluate(site, "acme")
    asked = workflow.request(site, evaluation)
    assert asked.state == "requested"
    workflow.review(acting(site, "ada"), asked.release)
    assert workflow.decide(acting(site, "ada"), asked.release, "approve").state == "requested"
    workflow.review(acting(site, "bea"), asked.release)
    assert workflow.decide(acting(site, "bea"), asked.release, "approve").state == "approved"
    issued, folder = workflow.issue(site, asked.release, tmp_path / "for-acme")
    assert issued.state == "issued"
    assert sorted(path.name for path in folder.iterdir()) == ["release.html", "release.json"]
    assert (folder / "release.json").read_bytes() == (
        site.release(asked.release) / "release.json"
    ).read_bytes()
    assert [each.actor for each in entries(site, "release-reviewed")] == ["ada", "bea"]
    with open_ledger(site) as ledger:
        assert ledger.verify_all().held


def test_what_leaves_names_only_what_was_released(site):
    evaluation = evaluate(site, "acme")
    identifier = approved(site, evaluation)
    results = json.loads((site.evaluation(evaluation) / "results.json").read_bytes())
    page = (site.release(identifier) / "release.html").read_text()
    text = (site.release(identifier) / "release.json").read_text() + page
    chosen = results["analyses"][0]["operating_points"][0]
    for count in ("tp", "fp", "fn", "tn"):
        assert f">{chosen[count]}<" not in text
        assert f" {chosen[count]}," not in text
    exact = next(e for e in results["analyses"][0]["estimates"] if e["metric"] == "auroc")["value"]
    assert str(exact)[:6] not in text
    assert "<script" not in page
    assert "c-0000" not in text


def test_fewer_approvals_than_the_policy_asks_for_issue_nothing(site):
    identifier = workflow.request(site, evaluate(site, "acme")).release
    workflow.review(acting(site, "ada"), identifier)
    workflow.decide(acting(site, "ada"), identifier, "approve")
    with pytest.raises(ReleaseRefusedError, match="1 of the 2 approvals"):
        workflow.issue(site, identifier)
    assert entries(site, "release-issued") == []


def test_one_rejection_stops_a_release(site):
    identifier = workflow.request(site, evaluate(site, "acme")).release
    for name, decision in (("ada", "approve"), ("bea", "reject")):
        workflow.review(acting(site, name), identifier)
        workflow.decide(acting(site, name), identifier, decision)
    with pytest.raises(ReleaseRefusedError, match="was rejected"):
        workflow.issue(site, identifier)


def test_an_author_never_approves_their_own_request(site):
    actors.add(site, "otto", ["operator", "approver"])
    identifier = workflow.request(acting(site, "otto"), evaluate(site, "acme")).release
    workflow.review(acting(site, "otto"), identifier)
    with pytest.raises(ReleaseRefusedError, match="somebody else must judge it"):
        workflow.decide(acting(site, "otto"), identifier, "approve")


def test_who_is_no_approver_does_not_decide(site):
    identifier = workflow.request(site, evaluate(site, "acme")).release
    with pytest.raises(ActorError, match="needs the role approver"):
        workflow.decide(site, identifier, "approve")


def test_nobody_decides_unread(site):
    identifier = workflow.request(site, evaluate(site, "acme")).release
    with pytest.raises(ReleaseRefusedError, match="has not read these bytes"):
        workflow.decide(acting(site, "ada"), identifier, "approve")


def test_reviews_are_blind_until_decided(site):
    identifier = workflow.request(site, evaluate(site, "acme")).release
    workflow.review(acting(site, "ada"), identifier)
    workflow.decide(acting(site, "ada"), identifier, "approve")
    assert workflow.review(acting(site, "bea"), identifier).standing.reviews == ()
    assert workflow.show(acting(site, "bea"), identifier).reviews == ()
    assert [r.actor for r in workflow.show(acting(site, "ada"), identifier).reviews] == ["ada"]


@pytest.mark.parametrize("name", ["release.json", "release.html"])
def test_bytes_changed_after_approval_fall_back_to_review(site, name):
    identifier = approved(site, evaluate(site, "acme"))
    path = site.release(identifier) / name
    path.write_bytes(path.read_bytes().replace(b"acme", b"acne"))
    assert workflow.show(site, identifier).state == "changed"
    with pytest.raises(ReleaseRefusedError, match="somebody changed them"):
        workflow.issue(site, identifier)
    assert workflow.request(site, document_evaluation(site, identifier)).state == "approved"


def test_a_release_that_another_one_made_stale_is_reviewed_again(site):
    first, second = evaluate(site, "acme", seed=1), evaluate(site, "acme", seed=2)
    waiting = approved(site, first)
    release(site, second)
    with pytest.raises(ReleaseRefusedError, match="Request it again"):
        workflow.issue(site, waiting)
    assert workflow.request(site, first).state == "requested"


def test_nobody_is_revoked_between_the_look_at_the_approvals_and_the_issue(site, monkeypatch):
    identifier = approved(site, evaluate(site, "acme"))
    again, others = workflow._again, []

    def in_between(*arguments):
        others.append(threading.Thread(target=actors.revoke, args=(site, "bea")))
        others[0].start()
        others[0].join(0.3)
        assert others[0].is_alive()
        assert entries(site, "actor-revoked") == []
        return again(*arguments)

    monkeypatch.setattr(workflow, "_again", in_between)
    assert workflow.issue(site, identifier)[0].state == "issued"
    others[0].join()
    (issued,), (revoked,) = entries(site, "release-issued"), entries(site, "actor-revoked")
    assert issued.index < revoked.index


def test_issuing_twice_charges_once(site, capsys):
    identifier = release(site, evaluate(site, "acme"))
    before = command(capsys, "release", "show", identifier)
    workflow.issue(site, identifier)
    assert len(entries(site, "release-issued")) == 1
    assert command(capsys, "release", "show", identifier) == before


def test_an_approver_revoked_before_the_issue_approved_nothing(site):
    identifier = approved(site, evaluate(site, "acme"))
    actors.revoke(site, "bea")
    with pytest.raises(ReleaseRefusedError, match="1 of the 2 approvals"):
        workflow.issue(site, identifier)
    actors.add(site, "cleo", ["approver"])
    workflow.review(acting(site, "cleo"), identifier)
    workflow.decide(acting(site, "cleo"), identifier, "approve")
    assert workflow.issue(site, identifier)[0].state == "issued"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["release", "request", "e-none"], 2),
        (["release", "review", "r-none"], 2),
        (["release", "approve", "r-none", "--as", "ada"], 2),
        (["release", "issue", "r-none"], 2),
        (["release", "list"], 0),
        (
            [
                "claim",
                "register",
                "absent.yaml",
                "--holdout",
                "cxr",
                "--submission",
                "acme",
                "--protocol",
                "opacity",
            ],
            3,
        ),
    ],
)
def test_commands_without_a_release(site, arguments, code, capsys):
    assert main(arguments) == code


def test_the_commands_from_request_to_budget(site, capsys, tmp_path):
    evaluation = evaluate(site, "acme")
    code, asked, _ = command(capsys, "release", "request", evaluation)
    assert (code, asked["state"]) == (0, "requested")
    identifier = asked["release"]
    for name in ("ada", "bea"):
        code, sheet, _ = command(capsys, "release", "review", identifier, "--as", name)
        assert code == 0
        assert sheet["files"]["release.json"] == (site.release(identifier) / "release.json").read_text()
        assert sheet["bits"] == pytest.approx(41, abs=0.1)
        assert command(capsys, "release", "approve", identifier, "--as", name)[0] == 0
    assert command(capsys, "release", "issue", identifier, "-o", str(tmp_path / "out"))[0] == 0
    assert (tmp_path / "out" / "release.html").exists()
    assert command(capsys, "release", "issue", identifier, "-o", str(tmp_path / "out"))[0] == 2
    code, listed, _ = command(capsys, "release", "list")
    assert [each["state"] for each in listed] == ["issued"]


def test_a_missing_destination_folder_is_wrong_usage(site, tmp_path):
    identifier = approved(site, evaluate(site, "acme"))
    with pytest.raises(UsageError, match="is not a folder"):
        workflow.issue(site, identifier, tmp_path / "absent" / "out")
    assert workflow.issue(site, identifier, tmp_path / "out")[0].state == "issued"
