"""Where a release stands, derived from the ledger and from the bytes that lie in its folder.

    requested   its bytes wait for reviews
    approved    as many approvers as the policy asks for approved exactly these bytes, and none rejected them
    rejected    an approver rejected these bytes; a changed request begins again
    issued      these bytes were handed out
    changed     the bytes in the folder are not the ones that were requested: no review counts any more

Reviews are bound to the digest of the bytes. Whatever changes afterwards, reviews of other bytes do not count.

An approval counts only if its approver is still in force when the bytes are issued: who was revoked may have lost the
key, or the trust, before anybody knew. A rejection stays, so that revoking an approver never lets something out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.evidence.entry import LedgerEntry

State = Literal["requested", "approved", "rejected", "issued", "changed"]
Decision = Literal["approve", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One approver's decision on the bytes with the digest ``content``."""

    actor: str
    decision: Decision
    content: str
    entry: int
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one release stands.

    Attributes:
        content: digest of the bytes that were requested last.
        author: who requested them; never among those whose review counts.
        reviews: the reviews that count, each approver's last one.
        needed: how many approvals the policy asks for.
    """

    release: str
    evaluation: str
    state: State
    content: str
    author: str
    requested: str
    reviews: tuple[Review, ...]
    needed: int

    @property
    def approvals(self) -> int:
        """How many approved."""
        return sum(review.decision == "approve" for review in self.reviews)


def standing(
    entries: Sequence[LedgerEntry], on_disk: str | None, *, needed: int, revoked: Mapping[str, int]
) -> Standing:
    """Derive the state of one release.

    Args:
        entries: the ledger's entries on this release, in order; the first is its request.
        on_disk: digest of the bytes that lie in its folder, None when they are missing.
        needed: approvals that the policy asks for.
        revoked: index of the entry that revoked an actor, by name.
    """
    request = [each for each in entries if each.kind == "release-requested"][-1]
    content = request.subject["content"]
    last: dict[str, Review] = {}
    authors = {each.actor for each in entries if each.kind == "release-requested"}
    for each in entries:
        if (
            each.kind != "release-reviewed"
            or each.subject["content"] != content
            or each.index < request.index
        ):
            continue
        # Whoever asked for this release, in whichever of its forms, does not judge it.
        if each.actor not in authors:
            last[each.actor] = Review(
                actor=each.actor,
                decision=each.detail["decision"],
                content=content,
                entry=each.index,
                time=each.time,
            )
    issues = [e.index for e in entries if e.kind == "release-issued" and e.subject["content"] == content]
    reviews = tuple(
        each
        for each in last.values()
        if each.decision == "reject"
        or each.actor not in revoked
        or (issues and issues[0] < revoked[each.actor])
    )
    return Standing(
        release=request.subject["release"],
        evaluation=request.subject["evaluation"],
        state=_state(reviews, needed, issued=bool(issues), whole=on_disk == content),
        content=content,
        author=request.actor,
        requested=request.time,
        reviews=reviews,
        needed=needed,
    )


def _state(reviews: Sequence[Review], needed: int, *, issued: bool, whole: bool) -> State:
    if issued:
        return "issued"
    if not whole:
        return "changed"
    if any(review.decision == "reject" for review in reviews):
        return "rejected"
    return "approved" if len(reviews) >= needed else "requested"
