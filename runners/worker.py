"""The worker contract: cases put one by one to a warm container (see WORKER.md).

Each case ends with an answer or with a code of :class:`runners.failures.FailureCode`; a container whose state
is unknown is replaced; a submission that is dead ends soon. Nothing that a container does makes a run hang.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runners.answers import NumberRange, answer_ranges, parse_answer
from runners.case_folders import CaseFolders, check_case
from runners.engine import Engine
from runners.failures import CaseFailed, FailureCode, RefusalCode
from runners.leftovers import remove_leftovers
from runners.limits import Limits
from runners.posture import INPUT_TARGET, Posture, worker_environment
from runners.session import Session, SessionPlan, plan_session

_Kind = Literal["ready", "not_ready", "lost", "stopped", "gave_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseInput:
    """One staged case.

    Attributes:
        case: pseudonym, which is also the name under ``/input``.
        directory: folder with the files; it is moved into the input root and removed after the answer.
        files: names relative to the folder, in the order in which the container is told of them.
    """

    case: str
    directory: Path
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    """What became of one case.

    Attributes:
        failure: why there is no answer, or None.
        answer: numbers by name, within the declared ranges, or None.
        refusal: the container's own reason when ``failure`` is REFUSED.
        seconds: from question to answer or failure; it never leaves the institution.
        container: which container of the run was asked, from 1; 0 when none was.
        detail: the host's own note for the operator; it never leaves the institution.
    """

    case: str
    failure: FailureCode | None
    answer: dict[str, float] | None
    refusal: RefusalCode | None = None
    seconds: float
    container: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """Something that happened to a container of the run; for the operator, never for the vendor.

    ``log_tail`` is text of the container, only given when it is ``lost`` or ``stopped``.
    """

    kind: _Kind
    container: int
    seconds: float = 0.0
    detail: str = ""
    log_tail: bytes = b""


def run_cases(
    engine: Engine,
    image_digest: str,
    *,
    posture: Posture,
    limits: Limits,
    cases: Iterable[CaseInput],
    input_root: Path,
    task: Mapping[str, Any],
    on_event: Callable[[SessionEvent], None] | None = None,
    user: str | None = None,
) -> Generator[CaseOutcome, None, None]:
    """Put every case to a container of the image, in order, and yield what became of each.

    ``input_root`` is an empty folder on the file system of the staged cases; it is emptied again. ``task`` is
    handed to the container as it is; its part ``output`` says which numbers an answer must hold and within
    which range. Closing the generator, or any exception, removes the container.

    Raises:
        SessionError: the input root cannot be used, or a case has an impossible name.
        ImageRefused, PostureRefused: the image cannot be run under the posture.
        EngineBroken: the engine failed; the cases without outcome were not judged.
    """
    ranges = answer_ranges(task)
    remove_leftovers(engine)
    plan = plan_session(
        engine,
        image_digest,
        posture=posture,
        limits=limits,
        input_root=input_root,
        environment=worker_environment(task, limits),
        user=user,
    )
    with CaseFolders(input_root) as folders:
        run = _Run(engine, plan, ranges, folders, on_event or (lambda _event: None))
        try:
            # The model loads while the first case is being made ready.
            run.warm_up()
            for case in cases:
                yield run.case(case)
        except BaseException:
            run.end(0.0)
            raise
        run.end(limits.seconds_to_stop)


class _Run:
    """The state of one run: the container at hand, and how much time and patience is left."""

    def __init__(
        self,
        engine: Engine,
        plan: SessionPlan,
        ranges: Mapping[str, NumberRange],
        folders: CaseFolders,
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._ranges = ranges
        self._folders = folders
        self._on_event = on_event
        self._session: Session | None = None
        self._container = 0
        self._seconds_left = plan.limits.seconds_per_run
        self._starts_failed = 0
        self._lost_in_a_row = 0

    def case(self, case: CaseInput) -> CaseOutcome:
        check_case(case.case, case.files)
        try:
            self._have_container()
        except CaseFailed as failure:
            self._folders.remove(case.directory, case.files)
            return CaseOutcome(
                case=case.case,
                failure=failure.code,
                answer=None,
                seconds=0.0,
                container=0,
                detail=failure.detail,
            )
        self._folders.show(case.case, case.directory)
        try:
            return self._ask(case)
        finally:
            self._folders.withdraw(case.case, case.directory, case.files)

    def warm_up(self) -> None:
        """Start the first container; a failure counts, and is reported with the first case."""
        with contextlib.suppress(CaseFailed):
            self._have_container()

    def end(self, seconds: float) -> None:
        if self._session is not None:
            self._discard("stopped", seconds)

    def _have_container(self) -> None:
        """See that a container is ready, starting one if need be, as often as the limits allow."""
        limits = self._plan.limits
        while self._session is None:
            if (
                self._starts_failed >= limits.starts_in_a_row
                or self._lost_in_a_row >= limits.failures_in_a_row
            ):
                raise CaseFailed(FailureCode.NOT_STARTED, "given up")
            if self._seconds_left <= 0:
                raise CaseFailed(FailureCode.RUN_TIMEOUT)
            self._container += 1
            session = self._session = Session(self._engine, self._plan)
            began = time.monotonic()
            try:
                session.start(min(limits.seconds_to_ready, self._seconds_left))
            except CaseFailed as failure:
                self._seconds_left -= time.monotonic() - began
                self._starts_failed += 1
                self._discard("not_ready", detail=failure.detail)
                if self._starts_failed >= limits.starts_in_a_row:
                    self._event("gave_up", detail="no container became ready")
            else:
                self._starts_failed = 0
                self._event("ready", seconds=time.monotonic() - began)
                self._seconds_left -= time.monotonic() - began

    def _ask(self, case: CaseInput) -> CaseOutcome:
        assert self._session is not None
        limits = self._plan.limits
        if self._seconds_left <= 0:
            return self._outcome(case, 0.0, failure=FailureCode.RUN_TIMEOUT)
        within = min(limits.seconds_per_case, self._seconds_left)
        question = {"case": case.case, "directory": f"{INPUT_TARGET}/{case.case}", "files": case.files}
        line = json.dumps(question, separators=(",", ":")).encode() + b"\n"
        began = time.monotonic()
        try:
            try:
                text = self._session.ask(line, within)
            finally:
                seconds = time.monotonic() - began
                self._seconds_left -= seconds
            reply = parse_answer(text, case.case, self._ranges)
        except CaseFailed as failure:
            code = failure.code
            if code is FailureCode.TIMEOUT and within < limits.seconds_per_case:
                code, self._seconds_left = FailureCode.RUN_TIMEOUT, 0.0
            outcome = self._outcome(case, seconds, failure=code, detail=failure.detail)
            if code.container_is_lost:
                self._lose(outcome)
            else:
                self._lost_in_a_row = 0
            return outcome
        self._lost_in_a_row = 0
        if reply.refusal is not None:
            return self._outcome(case, seconds, failure=FailureCode.REFUSED, refusal=reply.refusal)
        return self._outcome(case, seconds, answer=reply.values)

    def _outcome(
        self,
        case: CaseInput,
        seconds: float,
        *,
        failure: FailureCode | None = None,
        answer: dict[str, float] | None = None,
        refusal: RefusalCode | None = None,
        detail: str = "",
    ) -> CaseOutcome:
        return CaseOutcome(
            case=case.case,
            failure=failure,
            answer=answer,
            refusal=refusal,
            seconds=seconds,
            container=self._container,
            detail=detail,
        )

    def _lose(self, outcome: CaseOutcome) -> None:
        """Throw the container away, since nobody knows what it will say next."""
        self._lost_in_a_row += 1
        self._discard("lost", detail=f"{outcome.failure} {outcome.detail}".strip())
        if self._lost_in_a_row >= self._plan.limits.failures_in_a_row:
            self._event("gave_up", detail="too many containers were lost in a row")

    def _discard(self, kind: _Kind, seconds: float = 0.0, detail: str = "") -> None:
        session, self._session = self._session, None
        assert session is not None
        try:
            session.stop(seconds)
        finally:
            self._event(kind, detail=detail, log_tail=session.log_tail)

    def _event(self, kind: _Kind, *, seconds: float = 0.0, detail: str = "", log_tail: bytes = b"") -> None:
        self._on_event(
            SessionEvent(
                kind=kind, container=self._container, seconds=seconds, detail=detail, log_tail=log_tail
            )
        )
