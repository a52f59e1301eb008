"""The isolation of a container, written once: a policy's choices turned into the engine's own settings.

Sources: Docker Engine API v1.41 (``POST /containers/create``) and CIS Docker Benchmark 1.6, section 5.
The probe runs under exactly what :func:`container_config` returns, so what is measured is what is run.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runners.errors import PostureRefused
from runners.gpu import GpuRequest, is_gpu_variable
from runners.limits import Limits
from runners.masks import READ_ONLY_PATHS, masked_paths
from runners.seccomp import seccomp_profile

INPUT_TARGET = "/input"
HOSTNAME = "worker"
NONROOT_USER = "65532:65532"
ENGINE_DEFAULT: Final = "engine-default"

# An address that is never routed (RFC 5737): the file exists, and tells nothing about the host's name server.
_NOWHERE = "192.0.2.1"

# Libraries loaded into every program before it runs, the engine's hooks included (CVE-2025-23266).
_INJECTED = ("LD_PRELOAD", "LD_AUDIT", "LD_DEBUG", "LD_PROFILE", "GCONV_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """An institution's choices of isolation; what is not named here is not a choice.

    Attributes:
        runtime: an OCI runtime that the engine offers (``runsc``, ``kata``); None is the engine's default.
        seccomp_profile: None is Proctor's own list of system calls (``system_calls.yaml``); else the text of a seccomp
            profile in the engine's JSON form, or ENGINE_DEFAULT for the list that the engine has.
        user: numeric ``uid:gid`` for images that do not name a numeric user of their own.
        tmp_executable: whether programs may be run from ``/tmp`` (some frameworks compile there).
        gpu: GPUs that each container gets; None: none, whatever the image asks for.
        required: controls that this institution requires beyond those that Proctor always requires.
        waived: controls that may be missing; each waiver is the policy's business to name, sign and log.
    """

    runtime: str | None = None
    seccomp_profile: str | None = None
    user: str = NONROOT_USER
    tmp_executable: bool = False
    gpu: GpuRequest | None = None
    required: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if numeric_user(self.user) is None:
            raise ValueError("posture user must be numeric uid:gid, and not root")


def numeric_user(user: str) -> str | None:
    """Return ``user`` as ``uid:gid`` when it is numeric and not root, else None.

    A name would be looked up in the image's own ``/etc/passwd``, where its author may map it to uid 0.
    """
    uid, _, gid = user.partition(":")
    if not (uid.isascii() and uid.isdigit()) or not 0 < int(uid) < 2**31:
        return None
    gid = gid or uid
    if not (gid.isascii() and gid.isdigit()) or not 0 < int(gid) < 2**31:
        return None
    return f"{int(uid)}:{int(gid)}"


def checked_workdir(workdir: str) -> str:
    """Return the image's working directory when it is harmless.

    Raises:
        PostureRefused: it lies below ``/proc``, ``/sys`` or ``/dev`` (CVE-2024-21626 starts there).
    """
    path = posixpath.normpath("/" + (workdir or "/").lstrip("/"))
    if path.split("/")[1] in ("proc", "sys", "dev"):
        raise PostureRefused(
            "The image's working directory lies below /proc, /sys or /dev. Ask the vendor for another one."
        )
    return path


def worker_environment(task: Mapping[str, object], limits: Limits) -> dict[str, str]:
    """Make the whole environment that a worker gets beyond its own image's."""
    threads = str(max(1, int(limits.cpus)))
    return {
        "HOME": "/tmp",  # noqa: S108 - a path inside the container
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        # A share of the processors is invisible to thread pools, which would start a thread for each one.
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PROCTOR_CONTRACT": "worker/1",
        "PROCTOR_TASK": json.dumps(task, sort_keys=True, separators=(",", ":"), allow_nan=False),
    }


