"""The far side of ``bounded``: a small process that forks workers, and the workers' loop.

The forking process imports the function once and holds no thread, so that a dead worker is replaced in
milliseconds and never inherits a held lock. It ends, with all its workers, when its parent's end of the
control socket closes, whatever killed the parent.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import mmap
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct("<Q")
COMMAND = struct.Struct("<cQQ")
REPLY = struct.Struct("<qq")
FORK, REAP = b"F", b"R"
OUT_OF_MEMORY_EXIT = 17
FLUSH_SECONDS = 0.05
LONGEST_DETAIL = 500

_PR_SET_PDEATHSIG = 1
_NICENESS = 5
_PR_SET_NO_NEW_PRIVS = 38


def send_message(channel: socket.socket, payload: bytes) -> None:
    """Write one length-prefixed message."""
    if len(payload) < 1 << 16:
        channel.sendall(LENGTH.pack(len(payload)) + payload)
    else:
        channel.sendall(LENGTH.pack(len(payload)))
        channel.sendall(payload)


def receive_message(channel: socket.socket) -> bytes | None:
    """Read one length-prefixed message; None when the other side is gone."""
    head = _receive_exactly(channel, LENGTH.size)
    return None if head is None else _receive_exactly(channel, LENGTH.unpack(head)[0])


def _receive_exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def run(control_descriptor: int) -> None:
    """Serve, then end at once: tearing an interpreter down takes longer than many a task."""
    try:
        serve(control_descriptor)
    finally:
        os._exit(0)


def serve(control_descriptor: int) -> None:
    """Fork workers on command until the control socket closes; then kill them and leave."""
    control = socket.socket(fileno=control_descriptor)
    function_bytes = receive_message(control)
    if function_bytes is None:
        return
    try:
        function = pickle.loads(function_bytes)  # noqa: S301 - written by the parent, which this side trusts
    except Exception as error:
        # Importing the function's module can raise anything; the parent says what, this process just ends.
        send_message(control, f"{type(error).__name__}: {error}"[:LONGEST_DETAIL].encode("utf-8", "replace"))
        return
    send_message(control, b"")
    children: set[int] = set()
    try:
        while True:
            command, descriptors = _receive_command(control)
            if command is None:
                return
            verb, argument, seconds_bits = COMMAND.unpack(command)
            if verb == FORK:
                pid = os.fork()
                if pid == 0:
                    control.close()
                    _run_worker(function, descriptors, argument, seconds_bits / 1000)
                children.add(pid)
                for descriptor in descriptors:
                    os.close(descriptor)
                control.sendall(REPLY.pack(pid, 0))
            else:
                try:
                    pid, status = os.waitpid(argument, 0)
                except ChildProcessError:
                    pid, status = argument, signal.SIGKILL
                children.discard(pid)
                control.sendall(REPLY.pack(pid, status))
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _receive_command(control: socket.socket) -> tuple[bytes | None, list[int]]:
    descriptors = array.array("i")
    data, ancillary, _, _ = control.recvmsg(COMMAND.size, socket.CMSG_SPACE(2 * descriptors.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return (data if len(data) == COMMAND.size else None), list(descriptors)


def _run_worker(
    function: Callable[[Any], Any], descriptors: list[int], memory_bytes: int, seconds_per_task: float
) -> None:
    code = 1
    try:
        _confine(memory_bytes)
        channel = socket.socket(fileno=descriptors[0])
        with mmap.mmap(descriptors[1], LENGTH.size) as current:
            os.close(descriptors[1])
            _work(function, channel, current, seconds_per_task)
        code = 0
    except MemoryError:
        code = OUT_OF_MEMORY_EXIT
    except BaseException:
        # Nothing may unwind into the forking process's frames, whose copy this process runs on.
        code = 1
    finally:
        os._exit(code)


def _confine(memory_bytes: int) -> None:
    """Bound this process and tie its life to the forking process."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    # Reading files waits for whoever waits for it: the container that is asked, the operator's own work.
    os.nice(_NICENESS)
    # A core file would hold patient data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.setrecursionlimit(1000)


def _work(
    function: Callable[[Any], Any], channel: socket.socket, current: mmap.mmap, seconds_per_task: float
) -> None:
    while (message := receive_message(channel)) is not None:
        first, tasks = pickle.loads(message)  # noqa: S301 - written by the parent, which this side trusts
        del message
        results: list[tuple[int, bool, Any]] = []
        flushed = time.monotonic()
        for position, task in enumerate(tasks, start=first):
            current[:] = LENGTH.pack(position)
            # The default action of SIGALRM ends the process even when it hangs inside C code.
            signal.setitimer(signal.ITIMER_REAL, seconds_per_task)
            results.append((position, *_attempt(function, task)))
            signal.setitimer(signal.ITIMER_REAL, 0)
            out_of_memory = results[-1][1:] == (False, ("memory", "MemoryError"))
            now = time.monotonic()
            if out_of_memory or now - flushed > FLUSH_SECONDS or position == first + len(tasks) - 1:
                _send_results(channel, results)
                results = []
                flushed = now
            if out_of_memory:
                # What else failed to allocate cannot be known: a fresh process goes on.
                os._exit(0)


def _attempt(function: Callable[[Any], Any], task: Any) -> tuple[bool, Any]:
    try:
        return True, function(task)
    except MemoryError:
        return False, ("memory", "MemoryError")
    except BaseException as error:
        # SystemExit too: what a parser of foreign bytes raises is that file's failure, never the worker's.
        return False, ("exception", _described(error))


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:LONGEST_DETAIL]
    except BaseException:
        # An exception's own text is made by foreign code, which may raise as well.
        return type(error).__name__


def _send_results(channel: socket.socket, results: list[tuple[int, bool, Any]]) -> None:
    try:
        payload = pickle.dumps(results, protocol=5)
    except MemoryError:
        raise
    except Exception:
        # Pickling runs the results' own code; the one that cannot be sent must not take the others with it.
        payload = pickle.dumps([_picklable(result) for result in results], protocol=5)
    send_message(channel, payload)


def _picklable(result: tuple[int, bool, Any]) -> tuple[int, bool, Any]:
    try:
        pickle.dumps(result, protocol=5)
    except Exception as error:
        # As above: this is the one.
        return result[0], False, ("exception", f"the result cannot be sent back ({_described(error)})")
    return result
