"""A folder for what is being taken in: gone when its maker fails, and swept away when its maker was killed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATTERN = ".*.partial"


@contextmanager
def waiting_folder(parent: Path) -> Iterator[Path]:
    """Make a hidden folder in ``parent``; the block renames it to its place, or it is removed.

    Folders of the same kind whose makers are gone are removed first: each maker holds a lock on its own, which the
    kernel lets go with the process.

    Raises:
        OSError: ``parent`` cannot be written.
    """
    with _locked(parent):
        for leftover in parent.glob(_PATTERN):
            _remove_if_abandoned(leftover)
        folder = parent / f".{secrets.token_hex(8)}.partial"
        folder.mkdir()
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other makers, from the sweep until the new folder is locked."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
