"""Separation of duties, as the ledger itself shows it: acts of two people, and releases that others approved.

Which acts need two people is what the last ``policy-adopted`` entry says. One proposes: ``act-proposed`` holds the
digest of the act's kind, subject and detail. Another person in force, who may do it, enters the act; that uses the
proposal up. One who is to be revoked has no say in it. A policy that takes a name off the list is itself such an act.

Of a release nobody who asked for it is among those who approved it, and it was issued with as many approvals as the
policy asked for then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.canonical import digest
from sandbox.evidence.actors import Actor, Unsigned, note
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.kinds import TWO_PEOPLE
from sandbox.release.state import standing

PROPOSED = "act-proposed"
ADOPTED = "policy-adopted"
RULE_OF: Mapping[str, str] = {
    "actor-added": "actor",
    "actor-revoked": "actor",
    "holdout-retired": "retire",
    "holdout-refreshed": "refresh",
    ADOPTED: "policy",
}
"""The name in the policy's ``two_people`` under which each kind of act stands."""


@dataclass(slots=True, kw_only=True)
class Duties:
    """What governs after the entries that were folded in: actors, the policy's rules, and proposals that wait."""

    actors: dict[str, Actor] = field(default_factory=dict)
    policy: str | None = None
    two_people: frozenset[str] = frozenset()
    approvals: int = 1
    proposals: dict[str, frozenset[str]] = field(default_factory=dict)

    def need_two(self, kind: str, detail: Mapping[str, Any]) -> bool:
        """Whether an act of ``kind`` is left to no single person; a rule taken away never is."""
        if kind == ADOPTED and any(not detail.get(name) for name in self.two_people):
            return True
        return RULE_OF.get(kind) in self.two_people

    def proposers(self, kind: str, subject: Mapping[str, Any], detail: Mapping[str, Any]) -> frozenset[str]:
        """Who proposed exactly this act, is in force, and has a say in it."""
        named = self.proposals.get(act_digest(kind, subject, detail), frozenset())
        return frozenset(name for name in named - concerned(kind, subject) if self.actors[name].may(PROPOSED))

    def fold(self, entry: LedgerEntry) -> None:
        """Take in the next entry; kinds that do not govern are passed over."""
        note(self.actors, entry)
        if entry.kind == PROPOSED:
            act = entry.subject["act"]
            self.proposals[act] = self.proposals.get(act, frozenset()) | {entry.actor}
        elif entry.kind in RULE_OF:
            self.proposals.pop(act_digest(entry.kind, entry.subject, entry.detail), None)
        if entry.kind == ADOPTED:
            self.policy = entry.subject["policy"]
            self.two_people = frozenset(name for name in TWO_PEOPLE if entry.detail.get(name))
            self.approvals = entry.detail.get("approvals", 1)


def duties(entries: Iterable[LedgerEntry]) -> Duties:
    """What governs after ``entries``, which begin at the ledger's beginning; those that do not govern may lack."""
    found = Duties()
    for entry in entries:
        found.fold(entry)
    return found


def act_digest(kind: str, subject: Mapping[str, Any], detail: Mapping[str, Any]) -> str:
    """Digest of an act, which its proposal names."""
    return digest({"kind": kind, "subject": dict(subject), "detail": dict(detail)})


def concerned(kind: str, subject: Mapping[str, Any]) -> frozenset[str]:
    """Who has no say in an act."""
    return frozenset({str(subject["name"])}) if kind == "actor-revoked" else frozenset()


def breaches(entries: Iterable[LedgerEntry]) -> Iterator[Unsigned]:
    """Yield the entries that one person made where two were needed, or that approve or issue against the rules.

    Args:
        entries: in order, signatures and roles checked; all that govern must be there. Releases are judged when the
            entry that requested them is among ``entries``.
    """
    state = Duties()
    releases: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        reason = _alone(state, entry) or _released(state, releases, entry)
        if reason:
            yield Unsigned(index=entry.index, reason=reason)
        state.fold(entry)
        if "release" in entry.subject:
            releases.setdefault(entry.subject["release"], []).append(entry)


def _alone(state: Duties, entry: LedgerEntry) -> str:
    if entry.kind not in RULE_OF or not state.need_two(entry.kind, entry.detail):
        return ""
    if entry.actor in concerned(entry.kind, entry.subject):
        return "the one whom it concerns has no say in it"
    if state.proposers(entry.kind, entry.subject, entry.detail) - {entry.actor}:
        return ""
    return "the policy wants two people for it, and nobody else proposed it"


def _released(state: Duties, releases: Mapping[str, list[LedgerEntry]], entry: LedgerEntry) -> str:
    earlier = releases.get(str(entry.subject.get("release")), [])
    requests = [each for each in earlier if each.kind == "release-requested"]
    if not requests:
        return ""
    if entry.kind == "release-reviewed" and entry.actor in {each.actor for each in requests}:
        return "its approver is one of those who asked for the release"
    if entry.kind != "release-issued":
        return ""
    revoked = {each.name: each.revoked for each in state.actors.values() if each.revoked is not None}
    content = entry.subject["content"]
    now = standing(earlier, content, needed=state.approvals, revoked=revoked)
    # The same bytes may be handed out again; what counts is that they were approved once.
    if now.content == content and now.state in ("approved", "issued"):
        return ""
    return f"what it hands out had {now.approvals} of {now.needed} approvals by others, or was rejected or changed"
