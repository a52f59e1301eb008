"""The lock of a ledger's folder: many readers or one writer, among processes; a killed holder lets go by itself."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import LedgerError

LOCK_SECONDS = 60.0


@contextmanager
def locked(folder: Path, *, exclusive: bool = False) -> Iterator[None]:
    """Hold the ledger in ``folder`` for reading, or alone for writing.

    Raises:
        LedgerError: there is no ledger, or another process has held it for a minute.
    """
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY)
    except FileNotFoundError:
        if exclusive or not folder.is_dir():
            raise LedgerError(f"{folder} holds no ledger (its file lock is missing)") from None
        # A copy on read-only media may come without the lock; nobody appends to it.
        yield
        return
    try:
        mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LedgerError(f"another process has held the ledger {folder} for a minute") from None
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)
