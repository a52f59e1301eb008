"""Acts that the policy leaves to no single person, and the policy's own way into the ledger.

One proposes an act, another confirms it by the same command; :mod:`sandbox.evidence.separation` says what counts, and
checks the same of any ledger. The rules themselves stand in the ledger: the policy that is found in its file is entered
when it differs from the last one, and a policy that takes such a rule away waits for two people first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sandbox.errors import ActorError
from sandbox.evidence.kinds import TWO_PEOPLE
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.separation import ADOPTED, PROPOSED, act_digest, concerned, duties
from sandbox.institution.policy import Policy, load_policy
from sandbox.institution.workspace import Workspace, entry, open_ledger

ActKind = Literal["actor-added", "actor-revoked", "holdout-retired", "holdout-refreshed"]
_NAMED = ("name", "holdout", "version", "policy")


def govern(workspace: Workspace, ledger: Ledger) -> Policy:
    """The policy in force; it is entered into the ledger when it is another than the last one there.

    Raises:
        ActorError: it takes a rule of two people away, or the rules say that changing it needs two.
        PolicyError: its file has mistakes.
    """
    policy = load_policy(workspace.policy_path)
    state = duties(ledger.governing())
    if state.policy == policy.digest:
        return policy
    subject, detail = _adoption(policy)
    if state.need_two(ADOPTED, detail):
        raise ActorError(
            f"{workspace.policy_path} was changed since it was adopted, and this change needs two people "
            f"({_taken_away(state.two_people, policy)}). Until then nothing is done under it. Each of the two gives: "
            "proctor policy adopt --as NAME"
        )
    ledger.append(entry(ADOPTED, subject=subject, detail=detail))
    return policy


def adopt(workspace: Workspace) -> Policy:
    """Enter the policy as its file says it, or its proposal where that needs a second person.

    Raises:
        ActorError: the act waits for another person; the proposal is in the ledger.
    """
    policy = load_policy(workspace.policy_path)
    subject, detail = _adoption(policy)
    with open_ledger(workspace) as ledger:
        if duties(ledger.governing()).policy != policy.digest:
            _enter(ledger, ADOPTED, subject, detail)
    return policy


def check_may_take_part(workspace: Workspace, ledger: Ledger, kind: ActKind) -> None:
    """Let pass who may do the act, or propose it where the policy wants two people.

    Raises:
        ActorError: the actor's roles allow neither.
    """
    govern(workspace, ledger)
    ledger.require(PROPOSED if duties(ledger.governing()).need_two(kind, {}) else kind)


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
    govern(workspace, ledger)
    _enter(ledger, kind, subject, detail or {})


def _enter(ledger: Ledger, kind: str, subject: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
    act = entry(kind, subject=subject, detail=detail)
    state = duties(ledger.governing())
    if not state.need_two(kind, detail):
        ledger.append(act)
        return
    me = ledger.require(PROPOSED)
    proposers = state.proposers(kind, subject, detail)
    mine = me.may(kind) and me.name not in concerned(kind, subject)
    if proposers - {me.name} and mine:
        ledger.append(act)
        return
    said = act_digest(kind, subject, detail)
    if me.name not in state.proposals.get(said, frozenset()):
        named = {name: value for name, value in subject.items() if name in _NAMED}
        ledger.append(entry(PROPOSED, subject={"act": said, "proposed": kind, **named}))
    who = "another operator, custodian or approver" if me.may(kind) else "one whose role allows it"
    raise ActorError(
        f"The policy wants two people for this (two_people). The proposal of {me.name} is in the ledger, and nothing "
        f"else changed. Next, {who} gives the same command with --as NAME."
    )


def _adoption(policy: Policy) -> tuple[dict[str, Any], dict[str, Any]]:
    detail: dict[str, Any] = {name: name in policy.two_people for name in TWO_PEOPLE}
    detail["approvals"] = policy.release.approvals
    return {"policy": policy.digest, "name": policy.name}, detail


def _taken_away(rules: frozenset[str], policy: Policy) -> str:
    gone = sorted(rules - set(policy.two_people))
    return f"it takes away two_people: {', '.join(gone)}" if gone else "two_people: policy"
