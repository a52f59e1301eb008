"""Collect what a container left behind, trusting nothing of it: neither names, nor kinds, nor sizes.

The host reads these files with its own rights, so a planted link is the shortest way out of a container: it has
happened to every system that opened output by path. Here every open stays beneath the output folder and crosses
neither links nor mounts (openat2(2), ``RESOLVE_BENEATH``), an object is looked at before it is opened for reading,
and only regular files with one name are read, up to a cap that is known before.

Collect only after the container has been removed: nothing else stops a process of it from writing on.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from runners.errors import RunnerError

_OPENAT2 = 437
_ARCHITECTURES = frozenset({"x86_64", "aarch64", "riscv64", "ppc64le", "s390x"})
# RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH (linux/openat2.h)
_RESOLVE = 0x01 | 0x02 | 0x04 | 0x08
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 20
_MOST_NAMES = 1_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class CollectionCode(StrEnum):
    """Why output is not collected: a closed set, safe to disclose."""

    NAME = "name"
    CLASHING_NAMES = "clashing_names"
    LINK = "link"
    SECOND_LINK = "second_link"
    NOT_A_FILE = "not_a_file"
    OTHER_FILE_SYSTEM = "other_file_system"
    TOO_LARGE = "too_large"
    TOO_MANY_FILES = "too_many_files"
    CHANGED = "changed"
    UNREADABLE = "unreadable"

    @property
    def sentence(self) -> str:
        """The code in words, fit for a vendor."""
        return _SENTENCES[self]


_SENTENCES = {
    CollectionCode.NAME: "A name in the output is not plain: letters, digits, dot, underscore and hyphen.",
    CollectionCode.CLASHING_NAMES: "Two names in the output differ only in case.",
    CollectionCode.LINK: "The output holds a symbolic link.",
    CollectionCode.SECOND_LINK: "A file of the output has a second name (a hard link).",
    CollectionCode.NOT_A_FILE: "Something in the output is neither a regular file nor a folder.",
    CollectionCode.OTHER_FILE_SYSTEM: "Something in the output lies on another file system.",
    CollectionCode.TOO_LARGE: "A file of the output is larger than allowed.",
    CollectionCode.TOO_MANY_FILES: "A folder of the output holds more files than allowed.",
    CollectionCode.CHANGED: "The output changed while it was collected.",
    CollectionCode.UNREADABLE: "A file of the output cannot be read.",
}


class CollectionRefused(RunnerError):  # noqa: N818 - as its fellows in runners.errors
    """The output of a container is not what may be collected.

    Attributes:
        code: which rule said no; nothing that the container wrote is quoted.
    """

    refused = True

    def __init__(self, code: CollectionCode) -> None:
        super().__init__(f"The output is not collected ({code}): {code.sentence}")
        self.code = code


def collect(root: Path, wanted: Mapping[str, int]) -> dict[str, bytes]:
    """Read the files of ``wanted`` (path relative to ``root`` to the most bytes it may have) that are there.

    Files that are not named are not looked at, and named ones that are missing are missing in the result.

    Raises:
        CollectionRefused: one of them is not a plain file of its own, or too large.
    """
    found = {}
    with _opened_root(root) as base:
        for name, cap in wanted.items():
            _check_path(name)
            try:
                found[name] = _content(base, name, cap)
            except FileNotFoundError:
                continue
    return found


def collect_one(root: Path, folder: str, suffix: str, cap: int) -> bytes | None:
    """Read the only file of ``folder`` (relative to ``root``) whose name ends with ``suffix``; None when there is none.

    Raises:
        CollectionRefused: there are several, or it is not a plain file of its own, or too large.
    """
    with _opened_root(root) as base:
        if folder:
            _check_path(folder)
            try:
                os.close(_open_beneath(base, folder, _LOOK))
            except FileNotFoundError:
                return None
        names = [name for name in _names(base, folder, _MOST_NAMES) if name.endswith(suffix)]
        if not names:
            return None
        if len(names) > 1:
            raise CollectionRefused(CollectionCode.TOO_MANY_FILES)
        try:
            return _content(base, f"{folder}/{names[0]}" if folder else names[0], cap)
        except FileNotFoundError:
            raise CollectionRefused(CollectionCode.CHANGED) from None


@contextmanager
def _opened_root(root: Path) -> Iterator[int]:
    descriptor = os.open(root, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not all(_NAME.fullmatch(part) for part in parts):
        raise CollectionRefused(CollectionCode.NAME)


def _names(base: int, folder: str, most: int) -> list[str]:
    """List a folder, counted while it is read: a million names never stand in memory."""
    try:
        descriptor = _open_beneath(base, folder, _FOLDER) if folder else os.open(".", _FOLDER, dir_fd=base)
    except FileNotFoundError:
        raise CollectionRefused(CollectionCode.CHANGED) from None
    names: list[str] = []
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if not _NAME.fullmatch(entry.name):
                    raise CollectionRefused(CollectionCode.NAME)
                names.append(entry.name)
                if len(names) > most:
                    raise CollectionRefused(CollectionCode.TOO_MANY_FILES)
    finally:
        os.close(descriptor)
    # On a file system that ignores case, one of the two would silently replace the other.
    if len({name.lower() for name in names}) != len(names):
        raise CollectionRefused(CollectionCode.CLASHING_NAMES)
    return sorted(names)


def _content(base: int, path: str, cap: int) -> bytes:
    """Read one file of at most ``cap`` bytes.

    Raises:
        FileNotFoundError: there is none.
        CollectionRefused: it is something else.
    """
    # A place in the tree that runs no driver and waits for no writer: opening a FIFO or device could do either.
    place = _open_beneath(base, path, _LOOK)
    try:
        seen = os.fstat(place)
        _check_kind(seen, os.fstat(base).st_dev)
        if seen.st_size > cap:
            raise CollectionRefused(CollectionCode.TOO_LARGE)
        try:
            descriptor = os.open(f"/proc/self/fd/{place}", _READ)
        except OSError:
            raise CollectionRefused(CollectionCode.UNREADABLE) from None
    finally:
        os.close(place)
    try:
        opened = os.fstat(descriptor)
        if (opened.st_dev, opened.st_ino) != (seen.st_dev, seen.st_ino):
            raise CollectionRefused(CollectionCode.CHANGED)
        _check_kind(opened, seen.st_dev)
        return _read(descriptor, opened.st_size, cap)
    finally:
        os.close(descriptor)


def _check_kind(facts: os.stat_result, device: int) -> None:
    if stat.S_ISLNK(facts.st_mode):
        raise CollectionRefused(CollectionCode.LINK)
    if not stat.S_ISREG(facts.st_mode):
        raise CollectionRefused(CollectionCode.NOT_A_FILE)
    if facts.st_nlink != 1:
        raise CollectionRefused(CollectionCode.SECOND_LINK)
    if facts.st_dev != device:
        raise CollectionRefused(CollectionCode.OTHER_FILE_SYSTEM)


def _read(descriptor: int, size: int, cap: int) -> bytes:
    content = bytearray()
    try:
        while len(content) <= cap and (block := os.read(descriptor, min(_BLOCK, cap + 1 - len(content)))):
            content += block
    except OSError:
        raise CollectionRefused(CollectionCode.UNREADABLE) from None
    if len(content) != size:
        raise CollectionRefused(CollectionCode.CHANGED)
    return bytes(content)


def _open_beneath(base: int, path: str, flags: int) -> int:
    """Open ``path`` beneath the folder ``base``, crossing neither links nor mounts.

    Raises:
        FileNotFoundError: it is not there.
        CollectionRefused: a link, another file system, or no way through.
    """
    try:
        return _openat2(base, path, flags) if has_openat2() else _open_by_steps(base, path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CollectionRefused(_CODES.get(error.errno or 0, CollectionCode.UNREADABLE)) from None


_CODES = {
    errno.ELOOP: CollectionCode.LINK,
    errno.EXDEV: CollectionCode.OTHER_FILE_SYSTEM,
    errno.ENOTDIR: CollectionCode.NOT_A_FILE,
    errno.EAGAIN: CollectionCode.CHANGED,
}


@functools.cache
def has_openat2() -> bool:
    """Tell whether the kernel has openat2(2) (Linux 5.6) and lets this process use it."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    here = os.open("/", _FOLDER)
    try:
        os.close(_openat2(here, "proc", os.O_PATH | os.O_CLOEXEC, resolve=0))
    except FileNotFoundError:
        return True
    except OSError:
        # ENOSYS on old kernels; EPERM under the seccomp filters of old container engines.
        return False
    finally:
        os.close(here)
    return True