def container_config(
    image: str,
    *,
    posture: Posture,
    limits: Limits,
    user: str,
    workdir: str = "/",
    input_root: Path | None = None,
    environment: Mapping[str, str] | None = None,
    image_variables: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    loopback: bool = False,
) -> dict[str, Any]:
    """Make the engine's settings for a container under ``posture`` and ``limits``.

    ``image`` is an id, because a tag may be moved by whoever loads the next archive; ``user`` is a numeric
    ``uid:gid``; ``input_root`` is the host folder shown read-only as ``/input``; ``image_variables`` are the names
    that the image sets, some of which are taken out; ``command`` replaces the image's own arguments, for the
    project's probe only; ``loopback`` brings up the one interface that there is, for contracts that talk over it.

    Raises:
        PostureRefused: user or working directory would weaken the isolation.
    """
    if numeric_user(user) != user:
        raise PostureRefused("A container must run under a numeric uid:gid that is not root.")
    host = _isolation(posture, loopback=loopback) | _bounds(limits)
    host["Tmpfs"] = _writable_places(posture, limits, user)
    if input_root is not None:
        host["Mounts"] = [bind(input_root, INPUT_TARGET, read_only=True)]
    config: dict[str, Any] = {
        "Image": image,
        "User": user,
        "WorkingDir": checked_workdir(workdir),
        # The empty network namespace is there either way. Without set-up the engine starts a container in
        # half the time, and puts none of the host's names into /etc.
        "NetworkDisabled": not loopback,
        "Hostname": HOSTNAME,
        "Domainname": "",
        "Env": _variables(posture, environment or {}, image_variables),
        "Labels": dict(labels or {}),
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        # When the host dies, its end of the stream closes, and with it the container's standard input.
        "StdinOnce": True,
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if command is not None:
        config["Cmd"] = list(command)
    return config


def bind(source: Path, target: str, *, read_only: bool) -> dict[str, Any]:
    """Make the engine's setting for a folder of the host that a container sees."""
    return {
        "Type": "bind",
        "Source": str(source.resolve()),
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": "rprivate"},
    }


def _isolation(posture: Posture, *, loopback: bool) -> dict[str, Any]:
    host: dict[str, Any] = {
        "NetworkMode": "none",
        "Dns": [_NOWHERE],
        "DnsSearch": ["."],
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", *_seccomp(posture, loopback=loopback)],
        "MaskedPaths": list(masked_paths(gpu=posture.gpu is not None)),
        "ReadonlyPaths": list(READ_ONLY_PATHS),
        # The engine's own /dev/shm has no limit on inodes; without one an unwritten mountpoint is left.
        "IpcMode": "none",
        "CgroupnsMode": "private",
        "LogConfig": {"Type": "none", "Config": {}},
        "Init": True,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    }
    if posture.gpu is not None:
        host["DeviceRequests"] = [posture.gpu.device_request()]
    if posture.runtime is not None:
        host["Runtime"] = posture.runtime
    return host


def _bounds(limits: Limits) -> dict[str, Any]:
    return {
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": int(limits.cpus * 1_000_000_000),
        "PidsLimit": limits.pids,
        # When memory runs out on the host itself, the container goes before the hospital's own programs.
        "OomScoreAdj": 500,
        "Ulimits": [
            _ulimit("nofile", limits.open_files),
            _ulimit("core", 0),
            _ulimit("fsize", max(limits.tmp_bytes, limits.shm_bytes)),
            _ulimit("memlock", 64 * 1024),
            _ulimit("msgqueue", 0),
        ],
    }


def _writable_places(posture: Posture, limits: Limits, user: str) -> dict[str, str]:
    noexec = "" if posture.tmp_executable else ",noexec"
    uid, gid = user.split(":")
    # The runtime gives a tmpfs the mode that the image's own folder has; its owner can write all the same.
    common = f"rw,nosuid,nodev,uid={uid},gid={gid}"
    return {
        "/tmp": f"{common}{noexec},size={limits.tmp_bytes},nr_inodes={limits.tmp_inodes},mode=1777",  # noqa: S108
        "/dev/shm": f"{common},noexec,size={limits.shm_bytes},nr_inodes={limits.shm_inodes},mode=1777",  # noqa: S108
    }


def _variables(posture: Posture, environment: Mapping[str, str], image_variables: Sequence[str]) -> list[str]:
    given = dict(sorted(environment.items()))
    taken = {*_INJECTED, *(name for name in image_variables if is_gpu_variable(name))}
    if posture.gpu is not None:
        given |= posture.gpu.variables()
        # The toolkit's hooks would start with these as well.
        taken |= {name for name in image_variables if name.startswith("LD_")}
    # A name without a value takes the variable out of what the image sets.
    return [*(f"{name}={value}" for name, value in given.items()), *sorted(taken - given.keys())]


def _seccomp(posture: Posture, *, loopback: bool) -> tuple[str, ...]:
    match posture.seccomp_profile:
        case None:
            return (f"seccomp={seccomp_profile(loopback=loopback)}",)
        case "engine-default":
            return ()
        case text:
            return (f"seccomp={text}",)


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}
