"""What was killed, damaged or lost: nothing is told twice or by halves, and the same command goes on."""

import pytest

from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.release import workflow
from tests.sandbox.release.examined import acting, approved, command, entries, evaluate, release


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
