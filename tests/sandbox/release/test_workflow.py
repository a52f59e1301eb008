"""A release from request to issue: two others read the exact bytes, the budget pays once, the vendor sees no more."""

import json
import math

import pytest
import yaml

from sandbox.commands.main import main
from sandbox.errors import ActorError, ReleaseError, ReleaseRefusedError, UsageError
from sandbox.release import workflow
from sandbox.release.claims import register_claims
from sandbox.workspace import open_ledger
from tests.sandbox.release.examined import acting, command, evaluate, make_site, release


@pytest.fixture
def site(tmp_path, monkeypatch):
    # These evaluations have no locked hold-out behind them; versions are told apart in tests/end_to_end.
    monkeypatch.setattr("sandbox.release.draft.holdouts.open_holdout", lambda *_: None)
    monkeypatch.setattr("sandbox.release.draft.check_versions", lambda *_: None)
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    return make_site(tmp_path / "home")


def change_policy(workspace, **parts):
    policy = yaml.safe_load(workspace.policy_path.read_text())
    for name, values in parts.items():
        policy[name] = {**policy.get(name, {}), **values}
    workspace.policy_path.write_text(yaml.safe_dump(policy))


def entries(workspace, kind):
    with open_ledger(workspace) as ledger:
        return ledger.find(kind=kind)


def document(workspace, identifier):
    return json.loads((workspace.release(identifier) / "release.json").read_bytes())


def approved(workspace, evaluation, **asked):
    identifier = workflow.request(workspace, evaluation, **asked).release
    for name in ("ada", "bea"):
        workflow.review(acting(workspace, name), identifier)
        workflow.decide(acting(workspace, name), identifier, "approve")
    return identifier


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
    from sandbox import actors

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


def document_evaluation(workspace, identifier):
    return json.loads((workspace.release(identifier) / "request.json").read_bytes())["evaluation"]


def test_a_release_that_another_one_made_stale_is_reviewed_again(site):
    first, second = evaluate(site, "acme", seed=1), evaluate(site, "acme", seed=2)
    waiting = approved(site, first)
    release(site, second)
    with pytest.raises(ReleaseRefusedError, match="Request it again"):
        workflow.issue(site, waiting)
    assert workflow.request(site, first).state == "requested"


def test_issuing_twice_charges_once(site, capsys):
    identifier = release(site, evaluate(site, "acme"))
    before = command(capsys, "release", "show", identifier)
    workflow.issue(site, identifier)
    assert len(entries(site, "release-issued")) == 1
    assert command(capsys, "release", "show", identifier) == before


