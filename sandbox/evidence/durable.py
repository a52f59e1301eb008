"""Files that survive a kill and a power cut: written beside, flushed, renamed, and the folder flushed too."""

from __future__ import annotations

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
    temporary = (scratch or path.parent) / f".{path.name}.{secrets.token_hex(6)}.partial"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
    sync_folder(path.parent)


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
