"""Submissions that answer alike but for a few patients: nothing is told about those few."""

import math

import pytest

from sandbox.errors import ReleaseRefusedError
from sandbox.release import workflow
from tests.sandbox.release import examined
from tests.sandbox.release.examined import command, document, evaluate, release


def called(true_positives):
    """Answers that call exactly so many positives, and a third of the negatives."""

    def answers(skill, seed):
        table = examined.answers_of(skill, seed)
        reference = table["reference"].to_pylist()
        left = {1: true_positives, 0: reference.count(0) // 3}
        scores = []
        for truth in reference:
            left[truth] -= 1
            scores.append(0.9 if left[truth] >= 0 else 0.1)
        return table.set_column(table.column_names.index("score"), "score", [scores])

    return answers


def reasons(workspace, identifier):
    return {
        each["path"].split("/", 2)[2]: each["reason"] for each in document(workspace, identifier)["withheld"]
    }


@pytest.mark.parametrize("below_the_edge", [1, 8])
def test_calls_that_differ_in_three_patients_are_told_once_whatever_their_truth(
    site, monkeypatch, below_the_edge
):
    """Three more positives are called, with and without crossing an edge of the rounding: the same is withheld."""
    positives = examined.answers(0.3, 1)["reference"].to_pylist().count(1)
    edge = math.ceil(0.825 * positives)
    monkeypatch.setattr(examined, "answers_of", examined.answers, raising=False)
    monkeypatch.setattr(examined, "answers", called(edge - below_the_edge))
    fields = ["*/all/sensitivity/value", "*/all/specificity/value", "holdout/all/patients", "verdict"]
    release(site, evaluate(site, "acme", seed=1), patterns=fields)
    monkeypatch.setattr(examined, "answers", called(edge - below_the_edge + 3))
    second = evaluate(site, "bolt", seed=2)
    identifier = release(site, second, patterns=fields)
    told = {each["path"].rsplit("/", 1)[1] for each in document(site, identifier)["fields"]}
    assert told == {"verdict", "patients"}
    assert set(reasons(site, identifier)) == {
        "screening/all/sensitivity/value",
        "screening/all/specificity/value",
    }
    assert all("fewer patients than the policy allows" in each for each in reasons(site, identifier).values())
    with pytest.raises(ReleaseRefusedError, match="every field that was asked for is withheld"):
        workflow.request(site, second, patterns=["*/all/sensitivity/value"])


def test_a_reviewer_sees_which_numbers_were_withheld_and_why(site, monkeypatch, capsys):
    monkeypatch.setattr(examined, "answers_of", examined.answers, raising=False)
    monkeypatch.setattr(examined, "answers", called(200))
    release(site, evaluate(site, "acme", seed=1))
    monkeypatch.setattr(examined, "answers", called(203))
    code, asked, _ = command(capsys, "release", "request", evaluate(site, "bolt", seed=2))
    assert code == 0
    assert any("fewer patients" in each["reason"] for each in asked["withheld"])
    _, sheet, _ = command(capsys, "release", "review", asked["release"], "--as", "ada")
    held = {each["field"].split("/", 2)[2] for each in sheet["rules"] if each["rule"] == "difference"}
    assert held >= {"screening/all/sensitivity/value", "screening/all/specificity/value"}


def test_the_same_calls_again_are_no_difference(site, monkeypatch):
    monkeypatch.setattr(examined, "answers_of", examined.answers, raising=False)
    monkeypatch.setattr(examined, "answers", called(200))
    for vendor, seed in (("acme", 1), ("bolt", 2)):
        identifier = release(site, evaluate(site, vendor, seed=seed))
        assert reasons(site, identifier) == {}
