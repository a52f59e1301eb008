"""Ledgers made by one who holds every key and goes around Proctor's own refusals: the audit tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.canonical import canonical_json, digest
from sandbox.evidence.actors import Acting
from sandbox.evidence.audit import LedgerReport
from sandbox.evidence.dossier import dossier_bytes, prove_entries
from sandbox.evidence.encoding import encode_base64
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.separation import act_digest
from sandbox.evidence.verification import verify_bytes
from sandbox.outcome.results import Results
from tests.sandbox.evidence.dossier_story import CONTROLS, REPORT, events, parts_of

CONTENT, OTHER = "ab" * 32, "cd" * 32
ALL = {"actor": True, "retire": True, "refresh": True, "policy": False}


def person(name: str) -> Acting:
    seed = name.encode().ljust(32, b".")
    return Acting(name=name, key=SigningKey(name=name, private=Ed25519PrivateKey.from_private_bytes(seed)))


class Story:
    """Entries by whoever it pleases; only what a role forbids is refused."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.folder, self.key, self.minute = folder, key, 0
        Ledger.create(folder, origin=key.name, key=key)
        self.add("operator", "operator", operator=True, custodian=True)
        self.add("operator", "ada", approver=True)
        self.add("operator", "bea", approver=True)

    def enter(self, who: str, kind: str, subject: Mapping[str, Any], /, **detail: Any) -> int:
        ledger = Ledger.open(self.folder, key=self.key, acting=lambda: person(who))
        return ledger.append({"kind": kind, "subject": dict(subject), "detail": detail})

    def add(self, actor: str, name: str, **roles: bool) -> int:
        return self.enter(actor, "actor-added", self.named(name), **roles)

    def named(self, name: str) -> dict[str, Any]:
        return {"name": name, "key": encode_base64(person(name).key.verifier.public)}

    def propose(self, who: str, kind: str, subject: Mapping[str, Any], /, **detail: Any) -> int:
        act = {"act": act_digest(kind, subject, detail), "proposed": kind}
        return self.enter(who, "act-proposed", act)

    def adopt(self, number: int = 1, approvals: int = 2, **rules: bool) -> int:
        flags = {**dict.fromkeys(ALL, False), **rules, "approvals": approvals}
        return self.enter(
            "operator", "policy-adopted", {"policy": digest(number), "name": "default"}, **flags
        )

    def release(self, actor: str, kind: str, content: str = CONTENT, **detail: Any) -> int:
        subject = {"release": "r-1", "evaluation": "e-1", "content": content}
        if kind == "release-reviewed":
            subject["review"] = OTHER
        if kind == "release-issued":
            subject |= {"holdout": "cxr", "vendor": "acme"}
        return self.enter(actor, kind, subject, **detail)

    @property
    def audited(self) -> LedgerReport:
        return Ledger.open(self.folder, key=self.key, acting=lambda: person("operator")).verify_all()

    def is_bad(self, index: int, reason: str) -> bool:
        report = self.audited
        return not report.held and report.first_bad == index and reason in str(report.problem)


RETIRED = {"holdout": "cxr", "version": "1", "root": CONTENT, "reason": "worn"}
FRESH = {"holdout": "cxr", "version": "1", "root": CONTENT, "left": CONTENT, "came": OTHER}


@pytest.fixture
def story(tmp_path: Path, key: SigningKey) -> Story:
    return Story(tmp_path / "ledger", key)


def test_what_the_rules_leave_to_two_is_not_done_by_one(story: Story) -> None:
    story.adopt(**ALL)
    assert story.audited.held
    assert story.is_bad(story.add("operator", "mallory", approver=True), "nobody else proposed it")


@pytest.mark.parametrize(("kind", "subject"), [("holdout-retired", RETIRED), ("holdout-refreshed", FRESH)])
def test_a_hold_out_is_ended_and_refreshed_by_two(story: Story, kind: str, subject: dict[str, Any]) -> None:
    story.adopt(**ALL)
    story.propose("ada", kind, subject)
    story.enter("operator", kind, subject)
    assert story.audited.held
    # The proposal is used up.
    assert story.is_bad(story.enter("operator", kind, subject), "nobody else proposed it")


def test_before_the_rule_one_was_enough(story: Story) -> None:
    story.enter("operator", "holdout-retired", RETIRED)
    story.adopt(**ALL)
    assert story.audited.held


def test_ones_own_proposal_is_nobody_elses(story: Story) -> None:
    story.adopt(**ALL)
    story.propose("operator", "holdout-retired", RETIRED)
    assert story.is_bad(story.enter("operator", "holdout-retired", RETIRED), "nobody else")


def test_a_proposal_of_something_else_does_not_count(story: Story) -> None:
    story.adopt(**ALL)
    story.propose("ada", "holdout-retired", {**RETIRED, "version": "2"})
    assert story.is_bad(story.enter("operator", "holdout-retired", RETIRED), "nobody else")


def test_who_is_revoked_confirms_nothing_and_has_no_say_in_it(story: Story) -> None:
    story.adopt(retire=True)
    story.propose("ada", "holdout-retired", RETIRED)
    story.enter("operator", "actor-revoked", {"name": "ada"})
    assert story.is_bad(story.enter("operator", "holdout-retired", RETIRED), "nobody else")


