"""What the probe reported, held against the list of controls (``controls.yaml``) as a golden table changes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from runners.controls import control_rows
from runners.gpu import gpus_among
from runners.limits import Limits
from runners.masks import masked_paths
from runners.posture import HOSTNAME, INPUT_TARGET, Posture, worker_environment
from runners.runtimes import GoldenTable

_UNLIMITED = 1 << 62
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_DEVICES_OF_GVISOR = ("/dev/fuse", "/dev/net/tun")

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


def compare(
    report: Mapping[str, Any],
    *,
    posture: Posture,
    limits: Limits,
    variant: Variant = "worker",
    table: GoldenTable | None = None,
) -> tuple[Control, ...]:
    """Compare a report of the probe with the list of controls, as ``table`` changes it for the runtime."""
    values = {**report, **_derived(report, posture)}
    plan = _plan_values(posture, limits, variant)
    choices = _CHOICES[variant] | ({"gpu"} if posture.gpu is not None else set())
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
        case "matching":
            return all(any(re.fullmatch(pattern, each) for pattern in expected) for each in measured)
        case "within":
            return bool(expected[0] <= measured <= expected[1])
        case "differs_from_host":
            return bool(measured) and measured != _host_namespace(name.removeprefix("namespace."))
    raise ValueError(f"controls.yaml: unknown expectation {kind}")


def _plan_values(posture: Posture, limits: Limits, variant: Variant) -> dict[str, Any]:
    uid, gid = posture.user.split(":")
    output = variant != "worker"
    environment = sorted({"PATH", "HOSTNAME", *worker_environment({}, limits)})
    gpu_nodes: tuple[str, ...] = ()
    if posture.gpu is not None:
        # The engine itself names the devices for the toolkit.
        environment += ["NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"]
        gpu_nodes = posture.gpu.nodes()
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
        "posture.devices": [*_DEVICES, *gpu_nodes],
        "posture.devices_of_gvisor": [*_DEVICES, *_DEVICES_OF_GVISOR, *gpu_nodes],
        "posture.gpus": [0, 0] if posture.gpu is None else list(posture.gpu.gpus()),
        "posture.environment": environment,
        "posture.environment_of_podman": sorted([*environment, "TERM", "container"]),
    }


def _derived(report: Mapping[str, Any], posture: Posture) -> dict[str, Any]:
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
        "gpus": gpus_among(report.get("devices", ())),
        "visible.avoidable": sorted(set(report["visible"]) & set(masked_paths(gpu=posture.gpu is not None))),
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
