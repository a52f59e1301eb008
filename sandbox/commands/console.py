"""What a command says: results to stdout, messages and progress to stderr, text made safe for a terminal."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

ProgressCallback = Callable[[int, int | None], None]


@dataclass(slots=True)
class Settings:
    """How commands speak; set once from the command line."""

    as_json: bool = False
    quiet: bool = False


settings = Settings()
_stderr = RichConsole(stderr=True, highlight=False)
_stdout = RichConsole(highlight=False, width=None if sys.stdout.isatty() else 160)


def printable(text: object) -> str:
    """``text`` with control, bidirectional and other invisible characters shown as escapes.

    A file name, a YAML value or an image label can carry terminal escapes that rewrite what the operator reads.
    """
    return "".join(
        character
        if unicodedata.category(character)[0] != "C" or character == "\n"
        else f"\\u{ord(character):04x}"
        for character in str(text)
    )


def message(text: str) -> None:
    """Say something to the operator; silent under ``--quiet``."""
    if not settings.quiet:
        _stderr.print(escape(printable(text)), soft_wrap=True)


def problem(text: str) -> None:
    """Say what went wrong; never silent."""
    _stderr.print(f"[bold red]proctor:[/] {escape(printable(text))}", soft_wrap=True)


def result(data: Any, human: Callable[[], None]) -> None:
    """Give a command's result: ``data`` as JSON under ``--json``, else whatever ``human`` prints."""
    if settings.as_json:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=True, allow_nan=False) + "\n")
        sys.stdout.flush()
    else:
        human()


def line(text: str) -> None:
    """Print one line of a result."""
    _stdout.print(escape(printable(text)), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows as a table; numbers to the right."""
    rows = [list(row) for row in rows]
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) or row[index] is None for row in rows) and bool(
            rows
        )
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*("" if cell is None else escape(printable(cell)) for cell in row))
    _stdout.print(shown)


@contextmanager
def progress(description: str) -> Iterator[ProgressCallback]:
    """Show a progress bar on a terminal, and a plain line at the end elsewhere."""
    if settings.quiet:
        yield lambda done, total: None
        return
    if not _stderr.is_terminal or os.environ.get("NO_COLOR"):
        seen = [0]

        def note(done: int, total: int | None) -> None:
            seen[0] = done

        yield note
        message(f"{description}: {seen[0]} done" if seen[0] else f"{description}: done")
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_stderr, transient=False) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
