"""Which files of an index hold the same pixel data value: by sample first, by hash of all bytes where that ties."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from holdout.bounded import BoundedPool
from holdout.errors import LeakageError
from holdout.headers import ReadLimits, pixel_sha256

Progress = Callable[[int, int | None], None]
_Row = Mapping[str, Any]


def pixel_identities(
    rows: Sequence[_Row], source: Path, *, progress: Progress | None = None
) -> dict[str, str]:
    """Path to what is equal exactly where the pixel data values are equal; files without one are left out.

    Args:
        rows: of an index, with ``path``, ``sha256`` and ``pixel_sample``.
        source: the folder of the files.
        progress: called with (files hashed, files to hash).

    Raises:
        LeakageError: a file that must be hashed cannot be read any more.
    """
    by_sample: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        if row["pixel_sample"] is not None:
            # Files that are equal byte for byte have equal pixels: one of them is enough.
            by_sample[row["pixel_sample"]].setdefault(row["sha256"], row["path"])
    tied = [path for files in by_sample.values() if len(files) > 1 for path in files.values()]
    hashed = pixel_hashes(tied, source, progress=progress)
    identities: dict[str, str] = {}
    for row in rows:
        sample: str | None = row["pixel_sample"]
        if sample is not None:
            identities[row["path"]] = hashed.get(by_sample[sample][row["sha256"]], sample)
    return identities


def pixel_hashes(paths: Sequence[str], source: Path, *, progress: Progress | None = None) -> dict[str, str]:
    """Path to SHA-256 (hex) of the pixel data value, hashed in parallel in bounded child processes.

    Raises:
        LeakageError: a file cannot be read any more, or has lost its pixels.
    """
    if not paths:
        return {}
    limits = ReadLimits()
    pool: BoundedPool[str, str | None] = BoundedPool(
        partial(pixel_sha256, str(source.resolve()), limits),
        memory_bytes=limits.memory_bytes,
        seconds_per_task=limits.seconds_per_file,
    )
    hashed: dict[str, str] = {}
    with pool:
        for done, (path, result) in enumerate(pool.map(paths), start=1):
            if not isinstance(result, str):
                # Passed over, a file would be taken as different from all others.
                raise LeakageError(
                    f"the pixels of {path} cannot be compared with others: it is not what was ingested; ingest the "
                    "folder again"
                )
            hashed[path] = result
            if progress is not None:
                progress(done, len(paths))
    return hashed
