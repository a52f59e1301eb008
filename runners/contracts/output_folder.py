"""The folder that a container writes its output to: a file system of its own, in memory, of fixed size.

A folder on the host's disk would let a container fill that disk; a tmpfs mounted with ``size`` and ``nr_inodes``
cannot grow, its pages count towards the container's memory, and programs, devices and set-user-id files are dead
in it. Mounting needs root; without it there is no output folder and no run.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import psutil

from runners.errors import PostureRefused, SessionError

# linux/mount.h
_NOSUID, _NODEV, _NOEXEC, _DETACH = 2, 4, 8, 2


class OutputFolder:
    """A bounded folder; a context manager that leaves nothing mounted."""

    def __init__(self, size: int, inodes: int) -> None:
        self._options = f"size={size},nr_inodes={inodes},mode=0777"
        remove_stale_folders()
        process = psutil.Process()
        name = f"{process.pid}-{process.create_time():.2f}-{secrets.token_hex(6)}"
        self.path = _parent() / name
        # What lies below the mount is nobody's to write: an engine that does not see the mount (another mount
        # namespace) gives the container a folder where every write fails, not the host's disk.
        self.path.mkdir(mode=0o500)
        self._mounted = False

    def __enter__(self) -> OutputFolder:
        try:
            self.fresh()
        except BaseException:
            self.path.rmdir()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._unmount()
        self.path.rmdir()

    def fresh(self) -> Path:
        """Put an empty file system in place of the one before; containers of before keep theirs.

        Raises:
            PostureRefused: this process may not mount.
        """
        self._unmount()
        flags = _NOSUID | _NODEV | _NOEXEC
        done = _libc().mount(b"proctor", bytes(self.path), b"tmpfs", flags, self._options.encode())
        if done != 0:
            code = ctypes.get_errno()
            if code in (errno.EPERM, errno.EACCES):
                raise PostureRefused(
                    "The output of this contract goes to a file system of fixed size, which only root may mount. Run "
                    "Proctor as root, or ask the vendor for the worker contract, which needs no output folder."
                )
            raise SessionError(f"A tmpfs for output cannot be mounted ({os.strerror(code)}).")
        self._mounted = True
        return self.path

    def empty(self) -> None:
        """Remove what is in it, although a container that has it mounted may work against that.

        Raises:
            OSError: something cannot be removed.
        """
        for child in os.scandir(self.path):
            if child.is_dir(follow_symlinks=False):
                shutil.rmtree(child.path)
            else:
                os.unlink(child.path)  # noqa: PTH108 - a name of any bytes

    def _unmount(self) -> None:
        if self._mounted:
            _libc().umount2(bytes(self.path), _DETACH)
            self._mounted = False


def remove_stale_folders() -> None:
    """Unmount what processes that are gone left mounted."""
    for path in _parent().iterdir():
        pid, _, rest = path.name.partition("-")
        with contextlib.suppress(ValueError, psutil.AccessDenied, OSError):
            if not _lives(int(pid), float(rest.partition("-")[0])):
                _libc().umount2(bytes(path), _DETACH)
                path.rmdir()


def _lives(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) < 1
    except psutil.NoSuchProcess:
        return False


def _parent() -> Path:
    path = Path(tempfile.gettempdir(), f"proctor-output-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    facts = path.lstat()
    if path.is_symlink() or not path.is_dir() or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise SessionError(f"{path} is not a private folder of this user. Remove it.")
    return path


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
