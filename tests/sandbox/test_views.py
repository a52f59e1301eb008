"""Views and copies are entries by the one who looked: once a day for a view, every time for a copy."""

import pytest

from sandbox.canonical import digest_bytes
from sandbox.commands.main import main
from sandbox.institution import actors, views
from sandbox.institution.workspace import open_ledger
from tests.sandbox.release.examined import evaluate, make_site, release


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A workspace with an issued release."""
    home = tmp_path_factory.mktemp("told") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sandbox.release.draft.holdouts.open_holdout", lambda *_: None)
        patch.setattr("sandbox.release.draft.check_versions", lambda *_: None)
        patch.delenv("PROCTOR_ACTOR", raising=False)
        patch.delenv("PROCTOR_ACTOR_KEY", raising=False)
        patch.setenv("PROCTOR_HOME", str(home))
        workspace = make_site(home)
        evaluation = evaluate(workspace, "acme")
        identifier = release(workspace, evaluation)
    return workspace, evaluation, identifier


@pytest.fixture
def site(told, monkeypatch):
    workspace, evaluation, identifier = told
    monkeypatch.setenv("PROCTOR_HOME", str(workspace.home))
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.delenv("PROCTOR_ACTOR_KEY", raising=False)
    return workspace, evaluation, identifier


def entries(workspace, kind, **subject):
    with open_ledger(workspace) as ledger:
        return ledger.find(kind=kind, **subject)


def test_each_person_is_entered_once_a_day(site, monkeypatch):
    workspace, _, identifier = site
    for name in ("ada", "ada", "bea"):
        assert main(["release", "show", identifier, "--as", name]) == 0
    seen = entries(workspace, "seen", release=identifier)
    assert [each.actor for each in seen] == ["ada", "bea"]
    real = views.entry
    monkeypatch.setattr(
        views, "entry", lambda *parts, **named: {**real(*parts, **named), "time": "2031-01-01T00:00:00Z"}
    )
    assert main(["release", "show", identifier, "--as", "ada"]) == 0
    assert len(entries(workspace, "seen", release=identifier)) == 3


@pytest.mark.parametrize(
    ("line", "kind", "subject"),
    [
        (["release", "list"], "seen", {"what": "releases"}),
        (["ledger", "show"], "ledger-read", {}),
        (["evaluation", "show", "EVALUATION"], "seen", {"what": "evaluation"}),
    ],
)
def test_what_shows_something_says_who_saw_it(site, line, kind, subject):
    workspace, evaluation, _ = site
    words = [evaluation if word == "EVALUATION" else word for word in line]
    assert main([*words, "--as", "bea"]) == 0
    assert [each.actor for each in entries(workspace, kind, **subject)].count("bea") == 1


def test_a_copy_is_entered_every_time_with_its_digest(site, tmp_path):
    workspace, evaluation, identifier = site
    for name in ("a.html", "b.html"):
        assert main(["report", evaluation, "--for", "vendor", "-o", str(tmp_path / name)]) == 0
    copies = entries(workspace, "exported", what="report")
    assert [each.subject["exported"] for each in copies] == [
        digest_bytes((tmp_path / "a.html").read_bytes())
    ] * 2
    assert {each.subject["audience"] for each in copies} == {"vendor"}
    before = len(entries(workspace, "exported", what="release"))
    assert main(["release", "issue", identifier, "-o", str(tmp_path / "out")]) == 0
    assert len(entries(workspace, "exported", what="release")) == before + 1


def test_who_is_nobody_here_is_shown_nothing(site, capsys):
    _, _, identifier = site
    assert main(["release", "show", identifier, "--as", "nobody"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "There is no key of the actor nobody" in told.err


def test_a_revoked_actor_is_shown_nothing(site, capsys):
    workspace, _, identifier = site
    actors.add(workspace, "carl", ["regulator"])
    assert main(["release", "show", identifier, "--as", "carl"]) == 0
    actors.revoke(workspace, "carl")
    assert main(["release", "show", identifier, "--as", "carl"]) == 3
    assert "was revoked" in capsys.readouterr().err


def test_the_budget_and_a_hold_out_are_seen_too(site, monkeypatch):
    from types import SimpleNamespace

    import pyarrow as pa

    from sandbox.custody import holdouts

    workspace, _, _ = site
    locked = SimpleNamespace(name="cxr", version="1", cases=pa.table({"patient_key": ["p-1", "p-2"]}))
    monkeypatch.setattr(holdouts, "open_holdout", lambda *_: locked)
    for line in (["--vendor", "acme"], []):
        assert main(["release", "budget", "--holdout", "cxr", *line, "--as", "ada"]) == 0
    seen = entries(workspace, "seen", what="budget")
    assert [each.subject.get("vendor") for each in seen] == ["acme", None]
    views.note_seen(workspace, "holdout", holdout="cxr")
    assert [each.actor for each in entries(workspace, "seen", what="holdout")] == ["operator"]
    with open_ledger(workspace) as ledger:
        assert ledger.verify_all().held