def test_killed_before_the_entry_nothing_was_told_and_the_command_goes_on(site, monkeypatch):
    from sandbox.evidence.ledger import Ledger

    identifier = approved(site, evaluate(site, "acme"))
    append = Ledger.append

    def killed(self, entry):
        if entry["kind"] == "release-issued":
            raise KeyboardInterrupt
        return append(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            workflow.issue(site, identifier)
    assert workflow.show(site, identifier).state == "approved"
    assert workflow.issue(site, identifier)[0].state == "issued"
    assert len(entries(site, "release-issued")) == 1


def test_an_approver_revoked_before_the_issue_approved_nothing(site):
    from sandbox import actors

    identifier = approved(site, evaluate(site, "acme"))
    actors.revoke(site, "bea")
    with pytest.raises(ReleaseRefusedError, match="1 of the 2 approvals"):
        workflow.issue(site, identifier)
    actors.add(site, "cleo", ["approver"])
    workflow.review(acting(site, "cleo"), identifier)
    workflow.decide(acting(site, "cleo"), identifier, "approve")
    assert workflow.issue(site, identifier)[0].state == "issued"


def test_a_request_killed_before_its_entry_is_no_release_and_can_be_made_again(site, monkeypatch, capsys):
    from sandbox.evidence.ledger import Ledger

    evaluation = evaluate(site, "acme")

    def killed(self, entry):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            workflow.request(site, evaluation)
    (left,) = (site.home / "releases").glob("r-*")
    assert workflow.releases(site) == []
    assert command(capsys, "release", "show", left.name)[0] == 2
    assert workflow.request(site, evaluation).release == left.name


def test_issued_bytes_that_were_changed_are_not_handed_out_again(site, tmp_path):
    identifier = release(site, evaluate(site, "acme"))
    (folder,) = site.release(identifier).glob("issued-*")
    (folder / "release.html").write_text("better numbers")
    with pytest.raises(ReleaseError, match="does not hold the bytes that were issued"):
        workflow.issue(site, identifier, tmp_path / "for-acme")
    assert not (tmp_path / "for-acme").exists()


def test_a_copy_that_was_killed_is_made_again(site, tmp_path):
    identifier = release(site, evaluate(site, "acme"))
    (tmp_path / ".for-acme.partial").mkdir()
    workflow.issue(site, identifier, tmp_path / "for-acme")
    assert sorted(path.name for path in (tmp_path / "for-acme").iterdir()) == ["release.html", "release.json"]


def test_a_reviewer_does_not_read_what_can_no_longer_be_issued(site):
    waiting = workflow.request(site, evaluate(site, "acme", seed=1)).release
    release(site, evaluate(site, "acme", seed=2))
    with pytest.raises(ReleaseRefusedError, match="Request it again"):
        workflow.review(acting(site, "ada"), waiting)


@pytest.mark.parametrize("damage", ["{}", "[]", '{"evaluation": "e", "mechanism": "claim", "patterns": 3}'])
def test_a_damaged_request_is_told(site, damage):
    identifier = workflow.request(site, evaluate(site, "acme")).release
    (site.release(identifier) / "request.json").write_text(damage)
    with pytest.raises(ReleaseError, match="Request the release again"):
        workflow.review(acting(site, "ada"), identifier)


def test_three_submissions_and_the_fourth_is_refused(site):
    costs = []
    for seed in range(1, 4):
        identifier = release(site, evaluate(site, "acme", seed=seed))
        costs.append(document(site, identifier)["budget"])
    assert [round(c["cost"]) for c in costs] == [41, 41, 41]
    assert costs[0]["left"] > costs[1]["left"] > costs[2]["left"]
    assert costs[2]["reuse_adjusted_half_width"] > costs[0]["reuse_adjusted_half_width"]
    with pytest.raises(ReleaseRefusedError, match=r"tells 41\.0 bits, and 37\.1 are left"):
        workflow.request(site, evaluate(site, "acme", seed=4))
    assert workflow.request(site, evaluate(site, "acme", seed=5), patterns=["verdict"]).state == "requested"


def test_the_pool_of_all_vendors_is_a_budget_too(site):
    change_policy(site, reuse={"bits_pooled": 100})
    for vendor in ("acme", "bolt"):
        release(site, evaluate(site, vendor))
    with pytest.raises(ReleaseRefusedError, match=r"all vendors 82\.0 of 100"):
        workflow.request(site, evaluate(site, "cora"))


def test_a_lost_or_changed_record_of_what_was_told_stops_further_releases(site):
    identifier = release(site, evaluate(site, "acme", seed=1))
    (folder,) = site.release(identifier).glob("issued-*")
    kept = (folder / "told.json").read_bytes()
    other = evaluate(site, "bolt", seed=2)
    (folder / "told.json").write_bytes(kept.replace(b"auroc", b"aurok"))
    with pytest.raises(ReleaseError, match="is not the file that ledger entry"):
        workflow.request(site, other)
    (folder / "told.json").unlink()
    with pytest.raises(ReleaseError, match="is missing"):
        workflow.request(site, other)
    (folder / "told.json").write_bytes(kept)
    assert workflow.request(site, other).state == "requested"


def test_the_reviewer_sees_what_changed_since_the_last_release(site):
    release(site, evaluate(site, "acme", skill=0.35, seed=1))
    identifier = workflow.request(site, evaluate(site, "acme", skill=0.1, seed=2)).release
    sheet = workflow.review(acting(site, "ada"), identifier)
    assert "@@" in sheet.change
    assert any(line.startswith('-      "value": "0.') for line in sheet.change.splitlines())


def test_a_vendor_sees_the_issued_page_and_before_it_nothing(site, capsys, tmp_path):
    evaluation = evaluate(site, "acme")
    assert main(["report", evaluation, "--for", "vendor"]) == 3
    assert "no vendor's copy" in capsys.readouterr().err
    identifier = release(site, evaluation)
    assert main(["report", evaluation, "--for", "vendor", "-o", str(tmp_path / "acme.html")]) == 0
    assert (tmp_path / "acme.html").read_bytes() == (site.release(identifier) / "release.html").read_bytes()
    assert entries(site, "report-viewed")[-1].subject["audience"] == "vendor"


def called(true_positives):
    """Answers that call exactly so many positives, and a third of the negatives."""

    def answers(skill, seed):
        from tests.sandbox.release import examined

        table = examined.answers_of(skill, seed)
        reference = table["reference"].to_pylist()
        left = {1: true_positives, 0: reference.count(0) // 3}
        scores = []
        for truth in reference:
            left[truth] -= 1
            scores.append(0.9 if left[truth] >= 0 else 0.1)
        return table.set_column(table.column_names.index("score"), "score", [scores])

    return answers


@pytest.mark.parametrize(("below_the_edge", "told"), [(1, False), (8, True)])
def test_a_few_calls_are_not_told_by_the_difference_of_two_releases(site, monkeypatch, below_the_edge, told):
    """Three more positives are called. Where that crosses an edge of the rounding, their truth would be narrowed."""
    from tests.sandbox.release import examined

    positives = examined.answers(0.3, 1)["reference"].to_pylist().count(1)
    edge = math.ceil(0.825 * positives)
    monkeypatch.setattr(examined, "answers_of", examined.answers, raising=False)
    monkeypatch.setattr(examined, "answers", called(edge - below_the_edge))
    release(site, evaluate(site, "acme", seed=1), patterns=["*/all/sensitivity/value"])
    monkeypatch.setattr(examined, "answers", called(edge - below_the_edge + 3))
    second = evaluate(site, "bolt", seed=2)
    if told:
        assert workflow.request(site, second, patterns=["*/all/sensitivity/value"]).state == "requested"
    else:
        with pytest.raises(ReleaseRefusedError, match="fewer patients than the policy allows"):
            workflow.request(site, second, patterns=["*/all/sensitivity/value"])


def test_asked_again_after_it_was_issued_nothing_changes(site):
    identifier = release(site, evaluate(site, "acme", seed=1))
    release(site, evaluate(site, "bolt", seed=2))
    assert workflow.request(site, document_evaluation(site, identifier)).state == "issued"


def test_a_mark_of_a_case_never_leaves(site, monkeypatch):
    evaluation = evaluate(site, "c-0000000000000001")  # a vendor's name chosen to be the mark of a case
    with pytest.raises(ReleaseRefusedError, match="would carry the mark of a case"):
        workflow.request(site, evaluation)


def test_the_name_of_a_runs_sentinel_never_leaves(site, monkeypatch):
    from sandbox.release import traces

    monkeypatch.setattr(traces, "sentinel", lambda _key: "acmevision")
    with pytest.raises(ReleaseRefusedError, match="would carry the mark of a case"):
        workflow.request(site, evaluate(site, "acmevision"))


CLAIMS = """\
proctor: claims/1
claims:
  - {name: good, metric: auroc, bound: lower, at_least: "0.80"}
  - {name: perfect, metric: auroc, at_least: "0.99"}
  - {name: finds, metric: sensitivity, operating_point: screening, at_least: "0.5"}
declared: {metric: auroc, value: "0.88"}
"""


def claimed(site, tmp_path, monkeypatch, **evaluated):
    """Claims registered before a run; the locked hold-out and the admitted image are not needed for that here."""
    from sandbox.release import claims as module

    path = tmp_path / "claims.yaml"
    path.write_text(CLAIMS)
    evaluation = evaluate(site, "acme", **evaluated)
    identity = json.loads((site.evaluation(evaluation) / "identity.json").read_bytes())
    started = entries(site, "evaluation-started")[-1].subject

    class Known:
        name, root, digest = identity["holdout"], started["root"], identity["submission"]

    monkeypatch.setattr(module.holdouts, "open_holdout", lambda *_: Known)
    monkeypatch.setattr(module.submissions, "find", lambda *_: Known)
    return path, evaluation


def test_claims_come_before_the_run(site, tmp_path, monkeypatch):
    path, evaluation = claimed(site, tmp_path, monkeypatch)
    with pytest.raises(ReleaseRefusedError, match="before the run"):
        register_claims(site, path, holdout="cxr", submission="acme", protocol="opacity")
    with pytest.raises(ReleaseRefusedError, match="No claim was registered"):
        workflow.request(site, evaluation, mechanism="claim")


def with_claims_first(site, tmp_path, monkeypatch, seed=1):
    """The story in the right order: learn the digests from a twin workspace, register, then evaluate."""
    from sandbox.release import claims as module

    class Known:
        name, root = "cxr", "ab" * 32

    from sandbox.canonical import digest

    Known.digest = digest(["acme", seed])
    monkeypatch.setattr(module.holdouts, "open_holdout", lambda *_: Known)
    monkeypatch.setattr(module.submissions, "find", lambda *_: Known)
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIMS)
    register_claims(site, path, holdout="cxr", submission="acme", protocol="opacity")
    return evaluate(site, "acme", seed=seed)


def test_claims_are_answered_with_one_bit_each(site, tmp_path, monkeypatch):
    evaluation = with_claims_first(site, tmp_path, monkeypatch)
    told = document(site, approved(site, evaluation, mechanism="claim"))
    assert {field["path"].rsplit("/", 1)[1]: field["value"] for field in told["fields"]} == {
        "good": "met",
        "perfect": "not_met",
        "finds": "met",
    }
    assert told["budget"]["cost"] == 3
    assert told["withheld"] == []


def test_other_claims_for_the_same_run_are_refused(site, tmp_path, monkeypatch):
    with_claims_first(site, tmp_path, monkeypatch)
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIMS.replace("0.99", "0.98"))
    with pytest.raises(ReleaseRefusedError, match="made once"):
        register_claims(site, path, holdout="cxr", submission="acme", protocol="opacity")


