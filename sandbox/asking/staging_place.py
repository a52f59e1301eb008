"""Where staged cases wait for the container: in memory when they fit there, else beside the evaluation.

In memory nothing of a case ever reaches a disk. A case stays there for moments, and a bounded number at a time
(``run.most_at_once``).
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from holdout.locked import LockedHoldout, read_index

MEMORY = Path("/dev/shm")  # noqa: S108 - made below under a name of its own, readable by its owner alone
_SHARE = 4
"""At most one part in so many of the free memory file system is taken."""


def work_folder(evaluation: Path, locked: LockedHoldout, *, at_once: int) -> Path:
    """Make the empty folder for one run's staged cases, removing what a killed run left in it.

    ``at_once``: how many cases of the largest size lie there at the same time.
    """
    remove_work(evaluation)
    needed = _largest_case(locked) * at_once
    try:
        fits = MEMORY.is_dir() and needed * _SHARE < shutil.disk_usage(MEMORY).free
    except OSError:
        fits = False
    folder = _in_memory(evaluation) if fits else _on_disk(evaluation)
    folder.mkdir(mode=0o700)
    return folder


def remove_work(evaluation: Path) -> None:
    """Remove the folder of an evaluation's staged cases, wherever it is."""
    for folder in (_in_memory(evaluation), _on_disk(evaluation)):
        shutil.rmtree(folder, ignore_errors=True)


def _in_memory(evaluation: Path) -> Path:
    # Two workspaces on one host may hold the same evaluation.
    place = hashlib.sha256(str(evaluation.resolve()).encode()).hexdigest()[:16]
    return MEMORY / f"proctor-{place}"


def _on_disk(evaluation: Path) -> Path:
    return evaluation / "work"


def _largest_case(locked: LockedHoldout) -> int:
    index = read_index(locked)
    sizes: dict[str, int] = dict(zip(index["path"].to_pylist(), index["size"].to_pylist(), strict=True))
    return max(sum(sizes[path] for path in files) for files in locked.cases["files"].to_pylist())
