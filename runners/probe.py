"""The measured posture: what a container can really do here, compared with what a run requires.

A small static program (``probe/probe.c``) runs in a throw-away container under exactly the settings of a run
and tries what a hostile container would try. What it cannot prove, the run does not get: version numbers of
distributions lie both ways, behaviour does not.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from runners.contracts.container import Folders
from runners.contracts.container import settings as output_settings
from runners.contracts.output_folder import OutputFolder
from runners.controls import control_rows
from runners.endings import ending
from runners.engine import ContainerState, Engine, StartRefused
from runners.errors import EngineBroken, PostureRefused
from runners.leftovers import new_name, owner_labels, remove_leftovers
from runners.limits import MIB, Limits
from runners.posture import (
    HOSTNAME,
    INPUT_TARGET,
    MASKED_PATHS,
    Posture,
    container_config,
    worker_environment,
)
from runners.runtimes import GoldenTable, table_for
from runners.session import SessionPlan
from runners.stream import STDOUT

_SECONDS = 60.0
_REPORT_BYTES = 1 << 20
# Enough for the probe itself, little enough to be exceeded at once.
_SMALL_MEMORY = 24 * MIB
_LARGE_MEMORY = 256 * MIB
_DEATHS = 3
_UNLIMITED = 1 << 62

Variant = Literal["worker", "output", "loopback"]
VARIANTS: tuple[Variant, ...] = ("worker", "output", "loopback")
OUTPUT_TARGET = "/output"
_CHOICES: Mapping[Variant, frozenset[str]] = {
    "worker": frozenset(),
    "output": frozenset({"output"}),
    "loopback": frozenset({"output", "loopback"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One control: what was expected, what was measured.

    ``measured`` and ``expected`` are JSON values; ``threat`` says what the control is good for, ``note`` what is
    different about it on this runtime.
    """

    name: str
    threat: str
    required: bool
    expected: Any
    measured: Any
    held: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPosture:
    """What the probe found under one posture and one set of limits.

    ``table`` names the golden table it was held against, ``variant`` the kind of container, ``visible`` the places
    in ``/proc`` and ``/sys`` that still tell a container about the host.
    """

    runtime: str
    table: str
    variant: Variant
    controls: tuple[Control, ...]
    visible: tuple[str, ...]
    seconds: float

    @property
    def missing(self) -> tuple[Control, ...]:
        """Required controls that are not there."""
        return tuple(control for control in self.controls if control.required and not control.held)

    @property
    def gaps(self) -> tuple[Control, ...]:
        """Controls that are not there and not required: known gaps, to be shown with every result."""
        return tuple(control for control in self.controls if not control.required and not control.held)

    @property
    def held(self) -> bool:
        """True when no required control is missing."""
        return not self.missing


def measure(
    engine: Engine, probe_digest: str, *, posture: Posture, limits: Limits, variant: Variant = "worker"
) -> MeasuredPosture:
    """Measure the posture with the probe image (:func:`runners.images.probe_image`).

    ``variant`` says under the settings of which containers: ``worker`` has no writable place on the host;
    ``output`` has an output folder, for contracts that leave files; ``loopback`` is asked over the container's own
    loopback interface as well.

    Raises:
        PostureRefused: nobody has measured this engine's runtime before, or there is no output folder here.
        EngineBroken: the probe could not be run at all.
    """
    began = time.monotonic()
    remove_leftovers(engine)
    facts = engine.facts()
    table = table_for(facts, posture.runtime)
    with contextlib.ExitStack() as opened:
        plan = _Plan(engine=engine, image=probe_digest, posture=posture, limits=limits, variant=variant)
        if variant != "worker":
            folder = opened.enter_context(OutputFolder(limits.output_bytes, limits.output_inodes))
            plan = replace(plan, output=folder.path)
        report, _ = _run(plan, ("all", OUTPUT_TARGET if plan.output else "-"))
        flood, flooded = _run(plan, ("processes", str(limits.pids)), may_end=True)
        small = replace(plan, limits=replace(limits, memory_bytes=_SMALL_MEMORY))
        # An engine that hears of the end before its reason keeps the reason to itself: on a busy host now and then.
        for _ in range(_DEATHS):
            memory, state = _run(small, ("memory", str(_LARGE_MEMORY)), may_end=True)
            if state.out_of_memory:
                break
    ended = {
        "memory.reported": state.out_of_memory,
        "memory.ended": not memory and state.exit_code != 0,
        "processes.ended": not flood and flooded.exit_code != 0,
    }
    controls = compare(
        {**report, **flood, **memory, **ended}, posture=posture, limits=limits, variant=variant, table=table
    )
    return MeasuredPosture(
        runtime=posture.runtime or facts.default_runtime,
        table=table.name,
        variant=variant,
        controls=controls,
        visible=tuple(sorted(report["visible"])),
        seconds=time.monotonic() - began,
    )


