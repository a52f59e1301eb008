"""``proctor actor``: who may do what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.evidence.kinds import ROLES, Role
from sandbox.institution.workspace import default_home, open_workspace

actor_app = typer.Typer(
    help="Who acts here: operator, custodian, approver, vendor, regulator, witness.", no_args_is_help=True
)


@actor_app.command("add")
def add(
    name: Annotated[
        str, typer.Argument(help="A short lower-case name; never used again once revoked.", metavar="NAME")
    ],
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(ROLES)}. May be given several times.")],
    public_key: Annotated[
        Path | None,
        typer.Option(help="File with a public key (PEM) whose private half stays elsewhere.", metavar="FILE"),
    ] = None,
) -> None:
    """Add a person, with a key that is made here or the public half of one that is not.

    \b
      proctor actor add ada --role approver
      proctor actor add grace --role approver --public-key grace.pub

    operator    runs evaluations, asks for releases and issues them
    custodian   answers for the reference standard: locks and retires hold-outs
    approver    reads what would leave, and approves or rejects it; never their own request
    vendor      registers claims, asks for releases
    regulator, witness   read, and countersign the ledger's head

    Where the policy wants two people (two_people: [actor]), the first command proposes (exit code 3) and the same
    command by another confirms: whoever adds approvers alone could approve alone.

    Act as somebody with --as NAME on any command, or PROCTOR_ACTOR. With a key kept elsewhere, name its file with
    PROCTOR_ACTOR_KEY. Make one with: openssl genpkey -algorithm ed25519 -out grace.pem
    and its public half with: openssl pkey -in grace.pem -pubout -out grace.pub
    """
    from sandbox.errors import UsageError
    from sandbox.institution import actors

    roles: list[Role] = []
    for given in role:
        if given not in ROLES:
            raise UsageError(f"{given!r} is not a role. Roles: {', '.join(ROLES)}.")
        roles.append(given)
    text = _public_text(public_key) if public_key is not None else None
    workspace = open_workspace(default_home())
    actor = actors.add(workspace, name, roles, public=text)
    console.result(
        {"name": actor.name, "roles": list(actor.roles), "entry": actor.added},
        lambda: console.line(f"{actor.name} added as {', '.join(actor.roles)} (ledger entry {actor.added})."),
    )


@actor_app.command("list")
def list_() -> None:
    """List the actors, revoked ones too.

    \b
      proctor actor list
    """
    from sandbox.institution import actors

    workspace = open_workspace(default_home())
    known = actors.actors(workspace)
    data = [
        {"name": actor.name, "roles": list(actor.roles), "since": actor.since, "revoked": actor.until,
         "key_kept_here": actors.kept_here(workspace, actor), "acting": actor.name == workspace.actor}
        for actor in known
    ]  # fmt: skip
    console.result(
        data,
        lambda: console.table(
            ["actor", "roles", "since (UTC)", "revoked (UTC)", "key", ""],
            [
                (
                    row["name"], ", ".join(actor.roles), row["since"], row["revoked"] or "",
                    "kept here" if row["key_kept_here"] else "elsewhere", "acting now" if row["acting"] else "",
                )
                for actor, row in zip(known, data, strict=True)
            ],
        ),
    )  # fmt: skip


@actor_app.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="An actor in force.")]) -> None:
    """Revoke a person: nothing they sign from now on counts; what they signed before stays.

    Their approvals of releases that were not issued yet no longer count; their rejections do.

    \b
      proctor actor revoke ada
    """
    from sandbox.institution import actors

    actor = actors.revoke(open_workspace(default_home()), name)
    console.result(
        {"name": actor.name, "entry": actor.revoked},
        lambda: console.line(f"{actor.name} revoked (ledger entry {actor.revoked})."),
    )


def _public_text(path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    from sandbox.errors import UsageError
    from sandbox.evidence.encoding import encode_base64

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} does not hold a public key in PEM. Make it with: openssl pkey -in KEY.pem -pubout"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} holds a key of another kind; actors sign with Ed25519.")
    return encode_base64(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
