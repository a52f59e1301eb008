"""Order in which tasks go to workers that may die."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

Task = TypeVar("Task")


class Schedule(Generic[Task]):
    """What is to be sent next: suspects alone, then tasks whose worker died, then new ones.

    ``window`` bounds how far new tasks run ahead of ``horizon``, the next task to be yielded in order.
    """

    def __init__(self, tasks: Iterable[Task], window: int | None) -> None:
        self.horizon = 0
        self._source = enumerate(tasks)
        self._window = window
        self._suspects: deque[tuple[int, Task]] = deque()
        self._again: deque[tuple[int, Task]] = deque()
        self._drawn = 0
        self._exhausted = False

    def has_more(self) -> bool:
        """Whether anything may be left to send."""
        return bool(self._suspects or self._again or not self._exhausted)

    def give_back(self, suspect: list[tuple[int, Task]], rest: list[tuple[int, Task]]) -> None:
        """Take back the tasks of a dead worker."""
        self._suspects.extend(suspect)
        self._again.extendleft(reversed(rest))

    def take(self, size: int, *, fresh: bool) -> list[tuple[int, Task]]:
        """Return at most ``size`` consecutive tasks; a suspect goes to a fresh process, by itself."""
        if self._suspects and fresh:
            return [self._suspects.popleft()]
        chunk: list[tuple[int, Task]] = []
        while len(chunk) < size and self._again and _continues(chunk, self._again[0][0]):
            chunk.append(self._again.popleft())
        while len(chunk) < size and not self._exhausted and _continues(chunk, self._drawn):
            if self._window is not None and self._drawn - self.horizon >= self._window:
                break
            entry = next(self._source, None)
            if entry is None:
                self._exhausted = True
                break
            chunk.append(entry)
            self._drawn += 1
        return chunk


def _continues(chunk: list[tuple[int, Task]], position: int) -> bool:
    return not chunk or chunk[-1][0] + 1 == position
