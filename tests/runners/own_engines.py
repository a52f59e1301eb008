"""Engines of the tests' own: a second dockerd with more runtimes, and Podman's service, both with their own storage."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from runners.base_image import base_tag
from runners.engine import connect
from runners.errors import EngineMissing, RunnerError

HYBRID = Path("/sys/fs/cgroup/unified")


def needed(*programs):
    """Skip unless this is root and every program is installed."""
    if os.geteuid() != 0:
        pytest.skip("an engine of the tests' own needs root")
    for program in programs:
        if shutil.which(program) is None and not Path(program).exists():
            pytest.skip(f"{program} is not installed (Debian: apt-get install {Path(program).name})")


@contextlib.contextmanager
def own_docker(*, programs=None, **runtimes):
    """Start a dockerd that shares nothing with the machine's own, with ``runtimes`` (name to settings).

    ``programs`` is a folder of programs that it finds before the machine's own.
    """
    needed("dockerd", "containerd")
    with short_folder() as folder:
        (folder / "daemon.json").write_text(json.dumps({"runtimes": runtimes}))
        url = f"unix://{folder}/docker.sock"
        command = [
            # Without a bridge of its own a dockerd removes the one it finds: that of the machine's engine.
            *("unshare", "--net"),
            *("dockerd", "-H", url, "--config-file", folder / "daemon.json", "--data-root", folder / "data"),
            *(
                "--exec-root",
                folder / "exec",
                "--pidfile",
                folder / "pid",
                "--cgroup-parent",
                "/proctor-tests",
            ),
            *("--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"),
        ]
        with served(command, url, folder, programs) as engine:
            yield engine


@contextlib.contextmanager
def own_podman():
    """Start Podman's Docker-compatible service with storage of its own."""
    needed("podman", "runc", "/usr/libexec/podman/catatonit")
    with short_folder() as folder:
        url = f"unix://{folder}/podman.sock"
        storage = ("--runtime", "runc", "--root", folder / "root", "--runroot", folder / "run")
        with served(["podman", *storage, "system", "service", "--time=0", url], url, folder) as engine:
            yield engine


def take_base(engine):
    """Give an engine of the tests' own the base image of the machine's engine, where making it takes a minute."""
    with contextlib.suppress(EngineMissing), connect() as machine, short_folder() as folder:
        if base := machine.image(base_tag()):
            machine.save(base.digest, folder / "base.tar")
            with (folder / "base.tar").open("rb") as archive:
                engine.load(archive, base.digest)
            engine.tag(base.digest, base_tag())


def crun_settings(folder):
    """Give the settings of crun, which does not start where both versions of control groups are mounted."""
    needed("crun")
    if not HYBRID.is_mount():
        return {"path": shutil.which("crun")}
    wrapper = folder / "crun"
    wrapper.write_text(
        f'#!/bin/sh\nexec unshare -m sh -c \'umount {HYBRID}; exec {shutil.which("crun")} "$@"\' crun "$@"\n'
    )
    wrapper.chmod(0o755)
    return {"path": str(wrapper)}


@contextlib.contextmanager
def short_folder():
    """A folder with a short name: a socket's path has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="proctor-"))
    try:
        yield folder
    finally:
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def served(command, url, folder, programs=None):
    path = os.environ["PATH"] if programs is None else f"{programs}:{os.environ['PATH']}"
    with (folder / "log").open("wb") as log:
        # Podman's monitor notes a death for want of memory in its working folder.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, "PATH": path},
        )
    try:
        yield reached(url, process, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def reached(url, process, folder):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(EngineMissing):
            engine = connect(url)
            with contextlib.suppress(RunnerError):
                engine.facts()
                return engine
        time.sleep(0.2)
    pytest.skip(f"the tests' own engine does not start here: {(folder / 'log').read_text()[-300:]}")
