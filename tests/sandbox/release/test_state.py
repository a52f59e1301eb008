"""Where a release stands follows from the ledger and the bytes on disk, whatever order things come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.evidence.entry import LedgerEntry
from sandbox.release.state import standing

A, B = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32
TIME = "2026-01-01T00:00:00Z"


def entry(index, kind, actor, content=A, decision=None):
    return LedgerEntry(
        index=index,
        kind=f"release-{kind}",
        time=TIME,
        actor=actor,
        subject={"release": "r-1", "evaluation": "e-1", "content": content},
        detail={} if decision is None else {"decision": decision},
        raw=b"",
    )


def story(*steps):
    return [entry(index, *step) for index, step in enumerate(steps)]


REQUEST = ("requested", "otto")
ADA, BEA = ("reviewed", "ada", A, "approve"), ("reviewed", "bea", A, "approve")


@pytest.mark.parametrize(
    ("steps", "on_disk", "state"),
    [
        ([REQUEST], A, "requested"),
        ([REQUEST, ADA], A, "requested"),
        ([REQUEST, ADA, ADA], A, "requested"),
        ([REQUEST, ADA, BEA], A, "approved"),
        ([REQUEST, ADA, ("reviewed", "bea", A, "reject")], A, "rejected"),
        ([REQUEST, ("reviewed", "ada", A, "reject"), ADA, BEA], A, "approved"),
        ([REQUEST, ADA, BEA], B, "changed"),
        ([REQUEST, ADA, BEA], None, "changed"),
        ([REQUEST, ADA, BEA, ("requested", "otto", B)], B, "requested"),
        ([REQUEST, ADA, BEA, ("requested", "otto", B), REQUEST], A, "requested"),
        ([REQUEST, ADA, ("reviewed", "otto", A, "approve")], A, "requested"),
        ([REQUEST, ADA, BEA, ("issued", "otto")], A, "issued"),
        ([REQUEST, ADA, BEA, ("issued", "otto")], B, "issued"),
        ([REQUEST, ADA, BEA, ("issued", "otto"), ("requested", "otto", B)], B, "requested"),
    ],
)
def test_the_state_of_a_release(steps, on_disk, state):
    assert standing(story(*steps), on_disk, needed=2, revoked={}).state == state


@pytest.mark.parametrize(
    ("steps", "revoked", "state"),
    [
        ([REQUEST, ADA, BEA], {"ada": 3}, "requested"),
        ([REQUEST, ADA, BEA, ("reviewed", "cleo", A, "approve")], {"ada": 4}, "approved"),
        ([REQUEST, ("reviewed", "ada", A, "reject"), BEA], {"ada": 3}, "rejected"),
        ([REQUEST, ADA, BEA, ("issued", "otto")], {"ada": 4}, "issued"),
    ],
)
def test_an_approval_ends_with_its_approver_and_a_rejection_does_not(steps, revoked, state):
    assert standing(story(*steps), A, needed=2, revoked=revoked).state == state


def test_what_was_issued_keeps_the_approvals_that_it_had():
    steps = [REQUEST, ADA, BEA, ("issued", "otto")]
    assert standing(story(*steps), A, needed=2, revoked={"ada": 4}).approvals == 2


def test_whoever_asked_in_an_earlier_form_does_not_judge():
    steps = [
        REQUEST,
        ("requested", "ada", B),
        ("reviewed", "otto", B, "approve"),
        ("reviewed", "bea", B, "approve"),
    ]
    assert standing(story(*steps), B, needed=2, revoked={}).approvals == 1


people = st.sampled_from(["otto", "ada", "bea", "cyd"])
contents = st.sampled_from([A, B])
steps = st.one_of(
    st.tuples(st.just("requested"), people, contents),
    st.tuples(st.just("reviewed"), people, contents, st.sampled_from(["approve", "reject"])),
)


@given(st.lists(steps, max_size=12), contents, st.integers(1, 3))
def test_what_is_approved_was_approved_by_enough_others_in_exactly_these_bytes(later, on_disk, needed):
    entries = story(REQUEST, *later)
    found = standing(entries, on_disk, needed=needed, revoked={})
    if found.state != "approved":
        return
    last = max(each.index for each in entries if each.kind == "release-requested")
    authors = {each.actor for each in entries if each.kind == "release-requested"}
    assert found.content == on_disk == entries[last].subject["content"]
    approvers = {
        each.actor
        for each in entries
        if each.kind == "release-reviewed" and each.index > last and each.subject["content"] == on_disk
    }
    assert len(approvers - authors) >= needed
