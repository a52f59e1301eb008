"""The engine's settings for a contract's container: the posture's own, plus the contract's folders and command.

Everything that isolates comes from :func:`runners.posture.container_config`; this adds places, never rights.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runners.contracts.interface import ContractRun
from runners.errors import ContractRefused
from runners.leftovers import owner_labels
from runners.posture import bind, container_config
from runners.session import SessionPlan, plan_session

_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){1,8}")
_KEPT = ("tmp", "proc", "sys", "dev", "etc", "bin", "sbin", "lib", "lib64", "usr", "run", "boot")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_INJECTED = re.compile(
    r"LD_.*|GCONV_PATH|GLIBC_TUNABLES|NVIDIA_.*|.*_PROXY|grand_challenge_.*", re.IGNORECASE
)
_LONGEST_VALUE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where a container sees its input and leaves its output, and what it runs.

    Attributes:
        read_only: further host paths shown read-only, by place in the container.
        scratch: places that get a writable tmpfs of the size of ``/tmp``.
        entrypoint, command: in place of the image's own; None keeps them.
        workdir: in place of the image's own.
        loopback: bring up the interface that reaches nothing but the container itself.
    """

    input_target: str
    output_target: str
    environment: Mapping[str, str]
    read_only: Mapping[str, Path] = field(default_factory=dict)
    scratch: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    workdir: str | None = None
    loopback: bool = False


def plan(run: ContractRun, *, user: str | None = None) -> SessionPlan:
    """Find user and working directory of the run's containers.

    Raises:
        ImageRefused, PostureRefused: the image cannot be run under the posture.
    """
    return plan_session(
        run.engine,
        run.image,
        posture=run.posture,
        limits=run.limits,
        input_root=run.input_root,
        environment={},
        user=user or run.user,
    )


def settings(planned: SessionPlan, folders: Folders, shown: Path, output: Path) -> dict[str, Any]:
    """Make the engine's settings for one container that sees ``shown`` and writes to ``output``."""
    config = container_config(
        planned.image,
        posture=planned.posture,
        limits=planned.limits,
        user=planned.user,
        workdir=folders.workdir or planned.workdir,
        environment=folders.environment,
        image_variables=planned.image_variables,
        labels=owner_labels(planned.session),
        loopback=folders.loopback,
    )
    host = config["HostConfig"]
    places = {folders.input_target: shown, **folders.read_only}
    host["Mounts"] = [
        *(bind(source, target, read_only=True) for target, source in places.items()),
        bind(output, folders.output_target, read_only=False),
    ]
    for limit in host["Ulimits"]:
        if limit["Name"] == "fsize":
            limit["Soft"] = limit["Hard"] = max(limit["Hard"], planned.limits.output_bytes)
    for place in folders.scratch:
        host["Tmpfs"][place] = host["Tmpfs"]["/tmp"]  # noqa: S108
    if folders.entrypoint is not None:
        config["Entrypoint"] = list(folders.entrypoint)
        config["Cmd"] = []
    if folders.command is not None:
        config["Cmd"] = list(folders.command)
    return config


def common_environment(run: ContractRun) -> dict[str, str]:
    """Variables that do no harm to any program: caches in ``/tmp``, one thread for each processor it may use."""
    threads = str(max(1, int(run.limits.cpus)))
    return {
        "TZ": "UTC",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        # The root file system is read-only, and HOME with it; what only caches finds another place.
        "XDG_CACHE_HOME": "/tmp/.cache",  # noqa: S108
        "MPLCONFIGDIR": "/tmp/.matplotlib",  # noqa: S108
        "NUMBA_CACHE_DIR": "/tmp/.numba",  # noqa: S108
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def checked_place(path: str) -> str:
    """Check a place in a container that its contract names.

    Raises:
        ContractRefused: it is not a plain absolute path, or one of the system's own.
    """
    path = path.rstrip("/")
    if not _PATH.fullmatch(path) or path.split("/")[1] in _KEPT:
        raise ContractRefused(
            "A place in the container must be a plain absolute path (/data/input), and none of the system's own "
            "folders."
        )
    return posixpath.normpath(path)


def checked_places(*paths: str) -> tuple[str, ...]:
    """Check several places, which must differ.

    Raises:
        ContractRefused: one is not plain, or two are the same.
    """
    places = tuple(checked_place(path) for path in paths)
    if len(set(places)) != len(places):
        raise ContractRefused("Input, output and scratch must be different places in the container.")
    return places


def checked_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Check variables that a contract's own file asks for.

    Raises:
        ContractRefused: a name or value is not plain, or it would load libraries into every program.
    """
    for name, value in values.items():
        if (
            not _VARIABLE.fullmatch(name)
            or _INJECTED.fullmatch(name)
            or len(value) > _LONGEST_VALUE
            or "\0" in value
        ):
            raise ContractRefused(
                "The contract's environment has a variable that is not plain, that loads libraries (LD_*), or that "
                "asks for devices (NVIDIA_*)."
            )
    return dict(values)
