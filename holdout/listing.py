"""List a folder of foreign files, in a fixed order, without following a link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from holdout.errors import IngestError


class Found(NamedTuple):
    """A file: its path below the folder, and the status and reason that it has without being opened.

    A tuple, since every one is pickled on its way to a reading process.
    """

    path: str
    status: str | None = None
    sentence: str = ""


def entries(folder: Path, index_path: Path) -> Iterator[Found]:
    """Walk the folder in the order of names, each directory's files before its subdirectories'."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(folder / below) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if not below:
                raise IngestError(f"The folder {folder} cannot be listed: {error.strerror}.") from error
            yield Found(path=below, status="unreadable", sentence=f"Cannot be listed: {error.strerror}.")
            continue
        directories = []
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_symlink():
                yield Found(path=_storable(path), status="link", sentence="A symbolic link; not followed.")
            elif entry.is_dir(follow_symlinks=False):
                directories.append(path)
            elif _storable(path) != path:
                sentence = "The file name is not valid UTF-8; rename the file."
                yield Found(path=_storable(path), status="unreadable", sentence=sentence)
            elif not (_is_named_like(entry.name, index_path) and folder / below == index_path.parent):
                yield Found(path=path)
        waiting.extend(reversed(directories))


def _storable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_named_like(name: str, index_path: Path) -> bool:
    """Whether a file has the name of the index, or of one being written."""
    return name.removeprefix(".").startswith(index_path.name)
