"""A folder that appears whole or not at all, whatever ends the process that fills it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(destination: Path, *, mode: int = 0o755) -> Iterator[Path]:
    """Give a folder to fill, and rename it to ``destination`` when the block ends without an error.

    Its place is beside the destination, which must not exist; after an error nothing is left of it.

    Args:
        destination: where the folder appears; folders above it are made.
        mode: its permissions then.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        yield building
        _sync(building)
        building.chmod(mode)
        building.rename(destination)
    except BaseException:
        # Ctrl-C too: half a folder beside the destination would hold patient data that nobody looks for.
        with contextlib.suppress(OSError):
            building.chmod(0o700)
        shutil.rmtree(building, ignore_errors=True)
        raise
    _sync(destination.parent)


def _sync(folder: Path) -> None:
    """Have the names in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
