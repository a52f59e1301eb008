"""Functions that tests run in child processes: importable by name, as the pool demands."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import pickle
import signal
import time


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    number: int
    square: int


def square(number: int) -> Square:
    return Square(number=number, square=number * number)


def misbehave(task: tuple[str, int]) -> object:
    kind, number = task
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "hog":
        return len(bytearray(8 << 30))
    elif kind == "slow hog":
        held = []
        while True:
            held.append(bytearray(1 << 20))
    elif kind == "hang":
        time.sleep(3600)
    elif kind == "deaf hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        time.sleep(3600)
    elif kind == "raise":
        raise ValueError(f"number {number}")
    elif kind == "recursion":
        return misbehave(task) or 0
    elif kind == "exit":
        os._exit(3)
    elif kind == "unpicklable":
        return lambda: None
    elif kind == "takeover":
        return _Takeover()
    elif kind == "large":
        return b"x" * number
    return number


class _Takeover:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/proctor-was-here",)


def process_id(_: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def environment(_: int) -> dict[str, str]:
    return dict(os.environ)


def dies_on_a_message(payload: bytes) -> object:
    return pickle.loads(payload)
