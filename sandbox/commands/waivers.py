"""``proctor waiver``: sign and list waivers of controls that an engine cannot give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.institution.workspace import default_home, open_workspace

waiver_app = typer.Typer(
    help="Controls that may be missing on one engine: named, signed, ending.", no_args_is_help=True
)
_DAYS = 90


@waiver_app.command("sign")
def sign(
    control: Annotated[str, typer.Argument(help="Name of the control, as proctor doctor lists it.")],
    reason: Annotated[str, typer.Option(help="Why it may be missing, for everybody who reads a report.")],
    approved_by: Annotated[str, typer.Option(help="The person who answers for it.")],
    engine: Annotated[
        str, typer.Option(help="The pair of engine and runtime that it is for, as proctor doctor names it.")
    ] = "Docker with runc",
    until: Annotated[
        str | None,
        typer.Option(help=f"Last day (YYYY-MM-DD), at most a year away; {_DAYS} days from now by default."),
    ] = None,
) -> None:
    """Sign a waiver as the one who acts, and put it into waivers.yaml beside the workspace's policy.

    \b
      proctor doctor                     lists what is missing, and for which engine
      proctor waiver sign tmp-inodes --engine "Podman with runc" --until 2027-01-31 \\
        --approved-by "Head of IT security" --reason "Podman cannot limit inodes; memory is limited."

    The waiver changes the policy's digest, so evaluations before and after it are told apart. Every run that it
    lets pass says so: in the posture, in the report and in the ledger. Controls that keep images in cannot be
    waived. A policy that names keys (isolation.waiver_keys) takes waivers of those keys only.
    """
    from sandbox.institution import waivers
    from sandbox.institution.policy import load_policy
    from sandbox.institution.workspace import acting

    workspace = open_workspace(default_home())
    policy = load_policy(workspace.policy_path)
    today = datetime.now(UTC).date()
    asked = waivers.asked_for(
        control=control,
        engine=engine,
        reason=reason,
        approved_by=approved_by,
        signed_on=today,
        until=until or (today + timedelta(days=_DAYS)).isoformat(),
    )
    signed = waivers.sign(asked, policy.name, acting(workspace).key, policy.own_pairs)
    path = waivers.add(workspace.policy_path, signed, policy.own_pairs)

    def human() -> None:
        console.line(
            f"Signed by {signed.signed_by}: {signed.control} may be missing on {signed.engine} until {signed.until}."
        )
        console.line(f"Written to {path}.")
        console.message("Next: proctor doctor")

    console.result({"file": str(path), **signed.model_dump(mode="json")}, human)


@waiver_app.command("list")
def list_(
    engine: Annotated[
        str, typer.Option(help="The pair of engine and runtime, as proctor doctor names it.")
    ] = "Docker with runc",
) -> int:
    """List all waivers of the policy and whether they count today; exit code 3 when one is false.

    \b
      proctor waiver list --engine "Podman with runc"
    """
    from sandbox.institution import waivers
    from sandbox.institution.policy import load_policy

    workspace = open_workspace(default_home())
    policy = load_policy(workspace.policy_path)
    judged = waivers.judge(
        policy, engine=engine, today=datetime.now(UTC).date(), actors=waivers.actor_keys(workspace)
    )
    data = waivers.as_data(judged)
    rows = [(row["control"], row["engine"], row["until"], row["state"], row["sentence"]) for row in data]
    console.result(data, lambda: console.table(["control", "engine", "until", "state", "what it says"], rows))
    return 3 if any(waivers.is_false(each) for each in judged) else 0
