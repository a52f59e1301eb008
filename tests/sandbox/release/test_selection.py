"""Which fields are asked for: patterns over names, and what is told when nothing fits."""

import pytest

from sandbox.errors import ReleaseRefusedError
from sandbox.release import workflow
from sandbox.release.selection import field_name, selection
from tests.sandbox.release.examined import evaluate, make_site


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("predictions-ab/p-12/verdict", "verdict"),
        ("predictions-ab/p-12/screening/all/sensitivity/low", "screening/all/sensitivity/low"),
        ("holdout/p-12/all/patients", "holdout/all/patients"),
    ],
)
def test_a_name_is_the_path_without_digests(path, name):
    assert field_name(path) == name


def test_a_pattern_reads_names_as_a_shell_would():
    chosen = selection(["all/auroc/*", "verdict"])
    assert chosen("predictions-ab/p-12/all/auroc/value")
    assert chosen("predictions-ab/p-12/verdict")
    assert not chosen("predictions-ab/p-12/site=a/auroc/value")


def test_patterns_that_fit_nothing_are_told_and_leave_no_request(tmp_path, monkeypatch):
    monkeypatch.setattr("sandbox.release.draft.holdouts.open_holdout", lambda *_: None)
    monkeypatch.setattr("sandbox.release.draft.check_versions", lambda *_: None)
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    site = make_site(tmp_path / "home")
    with pytest.raises(ReleaseRefusedError, match=r"no field of e-.* fits these patterns"):
        workflow.request(site, evaluate(site, "acme"), patterns=["all/aurok/value"])
    assert workflow.releases(site) == []
