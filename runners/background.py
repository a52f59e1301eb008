"""Work that nobody waits for: removing containers and folders costs more than asking about them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

# Beyond this the run waits, so that neither disk nor engine fills up.
_WAITING = 64


class Background:
    """One thread for such work; a context manager at whose end all of it is done."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proctor-removal")
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._waiting:
                future = self._waiting.popleft()
                # An exception on its way already says more than something that could not be removed.
                with contextlib.suppress(Exception) if kind is not None else contextlib.nullcontext():
                    future.result()
        finally:
            self._pool.shutdown()

    def do(self, function: Callable[..., object], *arguments: object) -> None:
        """Do it soon; an earlier failure is raised here."""
        self._waiting.append(self._pool.submit(function, *arguments))
        while self._waiting and (len(self._waiting) > _WAITING or self._waiting[0].done()):
            self._waiting.popleft().result()
