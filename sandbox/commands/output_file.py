"""The file that a user names for a command's output."""

from __future__ import annotations

from pathlib import Path

from sandbox.errors import UsageError


def output_file(path: Path) -> Path:
    """Return ``path`` when a file can be meant by it, before any work is done for it.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name the file to write.")
    if not path.parent.is_dir():
        # A folder that is made for a mistyped path hides the file from who looks where it was meant to be.
        raise UsageError(f"There is no folder {path.parent}. Make it first, or name a file elsewhere.")
    return path
