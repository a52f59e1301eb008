"""``proctor init`` and ``proctor doctor``."""

from __future__ import annotations

from sandbox.commands import console
from sandbox.workspace import create, default_home, open_workspace


def init() -> None:
    """Make a workspace in PROCTOR_HOME: keys, default policy, empty ledger.

    \b
      export PROCTOR_HOME=/srv/proctor
      proctor init

    Back up the folder keys/: without keyring.json a locked hold-out can no longer be scored, and whoever holds
    ledger.pem can sign a ledger in the institution's name. Give keys/ledger.vkey to the regulator.
    """
    workspace = create(default_home())
    data = {"home": str(workspace.home), "origin": workspace.origin, "verifier_key": workspace.verifier_key}

    def human() -> None:
        console.line(f"Workspace made in {workspace.home}.")
        console.line(f"Verifier key, for everyone who will check its evidence: {workspace.verifier_key}")
        console.message("Next: proctor doctor")

    console.result(data, human)


def doctor() -> int:
    """Tell what is there: engine, versions, and the isolation that a probe container measures.

    Exit code 3 when a run would be refused here, with the reason, and 4 when there is no engine. Without a workspace,
    the default policy is used.

    \b
      proctor doctor
      proctor --json doctor | jq .problem

    It also lists the engine's runtimes (those without a golden table are refused), known flaws, and waivers.
    """
    from runners.errors import RunnerError
    from sandbox import waivers
    from sandbox.examination import examine_machine
    from sandbox.policy import load_policy
    from sandbox.workspace import DEFAULT_POLICY

    home = default_home()
    workspace = open_workspace(home) if (home / "workspace.json").exists() else None
    if workspace is None:
        console.message(
            f"There is no workspace in {home} (proctor init makes one); using the default policy."
        )
    policy = load_policy(workspace.policy_path if workspace else DEFAULT_POLICY)
    try:
        with console.progress("measuring the posture in a probe container"):
            found = examine_machine(policy, waivers.actor_keys(workspace) if workspace else ())
    except RunnerError as error:
        console.result({"allowed": False, "problem": str(error)}, lambda: None)
        raise

    def human() -> None:
        console.table(["fact", "value"], list(found.facts.items()), title="Machine")
        console.line("")
        console.table(
            ["control", "required", "held", "expected", "measured"],
            [
                (
                    c.name,
                    "yes" if c.required else "",
                    "yes" if c.held else "NO",
                    c.expected,
                    _short(c.measured),
                )
                for c in found.posture.controls
            ],
            title="Posture, measured inside a container under the flags of a run",
        )
        console.line("")
        console.table(
            ["flaw", "component", "version", "here", "what Proctor does about it"],
            [
                (f.cve, f.component, f.version, "OPEN" if f.open else f.status, f.proctor)
                for f in found.flaws
                if f.status != "fixed"
            ],
            title="Known flaws of the versions here (below: repaired later, or by a backport that the policy declares)",
        )
        console.line("")
        console.table(
            ["runtime", "program", "golden table"],
            [
                (
                    r.name,
                    r.program,
                    f"{r.table.name}, measured on {r.table.tested}" if r.table else "none: refused",
                )
                for r in found.runtimes
            ],
            title="Runtimes that this engine offers",
        )
        console.line("")
        for measured in found.variants:
            missing = ", ".join(c.name for c in measured.missing) or "nothing"
            console.line(
                f"Containers of the kind {measured.variant}: {len(measured.controls)} controls, missing {missing}."
            )
        for control in found.posture.controls:
            if control.note:
                console.line(f"{control.name} on {found.posture.table}: {control.note}")
        for judged in found.waivers:
            if judged.state == "in force":
                console.line(f"WAIVED: {judged.waiver.control}, by {judged.sentence}")
            else:
                console.line(judged.sentence)
        console.line(f"Still visible to a container: {', '.join(found.posture.visible)}.")
        for gap in found.posture.gaps:
            console.line(f"known gap, not required by the policy: {gap.name} (against {gap.threat})")
        if found.problem:
            console.line(f"A run would be REFUSED here. {found.problem}")
        else:
            console.line("A run would be allowed here.")

    console.result(found.data(), human)
    return 3 if found.problem else 0


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
