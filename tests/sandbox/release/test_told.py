"""What a release tells and what it costs: budgets, the reviewer's diff, the vendor's page, marks of cases."""

import pytest

from sandbox.commands.main import main
from sandbox.errors import ReleaseRefusedError
from sandbox.release import workflow
from tests.sandbox.release.examined import (
    acting,
    change_policy,
    document,
    document_evaluation,
    entries,
    evaluate,
    release,
)


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
