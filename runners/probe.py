"""The measured posture: what a container can really do here, compared with what a run requires.

A small static program (``probe/probe.c``) runs in a throw-away container under exactly the settings of a run
and tries what a hostile container would try. What it cannot prove, the run does not get: version numbers of
distributions lie both ways, behaviour does not.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import yaml

from runners.engine import ContainerState, Engine, StartRefused
from runners.errors import EngineBroken, PostureRefused
from runners.leftovers import new_name, owner_labels, remove_leftovers
from runners.limits import MIB, Limits
from runners.posture import HOSTNAME, MASKED_PATHS, Posture, container_config, worker_environment
from runners.stream import STDOUT

CONTROLS = Path(__file__).with_name("controls.yaml")
_SECONDS = 60.0
_REPORT_BYTES = 1 << 20
# Enough for the probe itself, little enough to be exceeded at once.
_SMALL_MEMORY = 24 * MIB
_LARGE_MEMORY = 256 * MIB
_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One control: what was expected, what was measured.

    ``measured`` and ``expected`` are JSON values; ``threat`` says what the control is good for.
    """

    name: str
    threat: str
    required: bool
    expected: Any
    measured: Any
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPosture:
    """What the probe found under one posture and one set of limits.

    ``visible`` names the places in ``/proc`` and ``/sys`` that still tell a container about the host.
    """

    runtime: str
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
    engine: Engine, probe_digest: str, *, posture: Posture, limits: Limits, loopback: bool = False
) -> MeasuredPosture:
    """Measure the posture with the probe image (:func:`runners.images.probe_image`).

    ``loopback`` measures what containers get that are asked over their own loopback interface.

    Raises:
        EngineBroken: the probe could not be run at all.
    """
    began = time.monotonic()
    remove_leftovers(engine)
    report, _ = _run(engine, probe_digest, posture, limits, ("pids", str(limits.pids)), loopback=loopback)
    small = replace(limits, memory_bytes=_SMALL_MEMORY)
    memory, state = _run(engine, probe_digest, posture, small, ("memory", str(_LARGE_MEMORY)))
    memory["memory.reported"] = state.out_of_memory
    controls = compare({**report, **memory}, posture=posture, limits=limits, loopback=loopback)
    return MeasuredPosture(
        runtime=posture.runtime or engine.facts().default_runtime,
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
    report: Mapping[str, Any], *, posture: Posture, limits: Limits, loopback: bool = False
) -> tuple[Control, ...]:
    """Compare a report of the probe with the table of controls."""
    values = {**report, **_derived(report)}
    plan = _plan_values(posture, limits)
    choices = frozenset({"loopback"} if loopback else ())
    return tuple(_control(row, values, plan, posture, choices) for row in _table())


@cache
def _table() -> tuple[Mapping[str, Any], ...]:
    return tuple(yaml.safe_load(CONTROLS.read_text(encoding="utf-8")))


def _control(
    row: Mapping[str, Any],
    values: Mapping[str, Any],
    plan: Mapping[str, Any],
    posture: Posture,
    choices: frozenset[str],
) -> Control:
    ((kind, wanted),) = row["expect"].items()
    expected = plan.get(wanted, wanted) if isinstance(wanted, str) else wanted
    measured = values.get(row["measure"])
    return Control(
        name=row["name"],
        threat=row["threat"],
        required=row["name"] in posture.required or (row["required"] and row.get("unless") not in choices),
        expected=f"{kind} {json.dumps(expected)}",
        measured=measured,
        # A value that the probe did not report proves nothing.
        held=measured is not None and _holds(kind, expected, measured, row["measure"]),
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


def _plan_values(posture: Posture, limits: Limits) -> dict[str, Any]:
    uid, gid = posture.user.split(":")
    values: dict[str, Any] = {f"limits.{name}": getattr(limits, name) for name in limits.__dataclass_fields__}
    values["limits.file_bytes"] = max(limits.tmp_bytes, limits.shm_bytes)
    return values | {
        "posture.uid": int(uid),
        "posture.gid": int(gid),
        "posture.hostname": HOSTNAME,
        "posture.tmp_executable": posture.tmp_executable,
        "posture.environment": sorted({"PATH", "HOSTNAME", *worker_environment({}, limits)}),
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


def _run(
    engine: Engine,
    image: str,
    posture: Posture,
    limits: Limits,
    command: tuple[str, ...],
    *,
    loopback: bool = False,
) -> tuple[dict[str, Any], ContainerState]:
    with tempfile.TemporaryDirectory(prefix="proctor-probe-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        name = new_name()
        config = container_config(
            image,
            posture=posture,
            limits=limits,
            user=posture.user,
            input_root=root,
            environment=worker_environment({}, limits),
            labels=owner_labels("probe"),
            command=command,
            loopback=loopback,
        )
        try:
            container = engine.create(config, name)
            output = _output(engine, container)
            engine.wait(container, int(_SECONDS))
            state = engine.state(container)
        finally:
            engine.remove(name)
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
