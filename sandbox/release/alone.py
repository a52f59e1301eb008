"""One at a time: what is judged about a release must still hold when its entry is made.

Two releases at once could each be payable and together not. An approver who is revoked between the look at the
approvals and the entry of the issue would have approved what was told without them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.institution.workspace import Workspace


@contextmanager
def releases_alone(workspace: Workspace) -> Iterator[None]:
    """Hold all releases of a workspace, and the revoking of those who approve them; a killed holder lets go."""
    folder = workspace.home / "releases"
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