def test_thresholdout_answers_an_evaluation_once(site, tmp_path, monkeypatch):
    evaluation = with_claims_first(site, tmp_path, monkeypatch)
    first = workflow.request(site, evaluation, mechanism="thresholdout")
    again = workflow.request(site, evaluation, mechanism="thresholdout")
    assert first.content == again.content
    (memory,) = (site.home / "releases" / "memory").iterdir()
    assert json.loads(memory.read_bytes())["state"]["queries"] == 1


def test_a_mechanism_that_lost_its_memory_answers_nothing_more(site):
    release(site, evaluate(site, "acme", skill=0.5, seed=1), mechanism="ladder")
    (memory,) = (site.home / "releases" / "memory").iterdir()
    memory.unlink()
    second = evaluate(site, "acme", skill=0.1, seed=2)
    with pytest.raises(ReleaseError, match="nobody can say what this mechanism answered"):
        workflow.request(site, second, mechanism="ladder")
    assert workflow.request(site, evaluate(site, "bolt", seed=3), mechanism="ladder").state == "requested"


def test_the_ladder_tells_a_loser_only_what_was_known(site):
    best = evaluate(site, "acme", skill=0.5, seed=1)
    worse = evaluate(site, "acme", skill=0.1, seed=2)
    values = [
        document(site, approved(site, each, mechanism="ladder"))["fields"][0]["value"]
        for each in (best, worse)
    ]
    assert values[0] == values[1]


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
