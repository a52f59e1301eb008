"""The child process that reads a stranger's image archive, under limits of memory and processor time.

Run as ``python -m runners.archive_process ORDER``; ORDER is JSON made by :mod:`runners.admission`.
``inspect`` prints one JSON object; ``load`` and ``strip`` write a tar; ``unpack`` fills a folder. A refusal ends with
exit code 3 and its code on standard error.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from runners.archive import ArchiveLimits
from runners.inspection import inspect
from runners.loadable import write_loadable
from runners.refusals import ArchiveRefused, RefusalReason
from runners.unpacking import unpack

REFUSED = 3


def main(order: str) -> int:
    """Carry out one order."""
    wanted = json.loads(order)
    memory, seconds = int(wanted["memory_bytes"]), int(wanted["seconds"])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = ArchiveLimits(**wanted["limits"])
    # Unless it unpacks, it has nothing to write but its answer, which goes through a pipe.
    largest = limits.total_bytes if wanted["action"] == "unpack" else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    path = Path(wanted["path"])
    try:
        if wanted["action"] in ("load", "strip"):
            write_loadable(path, sys.stdout.buffer, limits, strip=wanted["action"] == "strip")
        elif wanted["action"] == "unpack":
            unpack(path, Path(wanted["destination"]), limits)
        else:
            facts = inspect(
                path,
                architecture=wanted["architecture"],
                limits=limits,
                refuse_set_user_id=bool(wanted.get("refuse_set_user_id")),
            )
            sys.stdout.write(json.dumps(facts))
        sys.stdout.flush()
    except ArchiveRefused as refused:
        sys.stderr.write(refused.reason.value)
        return REFUSED
    except (MemoryError, RecursionError):
        sys.stderr.write(RefusalReason.UNREADABLE.value)
        return REFUSED
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
