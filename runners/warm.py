"""The one warm container of a run that is asked, and its replacement when its state is no longer known.

How long a container may take to become ready, how often a start may fail, how many may be lost in a row and how long
the whole run may take is decided here, for every contract whose containers stay alive between cases.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from runners.answers import Answer
from runners.cases import CaseOutcome, EventKind, SessionEvent
from runners.failures import CaseFailed, FailureCode
from runners.limits import Limits


class Startable(Protocol):
    """A container that can be kept warm."""

    @property
    def log_tail(self) -> bytes:
        """The end of what it wrote beside its answers: hostile text."""

    def start(self, seconds: float) -> None:
        """Start it and wait until it is ready; raises CaseFailed (NOT_STARTED)."""

    def stop(self, seconds: float = 0.0) -> None:
        """Give it ``seconds`` to leave, and remove it."""


Container = TypeVar("Container", bound=Startable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of one question: an answer, or why there is none."""

    answer: Answer | None = None
    failure: FailureCode | None = None
    detail: str = ""
    seconds: float = 0.0
    container: int = 0

    def outcome(self, case: str) -> CaseOutcome:
        """The same as the outcome of ``case``."""
        refusal = None if self.answer is None else self.answer.refusal
        return CaseOutcome(
            case=case,
            failure=self.failure if refusal is None else FailureCode.REFUSED,
            answer=None if self.answer is None else self.answer.values,
            refusal=refusal,
            seconds=self.seconds,
            container=self.container,
            detail=self.detail,
        )


class WarmContainer(Generic[Container]):
    """The container at hand, and how much time and patience is left."""

    def __init__(
        self, make: Callable[[], Container], limits: Limits, on_event: Callable[[SessionEvent], None]
    ) -> None:
        self._make, self._limits, self._on_event = make, limits, on_event
        self._container: Container | None = None
        self._seconds_left = limits.seconds_per_run
        self._number = self._starts_failed = self._lost_in_a_row = 0

    def ready(self) -> Asked | None:
        """See that a container is ready, starting one if need be, as often as the limits allow.

        Returns:
            None, or why no container will be: the case at hand ends so.
        """
        limits = self._limits
        while self._container is None:
            if (
                self._starts_failed >= limits.starts_in_a_row
                or self._lost_in_a_row >= limits.failures_in_a_row
            ):
                return Asked(failure=FailureCode.NOT_STARTED, detail="given up")
            if self._seconds_left <= 0:
                return Asked(failure=FailureCode.RUN_TIMEOUT)
            self._start()
        return None

    def ask(self, question: Callable[[Container, float], Answer]) -> Asked:
        """Put a question to the container that is ready, with the seconds that it may take.

        A failure after which nobody knows what the container will say next throws it away.

        Raises:
            EngineBroken, SessionError: the host's side failed.
        """
        container, limits = self._container, self._limits
        assert container is not None
        within = min(limits.seconds_per_case, self._seconds_left)
        if within <= 0:
            return Asked(failure=FailureCode.RUN_TIMEOUT, container=self._number)
        began = time.monotonic()
        failed: CaseFailed | None = None
        answer: Answer | None = None
        try:
            answer = question(container, within)
        except CaseFailed as failure:
            failed = failure
        finally:
            seconds = time.monotonic() - began
            self._seconds_left -= seconds
        if failed is None:
            self._lost_in_a_row = 0
            return Asked(answer=answer, seconds=seconds, container=self._number)
        code = failed.code
        if code is FailureCode.TIMEOUT and within < limits.seconds_per_case:
            code, self._seconds_left = FailureCode.RUN_TIMEOUT, 0.0
        asked = Asked(failure=code, detail=failed.detail, seconds=seconds, container=self._number)
        if code.container_is_lost:
            self._lose(asked)
        else:
            self._lost_in_a_row = 0
        return asked

    def end(self, seconds: float) -> None:
        """Remove the container, giving it ``seconds`` to leave by itself."""
        if self._container is not None:
            self._discard("stopped", seconds)

    def _start(self) -> None:
        limits = self._limits
        self._number += 1
        container = self._container = self._make()
        began = time.monotonic()
        try:
            container.start(min(limits.seconds_to_ready, self._seconds_left))
        except CaseFailed as failure:
            self._starts_failed += 1
            self._discard("not_ready", detail=failure.detail)
            if self._starts_failed >= limits.starts_in_a_row:
                self._event("gave_up", detail="no container became ready")
        else:
            self._starts_failed = 0
            self._event("ready", seconds=time.monotonic() - began)
        finally:
            self._seconds_left -= time.monotonic() - began

    def _lose(self, asked: Asked) -> None:
        self._lost_in_a_row += 1
        self._discard("lost", detail=f"{asked.failure} {asked.detail}".strip())
        if self._lost_in_a_row >= self._limits.failures_in_a_row:
            self._event("gave_up", detail="too many containers were lost in a row")

    def _discard(self, kind: EventKind, seconds: float = 0.0, detail: str = "") -> None:
        container, self._container = self._container, None
        assert container is not None
        try:
            container.stop(seconds)
        finally:
            self._event(kind, detail=detail, log_tail=container.log_tail)

    def _event(
        self, kind: EventKind, *, seconds: float = 0.0, detail: str = "", log_tail: bytes = b""
    ) -> None:
        self._on_event(
            SessionEvent(kind=kind, container=self._number, seconds=seconds, detail=detail, log_tail=log_tail)
        )
