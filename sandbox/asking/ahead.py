"""An iterator that works ahead in a thread of its own, so that its consumer never waits for what could be ready."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

Item = TypeVar("Item")

_END = object()


@contextmanager
def ahead(source: Iterable[Item], most: int) -> Iterator[Iterator[Item]]:
    """Iterate over ``source`` at most ``most`` items ahead; several threads may share the iterator.

    An exception of the source is raised where its next item is asked for. Leaving the context ends the thread after
    the item it is at.
    """
    ready: queue.Queue[object] = queue.Queue(most)
    left = threading.Event()

    def put(item: object) -> bool:
        while not left.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in source:
                if not put(item):
                    break
            else:
                put(_END)
            if isinstance(source, Generator):
                # What it holds is let go in the thread that took it.
                source.close()
        except BaseException as error:
            put(_Raised(error))

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        yield _Ready(ready)
    finally:
        left.set()
        worker.join()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Ready(Iterator[Item]):
    """The consumers' side of the queue."""

    def __init__(self, ready: queue.Queue[object]) -> None:
        self._ready = ready

    def __next__(self) -> Item:
        item = self._ready.get()
        if item is _END or isinstance(item, _Raised):
            # Whoever shares the iterator must find its end as well.
            self._ready.put(item)
            if isinstance(item, _Raised):
                raise item.error
            raise StopIteration
        return cast(Item, item)
