"""GPUs for containers that ask for one, by the institution's choice and never by the image's.

A GPU opens the boundary: NVIDIA's toolkit runs a hook of the host's inside the container's start, and its flaws are
mostly triggered by what an image contains (CVE-2024-0132, CVE-2025-23266). So the image's own NVIDIA_* variables are
taken away, the request goes to the engine as a device request, and the toolkit's version must be known and repaired.

This has never run on a GPU. The whole road from the policy to a worker is tested with a stand-in for the toolkit's
hook, which puts device nodes into the container as the real one does.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runners.errors import PostureRefused
from runners.version_floors import Backport, KnownFlaw, toolkit_flaws

# What the driver's own programs in the container read to find their devices (NVIDIA/nvidia-modprobe,
# nvidia-modprobe-utils.c); the toolkit puts a tmpfs with copies over /proc/driver/nvidia.
DRIVER_FILES = ("/proc/devices", "/proc/driver", "/proc/modules")

# What the toolkit adds for a request of compute and utility. Of MIG's capabilities the first two configure and watch
# the whole device (NVIDIA MIG User Guide, device nodes and capabilities), so they are not among them.
_NODES = (
    "/dev/nvidia[0-9]+",
    "/dev/nvidiactl",
    "/dev/nvidia-modeset",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
)
_MIG_NODES = ("/dev/nvidia-caps/nvidia-cap([3-9]|[1-9][0-9]+)",)
_GPU = re.compile(_NODES[0])
_CAPABILITIES = ("compute", "utility")
_PROGRAMS = ("nvidia-container-cli", "nvidia-ctk")
_VERSION = re.compile(r"(?:cli-version|version)\s*:?\s*v?(\d+\.\d+\.\d+(?:[-~.]?rc\.?\d+)?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRequest:
    """GPUs by id, or ``count`` of them."""

    devices: tuple[str, ...] = ()
    count: int | None = None

    def device_request(self) -> dict[str, Any]:
        """Make the engine's form (Docker Engine API, ``DeviceRequest``)."""
        return {
            "Driver": "nvidia",
            "Count": 0 if self.devices else self.count,
            "DeviceIDs": list(self.devices),
            "Capabilities": [["gpu", *_CAPABILITIES]],
            "Options": {},
        }

    def variables(self) -> dict[str, str]:
        """Make the variables that the toolkit's hook reads, in place of the image's."""
        shown = {"NVIDIA_VISIBLE_DEVICES": ",".join(self.devices)} if self.devices else {}
        return {"NVIDIA_DRIVER_CAPABILITIES": ",".join(_CAPABILITIES), **shown}

    def nodes(self) -> tuple[str, ...]:
        """List what may be in the container's ``/dev`` for this request, as regular expressions."""
        return (*_NODES, *_MIG_NODES) if self._mig else _NODES

    def gpus(self) -> tuple[int, int]:
        """Say how many GPUs there must be in the container, at least and at most; parts of one (MIG) share its node."""
        most = len(self.devices) or self.count or 0
        return (1 if self._mig else most, most)

    @property
    def _mig(self) -> bool:
        return any(device.startswith("MIG-") for device in self.devices)


def gpus_among(devices: Iterable[str]) -> int:
    """Count the GPUs among device nodes; the other nodes belong to all of them."""
    return sum(_GPU.fullmatch(device) is not None for device in devices)


def is_gpu_variable(name: str) -> bool:
    """Tell whether an image could ask for more devices, driver files or host paths by the variable ``name``.

    Every one that the toolkit reads begins so (NVIDIA Container Toolkit, environment variables).
    """
    return name.startswith("NVIDIA_")


def gpu_request(devices: Sequence[str], count: int | None) -> GpuRequest:
    """Make a request.

    Raises:
        ValueError: neither or both of ids and a number.
    """
    if bool(devices) == bool(count):
        raise ValueError("GPUs are asked for by id or by number")
    return GpuRequest(devices=tuple(devices), count=count)


def toolkit_version() -> str:
    """Ask this host for its toolkit's version; empty when it has none or does not say."""
    for program in _PROGRAMS:
        path = shutil.which(program)
        if path is None:
            continue
        try:
            done = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if found := _VERSION.search(done.stdout):
            return found[1]
    return ""


def check_toolkit(version: str, backports: Sequence[Backport] = ()) -> tuple[KnownFlaw, ...]:
    """Compare the toolkit with its known flaws; a GPU is refused with any of them, whatever the policy says of floors.

    Raises:
        PostureRefused: the version is not known, or a flaw of it is neither repaired nor declared to be.
    """
    if not version:
        raise PostureRefused(
            "The policy asks for GPUs, and the version of the NVIDIA container toolkit on this host is not known. "
            "Install it here (nvidia-ctk --version must answer), or take isolation.gpu out of the policy."
        )
    flaws = toolkit_flaws(version, backports)
    standing = [flaw for flaw in flaws if flaw.status not in ("fixed", "backported")]
    if standing:
        names = ", ".join(f"{flaw.cve} (repaired in {', '.join(flaw.fixed)})" for flaw in standing)
        raise PostureRefused(
            f"The policy asks for GPUs, and the NVIDIA container toolkit {version} has known flaws that an image can "
            f"use: {names}. Upgrade it, or declare the repairs that your distribution made (engine.backports)."
        )
    return flaws
