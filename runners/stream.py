"""Standard input, output and error of a container over one socket of the engine.

The engine multiplexes output as frames: one byte for the stream (1 output, 2 error), three zero bytes, four
bytes of length, big endian, then the payload (Docker Engine API v1.41, ``POST /containers/{id}/attach``).
Payloads are passed on as they arrive, so no frame is ever held whole in memory.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time

STDOUT = 1
STDERR = 2

_HEADER = struct.Struct(">BxxxL")
_BLOCK = 1 << 16


class Attachment:
    """The three streams of one container. Times are values of :func:`time.monotonic`."""

    def __init__(self, stream: socket.socket, *, keep: object = None) -> None:
        self._stream = stream
        # The library's response object closes an encrypted connection when it is collected.
        self._keep = keep
        self._buffer = b""
        self._stream_type = STDOUT
        self._left = 0

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of ``data`` to standard input.

        Raises:
            TimeoutError: the container did not take it before ``deadline``.
            OSError: the container has closed its input or ended.
        """
        self._arm(deadline)
        self._stream.sendall(data)

    def read(self, deadline: float) -> tuple[int, bytes] | None:
        """Return the next output as (STDOUT or STDERR, bytes); None when the container has ended.

        Raises:
            TimeoutError: nothing came before ``deadline``.
        """
        while True:
            if self._left and self._buffer:
                piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
                self._left -= len(piece)
                return self._stream_type, piece
            if not self._left and len(self._buffer) >= _HEADER.size:
                self._stream_type, self._left = _HEADER.unpack_from(self._buffer)
                self._buffer = self._buffer[_HEADER.size :]
                continue
            self._arm(deadline)
            try:
                block = self._stream.recv(_BLOCK)
            except ConnectionResetError:
                return None
            if not block:
                return None
            self._buffer += block

    def end_input(self) -> None:
        """Close standard input; the container sees the end of its questions."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Give the connection back."""
        with contextlib.suppress(OSError):
            self._stream.close()
        close = getattr(self._keep, "close", None)
        if close is not None:
            with contextlib.suppress(OSError):
                close()

    def _arm(self, deadline: float) -> None:
        # A timeout of zero would mean non-blocking, and a negative one is an error.
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._stream.settimeout(left)
