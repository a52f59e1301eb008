"""Grand Challenge's ``invoke``: one warm server, ``POST /invoke`` once for each case, answered with 201.

The server lives while its output is read, so nothing stops it from writing on: the collector is made for that, and
an output folder that cannot be emptied ends the container. Freezing it meanwhile is not done, because engines lose
count of freezing and thawing in quick succession (Docker 20.10 reports a thawed container as frozen).
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Generator, Iterable
from pathlib import Path

from runners.answers import Answer, answer_ranges
from runners.case_folders import check_case
from runners.contracts.answer_location import AnswerLocation
from runners.contracts.background import Background
from runners.contracts.cold import Arrange, not_staged, remove_folders
from runners.contracts.collected_answer import collected_answer
from runners.contracts.container import Folders, plan, settings
from runners.contracts.interface import ContractRun
from runners.contracts.output_folder import OutputFolder
from runners.contracts.served import Server
from runners.errors import SessionError
from runners.failures import CaseFailed, FailureCode
from runners.images import loopback_image
from runners.leftovers import remove_leftovers
from runners.session import SessionPlan
from runners.worker import CaseInput, CaseOutcome, SessionEvent

_CREATED = 201
_HEALTHY = 200
_SECONDS_BETWEEN_LOOKS = 0.05
_SECONDS_FOR_HEALTH = 10.0


def run_served(
    run: ContractRun, folders: Folders, arrange: Arrange, cases: Iterable[CaseInput]
) -> Generator[CaseOutcome, None, None]:
    """Put every case to a warm server, in order.

    Raises:
        SessionError, ImageRefused, PostureRefused, EngineBroken: the host's side failed.
    """
    if run.answer is None:
        raise SessionError("This contract needs to be told where its output holds the answer.")
    if run.input_root.is_symlink() or not run.input_root.is_dir() or any(run.input_root.iterdir()):
        raise SessionError(
            f"The input root {run.input_root} is not an empty folder. Give each run a fresh one."
        )
    remove_leftovers(run.engine)
    helper = loopback_image(run.engine).digest
    planned = plan(run)
    shown, waiting = run.input_root / "shown", run.input_root / "waiting"
    with (
        OutputFolder(run.limits.output_bytes, run.limits.output_inodes) as output,
        Background() as background,
    ):
        for folder in (shown, waiting):
            folder.mkdir(mode=0o755)
        served = _Served(run, folders, planned, run.answer, output, helper, shown)
        try:
            for case in cases:
                check_case(case.case, case.files)
                place = waiting / case.case
                try:
                    arrange(case, place)
                except CaseFailed as failure:
                    yield not_staged(case, failure)
                else:
                    yield served.case(case, place)
                finally:
                    background.do(remove_folders, place, case.directory)
        finally:
            served.end()
            for folder in (shown, waiting):
                background.do(remove_folders, folder)


class _Served:
    """The server at hand, and how much time and patience is left."""

    def __init__(
        self,
        run: ContractRun,
        folders: Folders,
        planned: SessionPlan,
        answer: AnswerLocation,
        output: OutputFolder,
        helper: str,
        shown: Path,
    ) -> None:
        self._run, self._folders, self._plan, self._answer = run, folders, planned, answer
        self._output, self._helper, self._shown = output, helper, shown
        self._ranges = answer_ranges(run.task)
        self._seconds_left = run.limits.seconds_per_run
        self._server: Server | None = None
        self._container = self._lost_in_a_row = self._starts_failed = 0

    def case(self, case: CaseInput, place: Path) -> CaseOutcome:
        """Ask about one case, whose files lie in ``place``; they are taken back there."""
        seconds, answer, failed = 0.0, None, None
        try:
            self._have_server()
            server = self._server
            assert server is not None
            began = time.monotonic()
            _swap(place, self._shown)
            try:
                answer = self._ask(server, case.case)
            finally:
                _swap(self._shown, place)
                seconds = time.monotonic() - began
                self._seconds_left -= seconds
            self._lost_in_a_row = 0
        except CaseFailed as failure:
            failed = failure
            if self._server is not None and failure.code.container_is_lost:
                self._lost_in_a_row += 1
                self._discard("lost", f"{failure.code} {failure.detail}".strip())
        code = None if failed is None else failed.code
        if answer is not None and answer.refusal is not None:
            code = FailureCode.REFUSED
        return CaseOutcome(
            case=case.case,
            failure=code,
            answer=None if answer is None else answer.values,
            refusal=None if answer is None else answer.refusal,
            seconds=seconds,
            container=0 if code is FailureCode.NOT_STARTED else self._container,
            detail="" if failed is None else failed.detail,
        )

    def end(self) -> None:
        """Remove the server."""
        if self._server is not None:
            self._discard("stopped", "")

    def _ask(self, server: Server, case: str) -> Answer:
        """Return the answer; the output is empty afterwards."""
        limits = self._run.limits
        within = min(limits.seconds_per_case, self._seconds_left)
        if within <= 0:
            raise CaseFailed(FailureCode.RUN_TIMEOUT)
        server.begin_case()
        status = server.ask("POST", "/invoke", within)
        if status == 0:
            failure = server.failure()
            late = failure.code is FailureCode.TIMEOUT and within < limits.seconds_per_case
            raise CaseFailed(FailureCode.RUN_TIMEOUT, failure.detail) if late else failure
        if status != _CREATED and server.ask("GET", "/health", _SECONDS_FOR_HEALTH) != _HEALTHY:
            raise CaseFailed(FailureCode.CRASHED, f"status {status}, and not healthy since")
        try:
            if status != _CREATED:
                raise CaseFailed(FailureCode.ERROR_REPORTED, f"status {status}")
            return self._read(case)
        finally:
            with _output_refused():
                self._output.empty()

    def _read(self, case: str) -> Answer:
        return collected_answer(self._output.path, self._answer, case, self._ranges)

    def _have_server(self) -> None:
        """See that a server is healthy, starting one if need be, as often as the limits allow."""
        limits = self._run.limits
        while self._server is None:
            if (
                self._starts_failed >= limits.starts_in_a_row
                or self._lost_in_a_row >= limits.failures_in_a_row
            ):
                raise CaseFailed(FailureCode.NOT_STARTED, "given up")
            if self._seconds_left <= 0:
                raise CaseFailed(FailureCode.RUN_TIMEOUT)
            self._container += 1
            self._server = Server(self._run.engine, limits)
            began = time.monotonic()
            try:
                self._start(self._server, began + min(limits.seconds_to_ready, self._seconds_left))
            except CaseFailed as failure:
                self._starts_failed += 1
                self._discard("not_ready", failure.detail)
            else:
                self._starts_failed = 0
                self._event("ready", seconds=time.monotonic() - began)
            finally:
                self._seconds_left -= time.monotonic() - began

    def _start(self, server: Server, deadline: float) -> None:
        config = settings(self._plan, self._folders, self._shown, self._output.fresh())
        server.start(config, self._helper, self._run.posture, self._plan.session)
        while (left := deadline - time.monotonic()) > 0:
            status = server.ask("GET", "/health", min(_SECONDS_FOR_HEALTH, left))
            if status == _HEALTHY:
                return
            if 300 <= status < 400:
                raise CaseFailed(FailureCode.NOT_STARTED, "/health redirects")
            if not self._run.engine.state(server.name).running:
                raise CaseFailed(FailureCode.NOT_STARTED, "it ended before it was healthy")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        raise CaseFailed(FailureCode.NOT_STARTED, "not healthy in time")

    def _discard(self, kind: str, detail: str) -> None:
        server, self._server = self._server, None
        assert server is not None
        try:
            server.stop()
        finally:
            self._event(kind, detail=detail, log_tail=server.log_tail)

    def _event(self, kind: str, *, seconds: float = 0.0, detail: str = "", log_tail: bytes = b"") -> None:
        self._run.on_event(
            SessionEvent(
                kind=kind,  # type: ignore[arg-type]
                container=self._container,
                seconds=seconds,
                detail=detail,
                log_tail=log_tail,
            )
        )


@contextlib.contextmanager
def _output_refused() -> Generator[None, None, None]:
    try:
        yield
    except OSError:
        raise CaseFailed(FailureCode.OUTPUT_REFUSED, "the output folder cannot be emptied") from None


def _swap(source: Path, target: Path) -> None:
    """Move everything in ``source`` to ``target``: the container keeps its folder, and sees other content."""
    try:
        for child in source.iterdir():
            child.rename(target / child.name)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise SessionError(f"A case cannot be moved to {target} ({error.strerror}).") from error