def require(measured: MeasuredPosture, *, waived: tuple[str, ...] = ()) -> None:
    """See that every required control is there or waived by name.

    Raises:
        PostureRefused: one is missing; the message names it and what it is good for.
    """
    missing = [control for control in measured.missing if control.name not in waived]
    if missing:
        names = "; ".join(f"{control.name} (against {control.threat})" for control in missing)
        raise PostureRefused(
            f"The engine does not give the isolation that a run requires. Missing: {names}. Repair the "
            "engine or its host (proctor doctor shows all controls), or waive the control in the policy."
        )


def compare(
    report: Mapping[str, Any],
    *,
    posture: Posture,
    limits: Limits,
    variant: Variant = "worker",
    table: GoldenTable | None = None,
) -> tuple[Control, ...]:
    """Compare a report of the probe with the list of controls, as ``table`` changes it for the runtime."""
    values = {**report, **_derived(report)}
    plan = _plan_values(posture, limits, variant)
    choices = _CHOICES[variant]
    rows = {} if table is None else table.rows
    return tuple(
        _control({**row, **rows.get(row["name"], {})}, values, plan, posture, choices)
        for row in control_rows()
        if row.get("when") in (None, *choices)
    )


def _control(
    row: Mapping[str, Any],
    values: Mapping[str, Any],
    plan: Mapping[str, Any],
    posture: Posture,
    choices: frozenset[str],
) -> Control:
    ((kind, wanted),) = row["expect"].items()
    needed = row["required"] and row.get("unless") not in choices and row.get("needed", True)
    expected = plan.get(wanted, wanted) if isinstance(wanted, str) else wanted
    measured = values.get(row["measure"])
    return Control(
        name=row["name"],
        threat=row["threat"],
        required=row["name"] in posture.required or needed,
        expected=f"{kind} {json.dumps(expected)}",
        measured=measured,
        # A value that the probe did not report proves nothing.
        held=measured is not None and _holds(kind, expected, measured, row["measure"]),
        note=row.get("why", ""),
    )


def _holds(kind: str, expected: Any, measured: Any, name: str) -> bool:
    match kind:
        case "equals":
            return bool(measured == expected)
        case "at_most":
            return bool(0 <= measured <= expected)
        case "denied":
            return bool(measured != 0)
        case "empty":
            return not measured
        case "subset_of":
            return set(measured) <= set(expected)
        case "differs_from_host":
            return bool(measured) and measured != _host_namespace(name.removeprefix("namespace."))
    raise ValueError(f"controls.yaml: unknown expectation {kind}")


def _plan_values(posture: Posture, limits: Limits, variant: Variant) -> dict[str, Any]:
    uid, gid = posture.user.split(":")
    output = variant != "worker"
    environment = sorted({"PATH", "HOSTNAME", *worker_environment({}, limits)})
    if posture.gpu is not None:
        environment += [variable.partition("=")[0] for variable in posture.gpu.variables()]
    values: dict[str, Any] = {f"limits.{name}": getattr(limits, name) for name in limits.__dataclass_fields__}
    values["limits.file_bytes"] = max(
        limits.tmp_bytes, limits.shm_bytes, limits.output_bytes if output else 0
    )
    return values | {
        "posture.writable": ["/tmp", "/dev/shm", "/dev/mqueue", *((OUTPUT_TARGET,) if output else ())],  # noqa: S108
        "posture.uid": int(uid),
        "posture.gid": int(gid),
        "posture.hostname": HOSTNAME,
        "posture.tmp_executable": posture.tmp_executable,
        "posture.environment": environment,
        "posture.environment_of_podman": sorted([*environment, "TERM", "container"]),
    }


