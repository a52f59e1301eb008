"""``proctor doctor``: what is there, and whether a run would be allowed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.commands import console
from sandbox.commands.output_file import output_file
from sandbox.errors import UsageError
from sandbox.institution.workspace import DEFAULT_POLICY, Workspace, default_home, open_workspace

if TYPE_CHECKING:
    from sandbox.institution.examination import MachineExamination
    from sandbox.institution.policy import Policy

_WIDEST = 40


def doctor(
    measure_table: Annotated[
        str | None,
        typer.Option(metavar="RUNTIME", help="Measure a runtime that has no golden table, and write one."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where that table is written, for --measure-table.")
    ] = None,
) -> int:
    """Tell what is there: engine, versions, and the isolation that a probe container measures.

    Exit code 3 when a run would be refused here, with the reason, and 4 when there is no engine. Without a workspace,
    the default policy is used.

    \b
      proctor doctor
      proctor --json doctor | jq .problem
      proctor doctor --measure-table kata -o kata.yaml

    It also lists the engine's runtimes (those without a golden table are refused), known flaws, and waivers. A table
    that you measured lists what is missing under that runtime. Read it, name its file in the policy
    (engine.golden_table) with the runtime (engine.runtime), and sign a waiver for each row that you answer for.
    """
    from sandbox.institution.policy import load_policy

    if (measure_table is None) != (output is None):
        raise UsageError("--measure-table and --output belong together.")
    home = default_home()
    workspace = open_workspace(home) if (home / "workspace.json").exists() else None
    if workspace is None:
        console.message(
            f"There is no workspace in {home} (proctor init makes one); using the default policy."
        )
    policy = load_policy(workspace.policy_path if workspace else DEFAULT_POLICY)
    if measure_table is not None and output is not None:
        return _measure(policy, measure_table, output_file(output))
    return _examine(policy, workspace)


def _examine(policy: Policy, workspace: Workspace | None) -> int:
    from runners.errors import RunnerError
    from sandbox.institution import waivers
    from sandbox.institution.examination import examine_machine

    try:
        with console.progress("measuring the posture in a probe container"):
            found = examine_machine(policy, waivers.actor_keys(workspace) if workspace else ())
    except RunnerError as error:
        console.result({"allowed": False, "problem": str(error)}, lambda: None)
        raise
    console.result(found.data(), lambda: _show(found))
    return 3 if found.problem else 0


def _measure(policy: Policy, runtime: str, output: Path) -> int:
    from dataclasses import replace
    from datetime import UTC, datetime

    from runners.controls import waivable_controls
    from runners.engine import connect
    from sandbox.evidence.durable import write_durable
    from sandbox.institution.own_tables import measured_table, table_text

    posture = replace(policy.posture(datetime.now(UTC).date()), runtime=runtime)
    with connect(policy.engine.url) as engine, console.progress("measuring the posture in probe containers"):
        table, missing = measured_table(engine, runtime, posture=posture, limits=policy.container_limits())
    write_durable(output, table_text(table).encode())
    waivable = waivable_controls()
    never = [control.name for control in missing if not waivable[control.name]]

    def human() -> None:
        console.table(
            ["missing", "waiver possible", "against"],
            [(each.name, "yes" if waivable[each.name] else "NO", each.threat) for each in missing],
            title=f"{table.name}, measured on {table.tested}",
        )
        console.line(f"Written to {output}. Read it before a policy names it (engine.golden_table).")
        if never:
            console.line(f"No vendor's container can run there: no waiver covers {', '.join(never)}.")

    console.result(
        {
            "file": str(output),
            "table": table.name,
            "missing": [each.name for each in missing],
            "not waivable": never,
        },
        human,
    )
    return 3 if never else 0


def _show(found: MachineExamination) -> None:
    console.table(["fact", "value"], list(found.facts.items()), title="Machine")
    console.line("")
    console.table(
        ["control", "required", "held", "expected", "measured"],
        [
            (c.name, "yes" if c.required else "", "yes" if c.held else "NO", c.expected, _short(c.measured))
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
    _show_what_is_missing(found)


def _show_what_is_missing(found: MachineExamination) -> None:
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


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."
