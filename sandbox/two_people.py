"""Acts that the policy leaves to no single person: one proposes, another confirms by the same command.

A proposal is an entry ``act-proposed`` with the digest of the act: its kind and all that its entry would say. The act
is entered when somebody who may do it says the same after another person in force. So the ledger shows both, and
whoever reads an act can compute the digest of its proposal. One who is to be revoked has no say in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sandbox.canonical import digest
from sandbox.errors import ActorError
from sandbox.evidence.ledger import Ledger
from sandbox.policy import load_policy
from sandbox.workspace import Workspace, entry

ActKind = Literal["actor-added", "actor-revoked", "holdout-retired"]
PROPOSED = "act-proposed"
_NAMED = ("name", "holdout", "version")


def need_two(workspace: Workspace, kind: ActKind) -> bool:
    """Whether the policy leaves acts of this kind to no single person."""
    rules = load_policy(workspace.policy_path).two_people
    return ("retire" if kind == "holdout-retired" else "actor") in rules


def check_may_take_part(workspace: Workspace, ledger: Ledger, kind: ActKind) -> None:
    """Let pass who may do the act, or propose it where the policy wants two people.

    Raises:
        ActorError: the actor's roles allow neither.
    """
    ledger.require(PROPOSED if need_two(workspace, kind) else kind)


def enter_act(
    workspace: Workspace,
    ledger: Ledger,
    kind: ActKind,
    subject: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Enter an act into the ledger, or its proposal where the policy wants two people and only one has said so.

    Raises:
        ActorError: the act waits for another person; the proposal is in the ledger and nothing else changed.
    """
    act = entry(kind, subject=subject, detail=detail)
    if not need_two(workspace, kind):
        ledger.append(act)
        return
    me = ledger.require(PROPOSED)
    known = ledger.actors()
    said = digest({"kind": kind, "subject": act["subject"], "detail": act["detail"]})
    proposers = {each.actor for each in ledger.find(kind=PROPOSED, act=said)}
    concerned = {subject["name"]} if kind == "actor-revoked" else set()
    others = {name for name in proposers - concerned - {me.name} if known[name].may(PROPOSED)}
    if others and me.may(kind) and me.name not in concerned:
        ledger.append(act)
        return
    if me.name not in proposers:
        named = {name: value for name, value in subject.items() if name in _NAMED}
        ledger.append(entry(PROPOSED, subject={"act": said, "proposed": kind, **named}))
    who = "another operator, custodian or approver" if me.may(kind) else "one whose role allows it"
    raise ActorError(
        f"The policy wants two people for this (two_people). The proposal of {me.name} is in the ledger, and nothing "
        f"else changed. Next, {who} gives the same command with --as NAME."
    )
