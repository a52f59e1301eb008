"""The people who act in a workspace: adding and revoking them, and asking early whether one may act.

A key is made here and kept in ``keys/actors``, or made elsewhere and only its public half handed in: then nobody
with access to this machine can act as that person. An approver whose key lies beside the operator's is separated
from the operator by discipline alone; the listing says which keys are kept here.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.errors import UsageError
from sandbox.evidence.actors import Actor
from sandbox.evidence.encoding import decode_base64, encode_base64
from sandbox.evidence.keys import KEY_SIZE, generate_signing_key, load_signing_key
from sandbox.evidence.kinds import Role
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.separation import PROPOSED
from sandbox.institution.two_people import check_may_take_part, enter_act
from sandbox.institution.workspace import Workspace, checked_name, open_ledger
from sandbox.release.alone import releases_alone


def add(workspace: Workspace, name: str, roles: Sequence[Role], *, public: str | None = None) -> Actor:
    """Add an actor and enter it into the ledger.

    Args:
        public: base64 of the 32 bytes of an Ed25519 public key whose private half stays elsewhere; a key is made
            and kept in the workspace when None.

    Raises:
        UsageError: the name is taken or was taken before, or there is no role.
        ActorError: who acts may not add actors, or the policy wants a second person.
        NoteError: ``public`` is not such a key.
    """
    checked_name(name)
    if not roles:
        raise UsageError("An actor needs at least one role. See: proctor actor add --help")
    with open_ledger(workspace) as ledger:
        check_may_take_part(workspace, ledger, "actor-added")
        if name in ledger.actors():
            raise UsageError(f"{name!r} is, or was, an actor of this workspace. A name is never used again.")
        key = _public_key(workspace, ledger, name) if public is None else public.strip()
        decode_base64(key, what="the public key", size=KEY_SIZE)
        given = {str(role): True for role in roles}
        enter_act(workspace, ledger, "actor-added", {"name": name, "key": key}, given)
        return ledger.actors()[name]


def revoke(workspace: Workspace, name: str) -> Actor:
    """Revoke an actor: what it signs from now on does not count.

    Raises:
        UsageError: there is no such actor, it is revoked already, or nobody would be left to add actors.
        ActorError: who acts may not revoke actors, or the policy wants a second person.
    """
    with releases_alone(workspace), open_ledger(workspace) as ledger:
        check_may_take_part(workspace, ledger, "actor-revoked")
        known = ledger.actors()
        if name not in known or known[name].revoked is not None:
            raise UsageError(f"{name!r} is not an actor in force. See: proctor actor list")
        if not any(actor.may("actor-added") for actor in known.values() if actor.name != name):
            raise UsageError(
                f"{name!r} is the last one who may add actors. Add another operator or custodian first."
            )
        enter_act(workspace, ledger, "actor-revoked", {"name": name})
        return ledger.actors()[name]


def actors(workspace: Workspace) -> tuple[Actor, ...]:
    """All actors, in the order in which they were added."""
    with open_ledger(workspace) as ledger:
        return tuple(ledger.actors().values())


def kept_here(workspace: Workspace, actor: Actor) -> bool:
    """Whether the actor's private key lies in the workspace."""
    return (workspace.home / "keys" / "actors" / f"{actor.name}.pem").exists()


def _public_key(workspace: Workspace, ledger: Ledger, name: str) -> str:
    path = workspace.home / "keys" / "actors" / f"{name}.pem"
    if path.exists() and ledger.find(kind=PROPOSED, name=name):
        # Whoever confirms a proposal confirms the key that it named.
        return encode_base64(load_signing_key(path, name).verifier.public)
    # A key that was made by an add that was killed before its entry belongs to nobody.
    path.unlink(missing_ok=True)
    return encode_base64(generate_signing_key(path, name).verifier.public)