def _openat2(base: int, path: str, flags: int, *, resolve: int = _RESOLVE) -> int:
    how = struct.pack("=QQQ", flags, 0, resolve)
    number = int(_libc().syscall(_OPENAT2, base, os.fsencode(path), how, ctypes.c_size_t(len(how))))
    if number < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return number


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _open_by_steps(base: int, path: str, flags: int) -> int:
    """Do the same on kernels without openat2: one folder at a time, none of them a link or a mount."""
    device = os.fstat(base).st_dev
    *folders, last = path.split("/")
    at = os.dup(base)
    try:
        for name in folders:
            place = os.open(name, _LOOK, dir_fd=at)
            os.close(at)
            at = place
            _check_step(os.fstat(at), device, folder=True)
        place = os.open(last, _LOOK, dir_fd=at)
        try:
            facts = os.fstat(place)
            _check_step(facts, device, folder=bool(flags & os.O_DIRECTORY))
            if flags == _LOOK:
                return os.dup(place)
            return os.open(f"/proc/self/fd/{place}", flags & ~os.O_NOFOLLOW)
        finally:
            os.close(place)
    finally:
        os.close(at)


def _check_step(facts: os.stat_result, device: int, *, folder: bool) -> None:
    if stat.S_ISLNK(facts.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if facts.st_dev != device:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if folder and not stat.S_ISDIR(facts.st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
