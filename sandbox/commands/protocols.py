"""``proctor protocol``: check an analysis plan, and register it before the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.errors import UsageError
from sandbox.institution.workspace import default_home, open_workspace
from sandbox.plan import protocols
from sandbox.plan.protocol import Protocol, load_protocol

protocol_app = typer.Typer(help="Check and register the analysis plan.", no_args_is_help=True)

_File = Annotated[Path, typer.Argument(help="The protocol, a YAML file.", metavar="PROTOCOL.yaml")]


@protocol_app.command("check")
def check(
    path: _File,
    holdout: Annotated[str | None, typer.Option(help="Also check it against this locked hold-out.")] = None,
) -> None:
    """Check a protocol: unknown keys and impossible values are errors that name the line.

    What a stress suite has that does not fit the task is named: it is left out.

    With --holdout: every attribute and stratum that it names must exist there, with cases of both classes.

    \b
      proctor protocol check PROTOCOL.yaml
      proctor protocol check PROTOCOL.yaml --holdout cxr
    """
    protocol = load_protocol(_existing(path))
    if holdout is not None:
        from sandbox.custody import holdouts

        workspace = open_workspace(default_home())
        locked = holdouts.open_holdout(workspace, holdout)
        reference = holdouts.look_at_reference(workspace, locked, "protocol-check")
        holdouts.check_protocol(locked, protocol, reference)
    _tell_left_out(protocol)
    console.result(
        {"name": protocol.name, "digest": protocol.digest, "valid": True, **_left_out(protocol)},
        lambda: console.line(f"{path} is a valid protocol: {protocol.name}, {protocol.digest}"),
    )


@protocol_app.command("register")
def register(path: _File) -> None:
    """Put a protocol into the ledger. Only a registered protocol can govern an evaluation.

    A changed file is another protocol with another digest; the registered one stays as it is.

    Its section `release` says by which mechanism its evaluations answer a vendor (claim, thresholdout, ladder, full)
    and with which parameters; without it the policy's default holds. What the policy does not allow is refused here.

    \b
      release: {mechanism: ladder, ladder: {step: "0.02"}}

    \b
      proctor protocol register PROTOCOL.yaml
    """
    item = protocols.register(open_workspace(default_home()), _existing(path))
    _tell_left_out(item.protocol)
    console.result(
        {
            "name": item.protocol.name,
            "digest": item.digest,
            "registered": item.registered,
            "entry": item.ledger_index,
            **_left_out(item.protocol),
        },
        lambda: console.line(
            f"Registered {item.protocol.name} as {item.digest} (ledger entry {item.ledger_index})."
        ),
    )


@protocol_app.command("list")
def list_() -> None:
    """List the registered protocols, oldest first.

    \b
      proctor protocol list
    """
    known = protocols.protocols(open_workspace(default_home()))
    console.result(
        [{"name": i.protocol.name, "digest": i.digest, "registered": i.registered} for i in known],
        lambda: console.table(
            ["name", "digest", "registered (UTC)", "entry"],
            [(i.protocol.name, i.digest[:23], i.registered, i.ledger_index) for i in known],
        ),
    )


def _left_out(protocol: Protocol) -> dict[str, list[str]]:
    left_out = () if protocol.stress is None else protocol.stress.left_out
    return {"stress_left_out": list(left_out)} if left_out else {}


def _tell_left_out(protocol: Protocol) -> None:
    stress = protocol.stress
    if stress is not None and stress.left_out:
        console.message(
            f"NOT ASKED: {len(stress.left_out)} of {len(stress.left_out) + len(stress.tests)} perturbations of the "
            f"suite {stress.suite} do not fit {protocol.task.kind} (they move or cover what the truth marks, or are "
            f"judged by a score about a yes or no): {', '.join(stress.left_out)}."
        )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"{path} is not a file. Give the protocol, a YAML file.")
    return path
