"""SHA-256 of many files, several at a time: hashlib lets go of the interpreter lock while it works."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Small enough to stay in a core's own cache between being read and being hashed.
BLOCK = 1 << 18
SMALL = 1 << 17
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CHUNK_FILES = 64
_buffers = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """What a file is now: ``size`` in bytes and SHA-256 in hex, or the ``problem`` that forbade reading it.

    Problems: 'missing', 'not_regular' (link, folder, device), 'unreadable'.
    """

    path: str
    size: int = 0
    sha256: str = ""
    problem: str = ""


def hash_file(root: Path, path: str) -> FileDigest:
    """Hash ``root / path``; links are not followed in the last step."""
    # A path object for each of a million small files would cost more than hashing them.
    place = f"{root}/{path}"
    try:
        descriptor = os.open(place, _FLAGS)
    except FileNotFoundError:
        return FileDigest(path=path, problem="missing")
    except OSError:
        linked = os.path.lexists(place)
        return FileDigest(path=path, problem="not_regular" if linked else "unreadable")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return FileDigest(path=path, problem="not_regular")
        if status.st_size < SMALL:
            content = os.read(descriptor, SMALL)
            # A full read means that it grew since; then it is hashed like a large one, from its start.
            if len(content) < SMALL:
                return FileDigest(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
            os.lseek(descriptor, 0, os.SEEK_SET)
        buffer = getattr(_buffers, "buffer", None)
        if buffer is None:
            buffer = _buffers.buffer = memoryview(bytearray(BLOCK))
        digest, size = hashlib.sha256(), 0
        while count := os.readv(descriptor, [buffer]):
            digest.update(buffer[:count])
            size += count
        return FileDigest(path=path, size=size, sha256=digest.hexdigest())
    except OSError:
        return FileDigest(path=path, problem="unreadable")
    finally:
        os.close(descriptor)


def hash_files(root: Path, paths: Sequence[str], *, threads: int | None = None) -> Iterator[FileDigest]:
    """Hash files below ``root``, in the given order."""
    workers = threads or len(os.sched_getaffinity(0))
    chunks = [paths[start : start + CHUNK_FILES] for start in range(0, len(paths), CHUNK_FILES)]

    def work(chunk: Sequence[str]) -> list[FileDigest]:
        return [hash_file(root, path) for path in chunk]

    with ThreadPoolExecutor(workers) as pool:
        for digests in pool.map(work, chunks):
            yield from digests
