"""Folders of cases: shown to the container by a rename, withdrawn by a rename, removed in the background.

A rename within one file system is atomic and cheap, so a case appears whole and disappears whole. Removing files
costs more than asking about them, so it happens beside the questions.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from runners.errors import SessionError

_CASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# Removals that may wait; beyond this the run waits for them, so that the disk does not fill.
_WAITING = 64


class CaseFolders:
    """The input root of one run, and what is to be removed; a context manager that leaves the root empty."""

    def __init__(self, root: Path) -> None:
        if root.is_symlink() or not root.is_dir():
            raise SessionError(f"The input root {root} is not a folder. Make an empty folder for the run.")
        # Whatever lies there would be shown to the container from the first case to the last.
        if any(root.iterdir()):
            raise SessionError(f"The input root {root} is not empty. Give each run a fresh folder.")
        root.chmod(0o755)
        self.root = root
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proctor-removal")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> CaseFolders:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while self._waiting:
                future = self._waiting.popleft()
                # An exception on its way already says more than a folder that could not be removed.
                with contextlib.suppress(SessionError) if kind is not None else contextlib.nullcontext():
                    future.result()
        finally:
            self._pool.shutdown()

    def show(self, case: str, directory: Path) -> None:
        """Move a staged case to where the container sees it.

        Raises:
            SessionError: it cannot be moved there.
        """
        try:
            directory.chmod(0o755)
            directory.rename(self.root / case)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise SessionError(
                    f"The staged cases and the input root {self.root} lie on different file systems. "
                    "Put both below one folder."
                ) from error
            raise SessionError(
                f"A staged case cannot be moved to {self.root} ({error.strerror}). See that its folder exists "
                "and that nothing else uses it."
            ) from error

    def withdraw(self, case: str, directory: Path, files: Iterable[str]) -> None:
        """Take a case out of the container's sight, back to ``directory``, and remove it there.

        Raises:
            SessionError: it stays visible, or an earlier case could not be removed.
        """
        shown = self.root / case
        try:
            shown.rename(directory)
        except OSError:
            _remove(shown, ())
        else:
            self.remove(directory, files)

    def remove(self, directory: Path, files: Iterable[str]) -> None:
        """Remove a case that the container does not see.

        Raises:
            SessionError: an earlier case could not be removed.
        """
        self._waiting.append(self._pool.submit(_remove, directory, tuple(files)))
        while self._waiting and (len(self._waiting) > _WAITING or self._waiting[0].done()):
            self._waiting.popleft().result()


def check_case(case: str, files: Iterable[str]) -> None:
    """See that a case's name and files stay within its folder.

    Raises:
        SessionError: they do not.
    """
    if not _CASE_NAME.fullmatch(case):
        raise SessionError("A case has a name that is not a pseudonym: letters, digits, dashes, 64 at most.")
    if any(name.startswith("/") or ".." in name.split("/") for name in files):
        raise SessionError("A case names a file outside its own folder.")


def _remove(directory: Path, files: tuple[str, ...]) -> None:
    try:
        try:
            for name in files:
                directory.joinpath(name).unlink()
            directory.rmdir()
        except OSError:
            # The usual shape is quick to remove; anything else is removed by walking.
            if directory.exists():
                shutil.rmtree(directory)
    except OSError as error:
        raise SessionError(
            f"A case that was asked cannot be removed from {directory.parent} ({error.strerror})."
        ) from error
