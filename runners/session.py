"""One warm container, from its start to its removal: ask a line, get a line, each under its own clock."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from runners.answers import parse_object
from runners.endings import ending
from runners.engine import Engine, StartRefused
from runners.errors import EngineBroken, ImageRefused, PostureRefused
from runners.failures import CaseFailed, FailureCode
from runners.leftovers import new_name, owner_labels
from runners.limits import Limits
from runners.posture import Posture, checked_workdir, container_config, numeric_user
from runners.stream import STDERR, Attachment

_SECONDS_TO_END = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """Everything that the containers of one run have in common.

    Attributes:
        image: image id.
        user: numeric ``uid:gid``; :func:`plan_user` finds it.
        input_root: host folder that the container sees, read-only, as ``/input``.
        environment: the whole environment beyond the image's own; ``image_variables`` are the names of that one.
        session: names the run in the labels of its containers.
    """

    image: str
    user: str
    workdir: str
    posture: Posture
    limits: Limits
    input_root: Path
    environment: Mapping[str, str]
    session: str
    image_variables: tuple[str, ...] = ()


def new_session_name() -> str:
    """Make a name for a run that tells nothing about it."""
    return secrets.token_hex(8)


def plan_session(
    engine: Engine,
    image_digest: str,
    *,
    posture: Posture,
    limits: Limits,
    input_root: Path,
    environment: Mapping[str, str],
    user: str | None = None,
) -> SessionPlan:
    """Decide how the containers of a run are started.

    ``user`` is the numeric user found at admission; without it the image's own is taken when it is numeric,
    and else the posture's.

    Raises:
        ImageRefused: the engine does not hold the image.
        PostureRefused: the image declares volumes, which are writable and without limit, or a working
            directory that would weaken the isolation.
    """
    image = engine.image(image_digest)
    if image is None or image.digest != image_digest:
        raise ImageRefused("The engine does not hold this image. Load the admitted archive first.")
    if image.volumes:
        raise PostureRefused("The image declares volumes, which the host's disk would have to hold. Refused.")
    return SessionPlan(
        image=image_digest,
        user=numeric_user(user or "") or numeric_user(image.user) or posture.user,
        workdir=checked_workdir(image.workdir),
        posture=posture,
        limits=limits,
        input_root=input_root,
        environment=environment,
        session=new_session_name(),
        image_variables=image.variables,
    )


class Session:
    """A container that is asked one line at a time; a context manager that leaves nothing behind."""

    def __init__(self, engine: Engine, plan: SessionPlan) -> None:
        self._engine = engine
        self._plan = plan
        self._container: str | None = None
        self._stream: Attachment | None = None
        self._line = bytearray()
        self._log = bytearray()
        self._stray = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log_tail(self) -> bytes:
        """The end of the container's standard error: hostile text, for the operator's eyes on the host."""
        return bytes(self._log)

    def start(self, seconds: float) -> None:
        """Start the container and wait for its ready line.

        Raises:
            CaseFailed: NOT_STARTED.
            EngineBroken: the engine failed.
        """
        plan = self._plan
        deadline = time.monotonic() + seconds
        config = container_config(
            plan.image,
            posture=plan.posture,
            limits=plan.limits,
            user=plan.user,
            workdir=plan.workdir,
            input_root=plan.input_root,
            environment=plan.environment,
            image_variables=plan.image_variables,
            labels=owner_labels(plan.session),
        )
        name = new_name()
        # Known by name before it exists: an interrupt during creation must not orphan it.
        self._container = name
        self._container = self._engine.create(config, name)
        try:
            self._stream = self._engine.attach(self._container)
            self._engine.start(self._container)
        except StartRefused:
            raise CaseFailed(
                FailureCode.NOT_STARTED, "the engine could not run the image's program"
            ) from None
        try:
            ready = parse_object(self._read_line(deadline))
        except CaseFailed as failure:
            detail = f"before the ready line: {failure.code}"
            raise CaseFailed(FailureCode.NOT_STARTED, detail) from None
        if ready != {"ready": True}:
            raise CaseFailed(FailureCode.NOT_STARTED, "the first line was not the ready line")

    def ask(self, question: bytes, seconds: float) -> bytes:
        """Put one line to the container and return the line that it answers, without its end.

        Raises:
            CaseFailed: TIMEOUT, OUT_OF_MEMORY, CRASHED, SILENT_EXIT, PARTIAL_LINE or FLOOD.
            EngineBroken: the engine failed.
        """
        assert self._stream is not None
        deadline = time.monotonic() + seconds
        self._stray = 0
        try:
            self._stream.send(question, deadline)
        except TimeoutError:
            raise self._late() from None
        except OSError:
            # The container has ended, or closed its input; what it wrote before tells which.
            pass
        return self._read_line(deadline)

    def stop(self, seconds: float = 0.0) -> None:
        """End the questions, give the container ``seconds`` to leave, and remove it."""
        stream, self._stream = self._stream, None
        try:
            if stream is not None and seconds > 0:
                stream.end_input()
                self._drain(stream, time.monotonic() + seconds)
        finally:
            try:
                if stream is not None:
                    stream.close()
            finally:
                if self._container is not None:
                    self._engine.remove(self._container)
                    self._container = None

    def _read_line(self, deadline: float) -> bytes:
        stream, limits = self._stream, self._plan.limits
        assert stream is not None
        while True:
            end = self._line.find(b"\n")
            if end > limits.answer_bytes or (end < 0 and len(self._line) > limits.answer_bytes):
                raise CaseFailed(FailureCode.FLOOD, "a line longer than an answer may be")
            if end >= 0:
                line = bytes(self._line[:end])
                del self._line[: end + 1]
                return line
            try:
                piece = stream.read(deadline)
            except TimeoutError:
                raise self._late() from None
            except OSError as error:
                raise EngineBroken("The connection to the container engine broke. Read its log.") from error
            if piece is None:
                raise self._ended()
            kind, data = piece
            if kind == STDERR:
                self._keep(data)
            else:
                self._line += data

    def _keep(self, data: bytes) -> None:
        limits = self._plan.limits
        self._stray += len(data)
        if self._stray > limits.stray_bytes:
            raise CaseFailed(FailureCode.FLOOD, "too much on standard error")
        self._log += data
        if len(self._log) > limits.log_tail_bytes:
            del self._log[: -limits.log_tail_bytes]

    def _late(self) -> CaseFailed:
        """Why there is no answer in time: memory ran out below a surviving process, or it is only slow."""
        assert self._container is not None
        self._engine.kill(self._container)
        if self._engine.state(self._container).out_of_memory:
            return CaseFailed(FailureCode.OUT_OF_MEMORY, "a process was stopped for lack of memory")
        if self._line:
            return CaseFailed(FailureCode.PARTIAL_LINE, "no end of line before the time was over")
        return CaseFailed(FailureCode.TIMEOUT)

    def _ended(self) -> CaseFailed:
        """Why the output ended."""
        assert self._container is not None
        state = ending(self._engine, self._container, _SECONDS_TO_END)
        if state is None:
            # The engine's init process holds the output open as long as the container lives, so it was the
            # engine that hung up; blaming the container would bend the result.
            raise EngineBroken("The container engine hung up on a running container. Read its log.")
        detail = f"exit code {state.exit_code}"
        if state.out_of_memory:
            return CaseFailed(FailureCode.OUT_OF_MEMORY, detail)
        if self._line:
            return CaseFailed(FailureCode.PARTIAL_LINE, detail)
        return CaseFailed(FailureCode.CRASHED if state.exit_code else FailureCode.SILENT_EXIT, detail)

    def _drain(self, stream: Attachment, deadline: float) -> None:
        with contextlib.suppress(TimeoutError, OSError, CaseFailed):
            while (piece := stream.read(deadline)) is not None:
                if piece[0] == STDERR:
                    self._keep(piece[1])