def test_nobody_revokes_themselves_under_the_rule(story: Story) -> None:
    story.adopt(actor=True)
    story.propose("ada", "actor-revoked", {"name": "operator"})
    index = story.enter("operator", "actor-revoked", {"name": "operator"})
    assert story.is_bad(index, "no say")


def test_a_rule_is_taken_away_by_two_only(story: Story) -> None:
    story.adopt(**ALL)
    assert story.is_bad(story.adopt(number=2), "nobody else proposed it")


def test_a_rule_may_be_added_by_one_and_taken_away_by_two(story: Story) -> None:
    story.adopt(actor=True)
    story.adopt(number=2, **ALL)
    rules = {**dict.fromkeys(ALL, False), "approvals": 2}
    story.propose("ada", "policy-adopted", {"policy": digest(3), "name": "default"}, **rules)
    story.adopt(number=3)
    story.add("operator", "carl", custodian=True)
    assert story.audited.held


def test_with_the_rule_policy_every_change_needs_two(story: Story) -> None:
    story.adopt(policy=True)
    assert story.is_bad(story.adopt(number=2, approvals=1, policy=True), "nobody else")


def approved(story: Story, *names: str) -> None:
    for name in names:
        story.release(name, "release-reviewed", decision="approve")


def test_a_release_with_its_approvals_holds(story: Story) -> None:
    story.adopt()
    story.release("operator", "release-requested")
    approved(story, "ada", "bea")
    story.release("operator", "release-issued")
    story.release("operator", "release-issued")
    assert story.audited.held


def test_nobody_approves_what_they_asked_for(story: Story) -> None:
    story.add("operator", "both", operator=True, approver=True)
    story.adopt()
    story.release("both", "release-requested")
    assert story.is_bad(story.release("both", "release-reviewed", decision="approve"), "asked for")


def test_a_release_with_too_few_approvals_shows(story: Story) -> None:
    story.adopt()
    story.release("operator", "release-requested")
    approved(story, "ada", "ada")
    assert story.is_bad(story.release("operator", "release-issued"), "1 of 2 approvals")


def test_approvals_of_other_bytes_do_not_count(story: Story) -> None:
    story.adopt()
    story.release("operator", "release-requested")
    approved(story, "ada", "bea")
    story.release("operator", "release-requested", OTHER)
    assert story.is_bad(story.release("operator", "release-issued", OTHER), "0 of 2")


def test_an_approver_revoked_before_the_issue_does_not_count(story: Story) -> None:
    story.adopt()
    story.release("operator", "release-requested")
    approved(story, "ada", "bea")
    story.enter("operator", "actor-revoked", {"name": "bea"})
    assert story.is_bad(story.release("operator", "release-issued"), "1 of 2")


def test_a_rejected_release_that_was_issued_shows(story: Story) -> None:
    story.adopt(approvals=1)
    story.release("operator", "release-requested")
    approved(story, "ada")
    story.release("bea", "release-reviewed", decision="reject")
    assert story.is_bad(story.release("operator", "release-issued"), "rejected")


def dossier_checks(
    story: Story, folder: Path, results: Results, rules: tuple[str, ...]
) -> dict[str, tuple[bool, str]]:
    """Outcome of each check of a dossier of an evaluation whose policy says ``rules``, with all that governs in it."""
    for event in events(results, REPORT, CONTROLS):
        if event["kind"] == "evaluation-finished":
            story.release("operator", "release-requested")
        ledger = Ledger.open(story.folder, key=story.key, acting=lambda: person("operator"))
        ledger.append(event)
    ledger = Ledger.open(story.folder, key=story.key, acting=lambda: person("operator"))
    parts = parts_of(folder, ledger, story.key, results, policy=canonical_json({"two_people": list(rules)}))
    entries = [entry for entry in ledger.entries() if "release" not in entry.subject]
    proven, checkpoint = prove_entries(ledger, entries)
    changed = type(parts)(
        **{name: getattr(parts, name) for name in parts.__slots__}
        | {"entries": proven, "checkpoint": checkpoint}
    )
    checks = verify_bytes(dossier_bytes(changed), story.key.verifier.text)
    return {check.name: (check.held, check.sentence) for check in checks}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("told")


def scored_in(folder: Path) -> Results:
    from tests.sandbox.evidence.dossier_story import scored

    return scored(folder)


def test_a_dossier_shows_who_stood_behind_acts_of_two(story: Story, told: Path) -> None:
    story.adopt(**ALL)
    story.propose("ada", "actor-added", story.named("carl"), custodian=True)
    story.add("operator", "carl", custodian=True)
    held, sentence = dossier_checks(story, told, scored_in(told), ("actor", "retire", "refresh"))[
        "separation of duties"
    ]
    assert held
    assert "actor, refresh, retire" in sentence


def test_a_dossier_of_a_ledger_where_one_acted_alone_does_not_hold(story: Story, told: Path) -> None:
    story.adopt(**ALL)
    story.add("operator", "mallory", approver=True)
    held, sentence = dossier_checks(story, told, scored_in(told), ("actor", "retire", "refresh"))[
        "separation of duties"
    ]
    assert not held
    assert "nobody else proposed it" in sentence


def test_a_dossier_that_leaves_the_adopted_rules_out_does_not_hold(story: Story, told: Path) -> None:
    held, sentence = dossier_checks(story, told, scored_in(told), ("actor",))["separation of duties"]
    assert not held
    assert "name different acts" in sentence
