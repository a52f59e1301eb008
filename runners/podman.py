"""Podman behind its Docker-compatible interface: the same settings in the form that it takes.

What Podman 4 cannot express is left out here and then missed by the probe, which refuses the run unless the policy
waives the control: nothing is weakened in silence. Podman cannot limit the inodes of a tmpfs, nor name its owner.
"""

from __future__ import annotations

import contextlib
import re
import resource
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from runners.errors import EngineBroken

_PROFILE = "seccomp={"
_UNKNOWN_OPTIONS = ("uid=", "gid=", "nr_inodes=")
# Podman makes these writable in every container whose root is read-only.
_EXTRA_FOLDERS = ("/run", "/var/tmp")  # noqa: S108 - inside the container
_MOST_PROCESSES = 32_768


def is_podman(components: Mapping[str, str]) -> bool:
    """Tell from the names of an engine's parts."""
    return any("podman" in name.lower() for name in components)


@contextlib.contextmanager
def podman_settings(config: Mapping[str, Any], url: str) -> Iterator[dict[str, Any]]:
    """Give ``config`` for the time of one call that creates a container.

    Raises:
        EngineBroken: Podman is on another host, where the list of system calls cannot be put.
    """
    host = dict(config.get("HostConfig") or {})
    host["Ulimits"] = [*(host.get("Ulimits") or ()), _processes()]
    tmpfs = dict(host.get("Tmpfs") or {})
    if shared := tmpfs.pop("/dev/shm", None):  # noqa: S108 - inside the container
        # A tmpfs cannot be given to the container's user; Podman's own /dev/shm can be written by everyone.
        size = re.search(r"(?:^|,)size=([0-9]+)", shared)
        host |= {"IpcMode": "private", "ShmSize": int(size[1]) if size else 1 << 20}
    host["Tmpfs"] = {target: _tmpfs(options) for target, options in tmpfs.items()}
    host["Tmpfs"] |= dict.fromkeys(_EXTRA_FOLDERS, "ro,nosuid,nodev,noexec,size=64k,mode=755")
    with contextlib.ExitStack() as stack:
        host["SecurityOpt"] = [
            f"seccomp={stack.enter_context(_profile_file(option, url))}"
            if option.startswith(_PROFILE)
            else option
            for option in host.get("SecurityOpt") or ()
        ]
        host["SecurityOpt"].append("mask=" + ":".join(host.get("MaskedPaths") or ()))
        yield {**config, "HostConfig": host}


def _processes() -> dict[str, Any]:
    """Without a limit Podman asks for one of its own, higher than a host without CAP_SYS_RESOURCE lets it set.

    It counts every process of the user on the host, so it is no limit of a container's: that is PidsLimit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = _MOST_PROCESSES if hard == resource.RLIM_INFINITY else min(hard, _MOST_PROCESSES)
    return {"Name": "nproc", "Soft": most, "Hard": most}


def _tmpfs(options: str) -> str:
    return ",".join(option for option in options.split(",") if not option.startswith(_UNKNOWN_OPTIONS))


@contextlib.contextmanager
def _profile_file(option: str, url: str) -> Iterator[str]:
    """Podman takes the path of a file on its own host where Docker takes the list itself."""
    if not url.startswith("unix://"):
        raise EngineBroken(
            "Podman reads the list of system calls from a file of its own host, so it must run on this one. "
            "Point engine.url in the policy to its unix:// socket."
        )
    with tempfile.NamedTemporaryFile(
        "w", prefix="proctor-seccomp-", suffix=".json", encoding="utf-8"
    ) as file:
        file.write(option.removeprefix("seccomp="))
        file.flush()
        yield file.name
