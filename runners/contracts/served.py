"""A container that is an HTTP server without a network, and the small helper that talks to it over loopback.

The helper is a container of the project's own, under the same posture, in the network namespace of the server's
(``container:<id>``). That namespace has one interface, loopback: there is no bridge, no address and no host in it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runners.endings import ending
from runners.engine import Engine, StartRefused
from runners.errors import EngineBroken
from runners.failures import CaseFailed, FailureCode
from runners.leftovers import new_name, owner_labels
from runners.limits import Limits
from runners.posture import NONROOT_USER, Posture, container_config
from runners.stream import STDOUT, Attachment

_HELPER_MEMORY = 16 << 20
_MARGIN = 5.0
_SECONDS_TO_END = 5
_SECONDS_TO_BE_SEEN = 1
_A_DAY = 86_400.0


class Server:
    """The two containers, from their start to their removal."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine, self._limits = engine, limits
        self.name = new_name()
        self._helper_name = new_name()
        self._output: _Drained | None = None
        self._helper: Attachment | None = None

    @property
    def log_tail(self) -> bytes:
        """The end of what the server wrote: hostile text, for the operator only."""
        return b"" if self._output is None else bytes(self._output.tail)

    def start(self, config: Mapping[str, Any], helper_image: str, posture: Posture, session: str) -> None:
        """Start the server and its helper.

        Raises:
            CaseFailed: NOT_STARTED.
            EngineBroken: the engine failed.
        """
        identity = self._engine.create(config, self.name)
        stream = None
        try:
            stream = self._engine.attach(identity)
            self._engine.start(identity)
        except StartRefused:
            if stream is not None:
                stream.close()
            raise CaseFailed(FailureCode.NOT_STARTED, "the image's program could not be run") from None
        stream.end_input()
        self._output = _Drained(stream, self._limits)
        helper = _helper_config(helper_image, identity, posture, self._limits, session)
        try:
            self._helper = self._engine.attach(self._engine.create(helper, self._helper_name))
            self._engine.start(self._helper_name)
        except StartRefused:
            # A server that ended at once takes its namespace along.
            raise CaseFailed(FailureCode.NOT_STARTED, "it ended before it could be asked") from None

    def ask(self, method: str, path: str, seconds: float) -> int:
        """Return the HTTP status of a request without body, or 0 when none came in time.

        Raises:
            CaseFailed: FLOOD.
            EngineBroken: the helper does not answer.
        """
        assert self._helper is not None
        assert self._output is not None
        deadline = time.monotonic() + seconds + _MARGIN
        line = bytearray()
        try:
            self._helper.send(f"{method} {path} {max(1, int(seconds * 1000))}\n".encode(), deadline)
            while not line.endswith(b"\n") and len(line) < 16:
                piece = self._helper.read(deadline)
                if piece is None:
                    raise EngineBroken("The helper that asks a container over loopback ended. Run again.")
                line += piece[1] if piece[0] == STDOUT else b""
        except OSError as error:
            raise EngineBroken("The helper that asks a container over loopback does not answer.") from error
        if self._output.flooded:
            raise CaseFailed(FailureCode.FLOOD, "too much on standard output and error")
        return int(line)

    def begin_case(self) -> None:
        """Count what the server writes from here on as the next case's."""
        assert self._output is not None
        self._output.written = 0

    def failure(self) -> CaseFailed:
        """Why the server did not answer: it ended, or is only slow."""
        state = ending(self._engine, self.name, _SECONDS_TO_BE_SEEN)
        if state is not None:
            detail = f"exit code {state.exit_code}"
            if state.out_of_memory:
                return CaseFailed(FailureCode.OUT_OF_MEMORY, detail)
            return CaseFailed(FailureCode.CRASHED if state.exit_code else FailureCode.SILENT_EXIT, detail)
        if self._engine.state(self.name).out_of_memory:
            return CaseFailed(FailureCode.OUT_OF_MEMORY, "a process was stopped for lack of memory")
        return CaseFailed(FailureCode.TIMEOUT)

    def stop(self) -> None:
        """Remove both containers."""
        try:
            if self._helper is not None:
                self._helper.close()
        finally:
            try:
                self._engine.remove(self._helper_name)
            finally:
                self._engine.remove(self.name)
                if self._output is not None:
                    self._output.end()


class _Drained:
    """Reads what a container writes, so that it never waits for a reader; keeps the end, counts the rest."""

    def __init__(self, stream: Attachment, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self.tail = bytearray()
        self.written = 0
        self._thread = threading.Thread(target=self._drain, name="proctor-drain", daemon=True)
        self._thread.start()

    @property
    def flooded(self) -> bool:
        return self.written > self._limits.stray_bytes

    def end(self) -> None:
        self._thread.join(_SECONDS_TO_END)
        self._stream.close()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while (piece := self._stream.read(time.monotonic() + _A_DAY)) is not None:
                self.written += len(piece[1])
                self.tail += piece[1]
                del self.tail[: -self._limits.log_tail_bytes]


def _helper_config(image: str, server: str, posture: Posture, limits: Limits, session: str) -> dict[str, Any]:
    config = container_config(
        image,
        posture=replace(posture, gpu=None),
        limits=limits,
        user=NONROOT_USER,
        labels=owner_labels(session),
        loopback=True,
    )
    host = config["HostConfig"]
    host["NetworkMode"] = f"container:{server}"
    host["Memory"] = host["MemorySwap"] = _HELPER_MEMORY
    # The engine refuses these together with another container's namespace, which has its own.
    for name in ("Dns", "DnsSearch"):
        host.pop(name, None)
    for name in ("Hostname", "Domainname"):
        config.pop(name, None)
    return config
