"""What a vendor registers before the run, and how each mechanism answers it."""

import json

import pytest

from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.release import workflow
from sandbox.release.claims import register_claims
from tests.sandbox.release.examined import (
    approved,
    document,
    entries,
    evaluate,
    release,
)

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
