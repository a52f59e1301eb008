"""``proctor policy``: the institution's rules, and their way into the ledger."""

from __future__ import annotations

import typer

from sandbox.commands import console
from sandbox.institution.workspace import default_home, open_workspace

policy_app = typer.Typer(help="The institution's rules: show and adopt them.", no_args_is_help=True)


@policy_app.command("show")
def show() -> None:
    """Show the policy's digest, what it leaves to no single person, and whether the ledger holds it.

    \b
      proctor policy show
      proctor --json policy show | jq .rules
    """
    from sandbox.evidence.separation import duties
    from sandbox.institution.policy import load_policy
    from sandbox.institution.workspace import open_ledger

    workspace = open_workspace(default_home())
    policy = load_policy(workspace.policy_path)
    with open_ledger(workspace) as ledger:
        adopted = duties(ledger.governing()).policy == policy.digest
    data = {
        "file": str(workspace.policy_path), "name": policy.name, "digest": policy.digest, "adopted": adopted,
        "two_people": list(policy.two_people), "approvals": policy.release.approvals, "rules": policy.document,
    }  # fmt: skip

    def human() -> None:
        console.line(f"{policy.name}: {data['file']}")
        console.line(f"Digest {policy.digest}, {'in the ledger' if adopted else 'not in the ledger yet'}")
        console.line(f"Two people: {', '.join(policy.two_people) or 'for nothing'}")
        console.line(f"Approvals of a release: {policy.release.approvals}")

    console.result(data, human)


@policy_app.command("adopt")
def adopt() -> None:
    """Enter the policy into the ledger as its file says it now.

    Whatever is done under a changed policy enters it by itself. Only a change that takes a rule of two people away, or
    any change where the policy says two_people: [policy], waits until two people gave this command: the first proposes
    (exit code 3), another confirms.

    \b
      proctor policy adopt --as ada
      proctor policy adopt
    """
    from sandbox.institution import two_people

    policy = two_people.adopt(open_workspace(default_home()))
    console.result(
        {"name": policy.name, "digest": policy.digest},
        lambda: console.line(f"The policy {policy.name} is in force: {policy.digest}"),
    )
