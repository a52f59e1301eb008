"""One container from its start to its end: no questions, only a clock and an eye on what it writes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runners.endings import ending
from runners.engine import Engine, StartRefused
from runners.errors import EngineBroken
from runners.failures import CaseFailed, FailureCode
from runners.leftovers import new_name
from runners.limits import Limits
from runners.stream import Attachment

_SECONDS_TO_END = 5


@dataclass(slots=True)
class OneShot:
    """A container that is created ahead, run once, and removed by whoever holds its name.

    ``log_tail`` is the end of what it wrote to standard output and error: hostile text, for the operator only.
    """

    engine: Engine
    name: str
    log_tail: bytes = b""

    def run(self, seconds: float, limits: Limits) -> int:
        """Start the container, wait for its end, and return its exit code.

        Raises:
            CaseFailed: NOT_STARTED, TIMEOUT, OUT_OF_MEMORY or FLOOD.
            EngineBroken: the engine failed.
        """
        deadline = time.monotonic() + seconds
        try:
            stream = self.engine.attach(self.name)
        except StartRefused:
            raise CaseFailed(FailureCode.NOT_STARTED, "the image's program could not be run") from None
        log = bytearray()
        written = 0
        try:
            try:
                self.engine.start(self.name)
            except StartRefused:
                raise CaseFailed(FailureCode.NOT_STARTED, "the image's program could not be run") from None
            stream.end_input()
            try:
                while (piece := stream.read(deadline)) is not None:
                    written += len(piece[1])
                    log += piece[1]
                    del log[: -limits.log_tail_bytes]
                    if written > limits.stray_bytes:
                        self._kill(stream)
                        raise CaseFailed(FailureCode.FLOOD, "too much on standard output and error")
            except TimeoutError:
                raise self._late(stream) from None
            except OSError as error:
                raise EngineBroken("The connection to the container engine broke. Read its log.") from error
            return self._exit_code()
        finally:
            self.log_tail = bytes(log)
            stream.close()

    def _kill(self, stream: Attachment) -> None:
        # The engine's kill waits for the output to be taken by its readers, of which this is one.
        stream.close()
        self.engine.kill(self.name)

    def _late(self, stream: Attachment) -> CaseFailed:
        self._kill(stream)
        if self.engine.state(self.name).out_of_memory:
            return CaseFailed(FailureCode.OUT_OF_MEMORY, "a process was stopped for lack of memory")
        return CaseFailed(FailureCode.TIMEOUT)

    def _exit_code(self) -> int:
        state = ending(self.engine, self.name, _SECONDS_TO_END)
        if state is None:
            raise EngineBroken("The container engine hung up on a running container. Read its log.")
        if state.out_of_memory and state.exit_code != 0:
            raise CaseFailed(FailureCode.OUT_OF_MEMORY, f"exit code {state.exit_code}")
        return state.exit_code


def create(engine: Engine, config: Mapping[str, Any]) -> OneShot:
    """Create a container without starting it."""
    name = new_name()
    try:
        engine.create(config, name)
    except BaseException:
        # An interrupt during creation must not orphan it.
        engine.remove(name)
        raise
    return OneShot(engine, name)
