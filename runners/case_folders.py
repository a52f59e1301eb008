"""Folders of cases: shown to the container by a rename, withdrawn by a rename, removed in the background.

A rename within one file system is atomic and cheap, so a case appears whole and disappears whole. Removing files
costs more than asking about them, so it happens beside the questions.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from runners.background import Background
from runners.errors import SessionError

_CASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class CaseFolders:
    """The input root of one run, and what is to be removed; a context manager that leaves the root empty."""

    def __init__(self, root: Path) -> None:
        check_empty_root(root)
        root.chmod(0o755)
        self.root = root
        self._background = Background()

    def __enter__(self) -> CaseFolders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._background.__exit__(kind, value, trace)

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
        self._background.do(_remove, directory, tuple(files))


def check_empty_root(root: Path) -> None:
    """See that the input root of a run is a folder without anything in it.

    Raises:
        SessionError: it is not; whatever lies there would be shown to containers from the first case to the last.
    """
    if root.is_symlink() or not root.is_dir():
        raise SessionError(f"The input root {root} is not a folder. Make an empty folder for the run.")
    if any(root.iterdir()):
        raise SessionError(f"The input root {root} is not empty. Give each run a fresh folder.")


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
