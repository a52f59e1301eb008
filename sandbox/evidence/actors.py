"""Who acts: names, keys and roles as the ledger itself states them, and who may sign which kind of entry.

The register of actors is not a file that somebody keeps: it is what the entries ``actor-added`` and
``actor-revoked`` say, read in order. An entry counts as an actor's when its signature holds under the key that
the ledger gave to that name before it, the actor was not revoked, and one of its roles may sign that kind.

The first actor of a ledger vouches for itself; it can only be the one who made the workspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.errors import ActorError, EvidenceError
from sandbox.evidence.encoding import decode_base64, encode_base64
from sandbox.evidence.entry import LedgerEntry, to_sign
from sandbox.evidence.keys import SIGNATURE_SIZE, SigningKey, VerifierKey
from sandbox.evidence.kinds import KINDS, ROLES, Role

_EVERYONE = frozenset(ROLES)
_HOUSE: frozenset[Role] = frozenset({"operator", "custodian"})
_REVIEW: frozenset[Role] = frozenset({"approver"})

MAY_SIGN: Mapping[str, frozenset[Role]] = {
    **dict.fromkeys(KINDS, frozenset[Role]({"operator"})),
    # Whoever opens the page or reads the log is told of, whatever the role.
    **dict.fromkeys(("report-viewed", "seen", "ledger-read", "dossier-made", "report-made"), _EVERYONE),
    "exported": _EVERYONE,
    # The custodian answers for the reference standard: what opens, changes or ends it needs that role.
    "holdout-locked": frozenset({"custodian"}),
    "holdout-retired": frozenset({"custodian"}),
    **dict.fromkeys(("holdout-verified", "holdout-accessed", "reference-opened"), _HOUSE),
    **dict.fromkeys(("actor-added", "actor-revoked"), _HOUSE),
    # An approver's word keeps an operator from adding approvers alone.
    "act-proposed": _HOUSE | _REVIEW,
    # It says which policy was found in force, whoever comes upon it first.
    "policy-adopted": _HOUSE | _REVIEW,
    "holdout-refreshed": frozenset({"custodian"}),
    "waiver-granted": frozenset({"operator", "approver"}),
    # A release leaves only when people other than its author have read it.
    "release-reviewed": _REVIEW,
    "release-viewed": frozenset({"operator", "custodian", "approver"}),
    "release-requested": frozenset({"operator", "vendor"}),
    "mechanism-answered": frozenset({"operator", "vendor"}),
    "claim-registered": frozenset({"operator", "vendor"}),
    "checkpoint-witnessed": frozenset({"witness", "regulator"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One actor of a ledger.

    Attributes:
        public: the 32 bytes of its Ed25519 key (RFC 8032).
        added, revoked: index and time of the entries that say so; None while it is not revoked.
    """

    name: str
    roles: tuple[Role, ...]
    public: bytes
    added: int
    since: str
    revoked: int | None = None
    until: str | None = None

    def may(self, kind: str) -> bool:
        """Whether one of its roles may sign an entry of ``kind``."""
        return self.revoked is None and not MAY_SIGN.get(kind, frozenset()).isdisjoint(self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """The actor on whose behalf this process writes, with the key that proves it."""

    name: str
    key: SigningKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """An entry that does not count as its actor's, and why."""

    index: int
    reason: str


def check_may(actor: Actor, kind: str) -> None:
    """Let pass what a role of ``actor`` allows.

    Raises:
        ActorError: it was revoked, or none of its roles may do this.
    """
    if actor.revoked is not None:
        raise ActorError(f"{actor.name} was revoked on {actor.until}. Act as another actor with --as NAME.")
    if not actor.may(kind):
        needed = " or ".join(sorted(MAY_SIGN.get(kind, frozenset()))) or "no role"
        raise ActorError(
            f"{actor.name} ({', '.join(actor.roles)}) may not do this: an entry {kind} needs the role {needed}. "
            "Act as another actor with --as NAME; see: proctor actor list"
        )


def register(entries: Iterable[LedgerEntry]) -> dict[str, Actor]:
    """Actors by name, as the entries of one ledger state them; other kinds are passed over.

    Raises:
        EvidenceError: a name is added twice, or one is revoked that was never added.
    """
    actors: dict[str, Actor] = {}
    for entry in entries:
        note(actors, entry)
    return actors


def unsigned(entries: Iterable[LedgerEntry]) -> Iterator[Unsigned]:
    """Yield the entries that do not count as their actor's.

    Args:
        entries: in order; from the beginning, or with the entries on actors that the others rest on.
    """
    actors: dict[str, Actor] = {}
    waiting: list[LedgerEntry] = []
    for entry in entries:
        if not actors and entry.kind != "actor-added":
            # Only the workspace's creation comes before its first actor, who signs for it.
            waiting.append(entry)
            continue
        first = not actors
        if first:
            note(actors, entry)
        for each in (*waiting, entry):
            reason = _fault(actors, each)
            if reason:
                yield Unsigned(index=each.index, reason=reason)
        waiting.clear()
        if not first:
            note(actors, entry)
    yield from (Unsigned(index=each.index, reason="no actor was ever added") for each in waiting)


def note(actors: dict[str, Actor], entry: LedgerEntry) -> None:
    """Take what ``entry`` says of an actor into ``actors``; other kinds say nothing of one.

    Raises:
        EvidenceError: a name is added twice, or one is revoked that was never added.
    """
    name = str(entry.subject.get("name", ""))
    if entry.kind == "actor-added":
        if name in actors:
            raise EvidenceError(f"ledger entry {entry.index} adds an actor whose name is taken")
        actors[name] = Actor(
            name=name,
            roles=tuple(role for role in ROLES if entry.detail.get(role)),
            public=decode_base64(entry.subject["key"], what="an actor's key", size=32),
            added=entry.index,
            since=entry.time,
        )
    elif entry.kind == "actor-revoked":
        if name not in actors or actors[name].revoked is not None:
            raise EvidenceError(f"ledger entry {entry.index} revokes an actor that is not there")
        actors[name] = replace(actors[name], revoked=entry.index, until=entry.time)


def _fault(actors: Mapping[str, Actor], entry: LedgerEntry) -> str:
    actor = actors.get(entry.actor)
    if actor is None:
        return "its actor was not added before"
    if entry.signature is None:
        return "it is not signed"
    signature = decode_base64(entry.signature, what="an entry's signature", size=SIGNATURE_SIZE)
    if not VerifierKey(name=actor.name, public=actor.public).holds(entry.signed, signature):
        return "its signature is not its actor's"
    if actor.revoked is not None:
        return "its actor was revoked before"
    if not actor.may(entry.kind):
        return "its actor has no role that may sign it"
    return ""


def sign_entry(entry: Mapping[str, Any], acting: Acting) -> dict[str, Any]:
    """``entry`` as done and signed by ``acting``."""
    done = {**entry, "actor": acting.name}
    return {**done, "signature": encode_base64(acting.key.sign(to_sign(done)))}
