"""Run a function over foreign data in child processes that may die: bounded memory, bounded time, streaming.

A DICOM file of 1.5 MB can inflate to 3 GB, a decoder can crash or hang: whatever parses such bytes runs here.
A task that kills its process becomes a ``Failure``, the process is replaced, the others go on.

Trust goes one way: the children believe the parent, the parent does not believe them (``bounded_results``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import mmap
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, Self, TypeVar

from holdout.bounded_results import ResultReader
from holdout.bounded_schedule import Schedule
from holdout.bounded_worker import COMMAND, FORK, LENGTH, OUT_OF_MEMORY_EXIT, REAP, REPLY
from holdout.bounded_worker import receive_message as _receive_message
from holdout.bounded_worker import send_message as _send_message
from holdout.errors import HoldoutError

Task = TypeVar("Task")
Result = TypeVar("Result")
FailureKind = Literal["timeout", "memory", "crash", "exception"]

CHUNK_SECONDS = 0.05
BACKSTOP_SECONDS = 5.0
LONGEST_RESULT = 1 << 31
_NOT_STARTED = (1 << 64) - 1
_DEATHS_WITHOUT_WORK = 5
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from holdout.bounded_worker import run; run(int(sys.argv[2]))"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a task has no result: its time or memory ran out, its process crashed, or the function raised."""

    code: FailureKind
    detail: str


@dataclasses.dataclass(slots=True, eq=False)
class _Worker:
    pid: int
    channel: socket.socket
    current: mmap.mmap
    received: bytearray = dataclasses.field(default_factory=bytearray)
    outstanding: dict[int, Any] = dataclasses.field(default_factory=dict)
    sent: float = 0.0
    sent_count: int = 0
    fresh: bool = True
    alone: bool = False
    overdue: bool = False
    watched: int = _NOT_STARTED
    watched_since: float = 0.0

    def position(self) -> int:
        """Task that the child says it is at."""
        return int(LENGTH.unpack(self.current[:])[0])