def _derived(report: Mapping[str, Any]) -> dict[str, Any]:
    mounts = {mount["target"]: mount for mount in report["mounts"]}
    options = {target: set(mount["options"].split(",")) for target, mount in mounts.items()}
    writable = sorted(target for target, mount in mounts.items() if mount["writable"])
    quota = report["cgroup.cpu_quota"]
    period = report["cgroup.cpu_period"] if report["cgroup.cpu_period"] > 0 else 100_000
    return {
        "mounts.writable": writable,
        "mounts.writable_unsafe": [name for name in writable if not {"nosuid", "nodev"} <= options[name]],
        "output_executable": "noexec" not in options.get(OUTPUT_TARGET, ()),
        "root_read_only": _read_only(report, options, "root_read_only", "/"),
        "sys_read_only": _read_only(report, options, "sys_read_only", "/sys"),
        "input_read_only": _read_only(report, options, "input_read_only", INPUT_TARGET),
        "tmp_executable": "noexec" not in options.get("/tmp", ()),  # noqa: S108 - inside the container
        "swap_bytes": _swap(report),
        "cpus": quota / period if quota > 0 else -1,
        "name_servers": [
            line.split()[1]
            for line in report["resolv_conf"].splitlines()
            if line.startswith("nameserver") and len(line.split()) > 1
        ],
        "visible.avoidable": sorted(set(report["visible"]) & set(MASKED_PATHS)),
    }


def _swap(report: Mapping[str, Any]) -> int:
    """Swap that the container may use, in bytes; -1 without a limit."""
    if report["cgroup.swap"] >= 0:
        return int(report["cgroup.swap"])
    both = int(report["cgroup.memory_and_swap"])
    if 0 <= both < _UNLIMITED:
        return both - int(report["cgroup.memory"])
    # The kernel does not account for swap: harmless only where there is none.
    return 0 if psutil.swap_memory().total == 0 else -1


def _host_namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    except OSError:
        return ""


def _read_only(report: Mapping[str, Any], options: Mapping[str, set[str]], name: str, target: str) -> int:
    """A kernel of its own (gVisor) tells only in its table of mounts what Linux tells of the file system as well."""
    return int(report.get(name) == 1 or "ro" in options.get(target, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the probe's containers of one measurement have in common."""

    engine: Engine
    image: str
    posture: Posture
    limits: Limits
    variant: Variant
    output: Path | None = None

    def config(self, shown: Path, command: tuple[str, ...]) -> dict[str, Any]:
        """Make the settings by the very functions that make them for a vendor's containers."""
        environment = worker_environment({}, self.limits)
        if self.output is None:
            return container_config(
                self.image,
                posture=self.posture,
                limits=self.limits,
                user=self.posture.user,
                input_root=shown,
                environment=environment,
                labels=owner_labels("probe"),
                command=command,
            )
        planned = SessionPlan(
            image=self.image,
            user=self.posture.user,
            workdir="/",
            posture=self.posture,
            limits=self.limits,
            input_root=shown,
            environment=environment,
            session="probe",
        )
        folders = Folders(
            input_target=INPUT_TARGET,
            output_target=OUTPUT_TARGET,
            environment=environment,
            command=command,
            loopback=self.variant == "loopback",
        )
        return output_settings(planned, folders, shown, self.output)


def _run(
    plan: _Plan, command: tuple[str, ...], *, may_end: bool = False
) -> tuple[dict[str, Any], ContainerState]:
    """Run the probe once; ``may_end`` takes a container that ended without a report for an answer."""
    with tempfile.TemporaryDirectory(prefix="proctor-probe-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        name = new_name()
        try:
            container = plan.engine.create(plan.config(root, command), name)
            output = _output(plan.engine, container)
            state = ending(plan.engine, container, int(_SECONDS)) or plan.engine.state(container)
        finally:
            plan.engine.remove(name)
    if may_end and not output and state.exit_code != 0:
        return {}, state
    try:
        report: dict[str, Any] = json.loads(output)
    except ValueError as error:
        raise EngineBroken(
            f"The probe ended with exit code {state.exit_code} and without a report, so the isolation of a "
            "container is unknown here. Read the engine's log."
        ) from error
    return report, state


def _output(engine: Engine, container: str) -> bytes:
    deadline = time.monotonic() + _SECONDS
    stream = engine.attach(container)
    output = bytearray()
    try:
        engine.start(container)
        while len(output) < _REPORT_BYTES and (piece := stream.read(deadline)) is not None:
            if piece[0] == STDOUT:
                output += piece[1]
    except StartRefused as error:
        raise EngineBroken("The engine cannot start the probe under this posture. Read its log.") from error
    except TimeoutError as error:
        raise EngineBroken("The probe did not end in time. Read the engine's log.") from error
    finally:
        stream.close()
    return bytes(output)
