"""Containers that a dead process left behind: found by label, removed before the next run.

Cleaning up at the end cannot be enough, because ``kill -9`` and a power cut have no end.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from pathlib import Path

import psutil

from runners.engine import Engine

NAME_PREFIX = "proctor-"
LABEL_OWNER = "io.proctor.owner"
LABEL_SESSION = "io.proctor.session"


def new_name() -> str:
    """Make a fresh container name, random so that it tells nothing."""
    return NAME_PREFIX + secrets.token_hex(8)


def owner_labels(session: str) -> dict[str, str]:
    """Labels that name the process which answers for a container."""
    process = psutil.Process()
    return {
        LABEL_OWNER: f"{_host()}/{_boot()}/{process.pid}/{process.create_time():.2f}",
        LABEL_SESSION: session,
    }


def remove_leftovers(engine: Engine) -> int:
    """Remove containers whose process on this host is gone; returns how many.

    Containers of other hosts that share the engine, and of living processes, are left alone.
    """
    removed = 0
    for container in engine.labelled(LABEL_OWNER):
        # The name is checked too: an image may carry any label it likes.
        if container.name.startswith(NAME_PREFIX) and _is_orphan(container.labels.get(LABEL_OWNER, "")):
            engine.remove(container.id)
            removed += 1
    return removed


def _is_orphan(owner: str) -> bool:
    try:
        host, boot, pid, created = owner.split("/")
        number, moment = int(pid), float(created)
    except ValueError:
        return False
    if host != _host():
        return False
    if boot != _boot():
        return True
    try:
        return abs(psutil.Process(number).create_time() - moment) > 1
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def _host() -> str:
    """Name the host and its process namespace, hashed: process numbers mean nothing outside it."""
    try:
        identity = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        identity = ""
    try:
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116 - a link into the kernel
    except OSError:
        namespace = ""
    return hashlib.sha256("\0".join((identity or socket.gethostname(), namespace)).encode()).hexdigest()[:16]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