class BoundedPool(Generic[Task, Result]):
    """Child processes that apply one importable function to tasks, each task within memory and time limits.

    Use as a context manager. ``function`` must be importable by name (a module-level function, or a
    ``functools.partial`` of one); tasks are pickled; results are plain values, or dataclasses and enums of
    the function's own top-level package.

    Args:
        function: what is done with a task, in a child.
        processes: number of children; one for each usable processor when None.
        memory_bytes: address space of a child (RLIMIT_AS), the interpreter included.
        seconds_per_task: wall-clock seconds after which a task's child is killed.
        largest_chunk: most tasks sent to a child at once; 1 keeps work ahead of the consumer small.
    """

    def __init__(
        self,
        function: Callable[[Task], Result],
        *,
        processes: int | None = None,
        memory_bytes: int = 1 << 30,
        seconds_per_task: float = 30.0,
        largest_chunk: int = 64,
    ) -> None:
        if seconds_per_task < 0.001:
            raise ValueError(f"seconds_per_task is {seconds_per_task}; at least 0.001 is needed")
        self.processes = processes or len(os.sched_getaffinity(0))
        self._function = function
        target = getattr(function, "func", function)
        self._package = str(target.__module__).partition(".")[0]
        self._memory_bytes = memory_bytes
        self._seconds = seconds_per_task
        self._largest_chunk = max(1, largest_chunk)
        self._forker: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._workers: list[_Worker] = []
        self._mapping = False
        self._watched = 0.0
        self._task_seconds = CHUNK_SECONDS

    def __enter__(self) -> Self:
        self._start_forker()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all children; harmless when called twice."""
        for worker in self._workers:
            _kill(worker.pid)
            worker.channel.close()
            worker.current.close()
        self._workers = []
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._forker is not None:
            try:
                self._forker.wait(timeout=BACKSTOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._forker.kill()
                self._forker.wait()
            self._forker = None

    def map(self, tasks: Iterable[Task], *, ordered: bool = False) -> Iterator[tuple[Task, Result | Failure]]:
        """Yield (task, result or failure) for every task, as they come or in the tasks' order.

        Tasks are drawn only as workers need them. Leaving the iteration early ends the work in hand.

        Raises:
            HoldoutError: children cannot be started, or die before they reach a task.
        """
        if self._mapping:
            raise RuntimeError("this pool is already mapping")
        self._mapping = True
        try:
            window = 4 * self.processes * self._largest_chunk if ordered else None
            schedule = Schedule(tasks, window)
            waiting: dict[int, tuple[Task, Result | Failure]] = {}
            for position, task, result in self._run(schedule):
                if not ordered:
                    yield task, result
                    continue
                waiting[position] = (task, result)
                while (ready := waiting.pop(schedule.horizon, None)) is not None:
                    schedule.horizon += 1
                    yield ready
        finally:
            self._mapping = False

    def _run(self, schedule: Schedule[Task]) -> Iterator[tuple[int, Task, Result | Failure]]:
        idle_deaths = 0
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.channel, selectors.EVENT_READ, worker)
            try:
                while True:
                    while len(self._workers) < self.processes and schedule.has_more():
                        self._workers.append(added := self._fork_worker())
                        selector.register(added.channel, selectors.EVENT_READ, added)
                    for worker in self._workers:
                        if not worker.outstanding and (
                            chunk := schedule.take(self._chunk_size(), fresh=worker.fresh)
                        ):
                            self._send(worker, chunk)
                    if not any(worker.outstanding for worker in self._workers):
                        return
                    ready: list[tuple[int, Task, Result | Failure]] = []
                    for key, _ in selector.select(timeout=1.0):
                        worker = key.data
                        results, alive = self._collect(worker)
                        ready += results
                        if alive:
                            idle_deaths = 0
                            continue
                        selector.unregister(worker.channel)
                        self._workers.remove(worker)
                        failed, suspect, rest = self._bury(worker)
                        ready += failed
                        schedule.give_back(suspect, rest)
                        idle_deaths = 0 if failed or suspect else idle_deaths + 1
                        if idle_deaths > _DEATHS_WITHOUT_WORK:
                            raise HoldoutError(
                                "Worker processes end before they reach a task; the memory limit of "
                                f"{self._memory_bytes >> 20} MiB may be too low for the interpreter."
                            )
                    self._watch()
                    yield from ready
            finally:
                for worker in [worker for worker in self._workers if worker.outstanding]:
                    self._workers.remove(worker)
                    with contextlib.suppress(HoldoutError):
                        self._bury(worker)

    def _chunk_size(self) -> int:
        return max(1, min(self._largest_chunk, int(CHUNK_SECONDS / max(self._task_seconds, 1e-6))))

    def _send(self, worker: _Worker, chunk: list[tuple[int, Task]]) -> None:
        worker.outstanding = dict(chunk)
        worker.alone = worker.fresh and len(chunk) == 1
        worker.fresh = False
        worker.sent = worker.watched_since = time.monotonic()
        worker.sent_count = len(chunk)
        worker.current[:] = LENGTH.pack(_NOT_STARTED)
        worker.watched = _NOT_STARTED
        message = pickle.dumps((chunk[0][0], [task for _, task in chunk]), protocol=5)
        worker.channel.settimeout(self._seconds + BACKSTOP_SECONDS)
        # A dead worker shows itself as end of file in the next collection.
        with contextlib.suppress(OSError):
            _send_message(worker.channel, message)
        worker.channel.setblocking(False)

    def _collect(self, worker: _Worker) -> tuple[list[tuple[int, Task, Result | Failure]], bool]:
        """Take what the worker has sent; the flag says whether it lives."""
        results: list[tuple[int, Task, Result | Failure]] = []
        try:
            part = worker.channel.recv(1 << 20)
        except BlockingIOError:
            return results, True
        except OSError:
            part = b""
        if not part:
            return results, False
        worker.received += part
        while len(worker.received) >= LENGTH.size:
            size = LENGTH.unpack_from(worker.received)[0]
            if size > LONGEST_RESULT:
                return results, False
            if len(worker.received) < LENGTH.size + size:
                break
            payload = worker.received[LENGTH.size : LENGTH.size + size]
            del worker.received[: LENGTH.size + size]
            try:
                for position, good, value in ResultReader(payload, self._package).load():
                    task = worker.outstanding.pop(position)
                    results.append(
                        (position, task, value if good else Failure(code=value[0], detail=value[1]))
                    )
            except Exception:
                # Neither the honest loop nor an honest function sends this: the process is not trusted on.
                return results, False
        if results and not worker.outstanding:
            spent = (time.monotonic() - worker.sent) / worker.sent_count
            self._task_seconds = 0.5 * self._task_seconds + 0.5 * spent
        return results, True

    def _bury(
        self, worker: _Worker
    ) -> tuple[list[tuple[int, Task, Failure]], list[tuple[int, Task]], list[tuple[int, Task]]]:
        """Reap a dead worker; say which task failed, which is to run alone, and which simply again."""
        _kill(worker.pid)
        status = self._command(REAP, worker.pid)[1]
        position = worker.position()
        worker.channel.close()
        worker.current.close()
        rest = [entry for entry in worker.outstanding.items() if entry[0] != position]
        if position not in worker.outstanding:
            return [], [], rest
        suspect = (position, worker.outstanding[position])
        killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        failure = None
        if worker.overdue or killer == signal.SIGALRM:
            failure = Failure(code="timeout", detail=f"not done after {self._seconds:g} s")
        elif worker.alone:
            # Only a task that was the first and only one of its process is blamed for a death: an earlier
            # one may have corrupted the memory in which a later one died.
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == OUT_OF_MEMORY_EXIT:
                failure = Failure(code="memory", detail=f"needs more than {self._memory_bytes >> 20} MiB")
            elif killer:
                failure = Failure(code="crash", detail=f"the process died of {signal.Signals(killer).name}")
            else:
                failure = Failure(code="crash", detail=f"the process ended with status {status}")
        if failure is None:
            return [], [suspect], rest
        return [(*suspect, failure)], [], rest

    def _watch(self) -> None:
        """Kill workers that outlived their own alarm (blocked signals, a stopped process)."""
        now = time.monotonic()
        # While the consumer held the iteration nobody read what the workers sent: that wait is not theirs.
        unwatched, self._watched = now - self._watched > BACKSTOP_SECONDS, now
        for worker in self._workers:
            if not worker.outstanding:
                continue
            position = worker.position()
            if position != worker.watched or unwatched:
                worker.watched, worker.watched_since = position, now
            elif now - worker.watched_since > self._seconds + BACKSTOP_SECONDS:
                worker.overdue = True
                _kill(worker.pid)

    def _start_forker(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
            # Threads of numeric libraries would make forking unsafe and cost address space.
            environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
            self._forker = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                # Ctrl-C goes to the parent alone, which then closes the pool.
                start_new_session=True,
            )
        self._control = ours
        with contextlib.suppress(OSError):
            _send_message(ours, pickle.dumps(self._function))
        answer = _receive_message(ours)
        if answer != b"":
            self.close()
            reason = answer.decode("utf-8", "replace") if answer else "it ended at once"
            raise HoldoutError(f"The child process that starts workers cannot run: {reason}")

    def _fork_worker(self) -> _Worker:
        ours, theirs = socket.socketpair()
        shared = os.memfd_create("current", os.MFD_CLOEXEC)
        try:
            os.ftruncate(shared, LENGTH.size)
            current = mmap.mmap(shared, LENGTH.size)
            current[:] = LENGTH.pack(_NOT_STARTED)
            pid, _ = self._command(FORK, self._memory_bytes, [theirs.fileno(), shared])
        finally:
            theirs.close()
            os.close(shared)
        ours.setblocking(False)
        return _Worker(pid=pid, channel=ours, current=current)

    def _command(self, verb: bytes, argument: int, descriptors: list[int] | None = None) -> tuple[int, int]:
        if self._control is None:
            raise HoldoutError("The pool is closed; use it inside its `with` block.")
        command = COMMAND.pack(verb, argument, int(self._seconds * 1000))
        try:
            socket.send_fds(self._control, [command], descriptors or [])
            reply = self._control.recv(REPLY.size, socket.MSG_WAITALL)
        except OSError:
            reply = b""
        if len(reply) != REPLY.size:
            raise HoldoutError("The process that starts workers is gone (killed from outside?); run again.")
        pid, status = REPLY.unpack(reply)
        return pid, status


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
