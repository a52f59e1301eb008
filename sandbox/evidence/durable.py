"""Files that survive a kill and a power cut: written beside, flushed, renamed, and the folder flushed too."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path


def write_durable(path: Path, data: bytes, *, scratch: Path | None = None, mode: int = 0o644) -> None:
    """Put ``data`` at ``path`` whole or not at all, on disk when this returns.

    ``scratch`` is a folder of the same file system for the unfinished file (default: beside ``path``).

    Raises:
        OSError: the disk is full or refuses; ``path`` is as it was.
    """
    make_folder(path.parent)
    folder = scratch or path.parent
    temporary = folder / f".{path.name}.{secrets.token_hex(6)}.partial"
    try:
        with os.fdopen(_new_file(folder, temporary, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            _put(file.fileno(), temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
    sync_folder(path.parent)


def _new_file(folder: Path, temporary: Path, mode: int) -> int:
    """Open a file without a name, which vanishes with a process that is killed; else one named ``temporary``."""
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE, mode)
    except OSError as error:
        # Not every file system has them (open(2), O_TMPFILE).
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)


def _put(descriptor: int, temporary: Path, path: Path) -> None:
    if os.fstat(descriptor).st_nlink == 0:
        nameless = f"/proc/self/fd/{descriptor}"
        try:
            # With a descriptor for its folder, the call follows the link that /proc holds (linkat(2)).
            os.link(nameless, path, src_dir_fd=descriptor)
            return
        except FileExistsError:
            os.link(nameless, temporary, src_dir_fd=descriptor)
    temporary.replace(path)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents, each flushed into its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
