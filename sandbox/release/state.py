"""Where a release stands, derived from the ledger and from the bytes that lie in its folder.

    requested   its bytes wait for reviews
    approved    as many approvers as the policy asks for approved exactly these bytes, and none rejected them
    rejected    an approver rejected these bytes; a changed request begins again
    issued      these bytes were handed out
    changed     the bytes in the folder are not the ones that were requested: no review counts any more

Reviews are bound to the digest of the bytes. Whatever changes afterwards, reviews of other bytes do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def standing(entries: Sequence[LedgerEntry], on_disk: str | None, *, needed: int) -> Standing:
    """Derive the state of one release.

    Args:
        entries: the ledger's entries on this release, in order; the first is its request.
        on_disk: digest of the bytes that lie in its folder, None when they are missing.
        needed: approvals that the policy asks for.
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
    reviews = tuple(last.values())
    issued = any(each.kind == "release-issued" and each.subject["content"] == content for each in entries)
    return Standing(
        release=request.subject["release"],
        evaluation=request.subject["evaluation"],
        state=_state(reviews, needed, issued=issued, whole=on_disk == content),
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
