"""Grand Challenge's ``invoke``: one warm server, ``POST /invoke`` once for each case, answered with 201.

The server lives while its output is read, so nothing stops it from writing on: the collector is made for that, and
an output folder that cannot be emptied ends the container. Freezing it meanwhile is not done, because engines lose
count of freezing and thawing in quick succession (Docker 20.10 reports a thawed container as frozen).
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.answers import Answer, Form, answer_ranges
from runners.background import Background
from runners.case_folders import check_case, check_empty_root
from runners.cases import CaseInput, CaseOutcome
from runners.contracts.answer_location import AnswerLocation
from runners.contracts.cold import Arrange, not_staged, remove_folders
from runners.contracts.collected_answer import collected_answer
from runners.contracts.container import Folders, plan, settings
from runners.contracts.interface import ContractRun
from runners.contracts.output_folder import OutputFolder
from runners.contracts.served import Server
from runners.contracts.staged_case import StagedCase, staged_case
from runners.errors import SessionError
from runners.failures import CaseFailed, FailureCode
from runners.images import loopback_image
from runners.leftovers import remove_leftovers
from runners.warm import WarmContainer

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
    check_empty_root(run.input_root)
    answer, ranges = run.answer, answer_ranges(run.task)
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

        def make() -> _Served:
            return _Served(
                run=run,
                answer=answer,
                ranges=ranges,
                server=Server(run.engine, run.limits),
                config=lambda: settings(planned, folders, shown, output.fresh()),
                helper=helper,
                session=planned.session,
                shown=shown,
                output=output,
            )

        warm = WarmContainer(make, run.limits, run.on_event)
        try:
            for case in cases:
                check_case(case.case, case.files)
                place = waiting / case.case
                staged = staged_case(run.reader, case, answer, ranges)
                try:
                    arrange(case, place)
                except CaseFailed as failure:
                    yield not_staged(case, failure)
                else:
                    yield _case(warm, staged, place)
                finally:
                    background.do(remove_folders, place, case.directory)
        finally:
            warm.end(0.0)
            for folder in (shown, waiting):
                background.do(remove_folders, folder)


def _case(warm: WarmContainer[_Served], staged: StagedCase, place: Path) -> CaseOutcome:
    refused = warm.ready()
    asked = refused or warm.ask(lambda served, within: served.ask(staged, place, within))
    return asked.outcome(staged.case)


@dataclass(slots=True)
class _Served:
    """A server of the run, from its start to its removal, and the folders that it sees."""

    run: ContractRun
    answer: AnswerLocation
    ranges: Mapping[str, Form]
    server: Server
    config: Callable[[], Mapping[str, Any]]
    helper: str
    session: str
    shown: Path
    output: OutputFolder

    @property
    def log_tail(self) -> bytes:
        return self.server.log_tail

    def start(self, seconds: float) -> None:
        """Start the server and wait until it is healthy.

        Raises:
            CaseFailed: NOT_STARTED.
        """
        deadline = time.monotonic() + seconds
        self.server.start(self.config(), self.helper, self.run.posture, self.session)
        while (left := deadline - time.monotonic()) > 0:
            status = self.server.ask("GET", "/health", min(_SECONDS_FOR_HEALTH, left))
            if status == _HEALTHY:
                return
            if 300 <= status < 400:
                raise CaseFailed(FailureCode.NOT_STARTED, "/health redirects")
            if not self.run.engine.state(self.server.name).running:
                raise CaseFailed(FailureCode.NOT_STARTED, "it ended before it was healthy")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        raise CaseFailed(FailureCode.NOT_STARTED, "not healthy in time")

    def stop(self, _seconds: float = 0.0) -> None:
        """Remove the server at once: nothing tells it that there are no more cases."""
        self.server.stop()

    def ask(self, staged: StagedCase, place: Path, within: float) -> Answer:
        """Ask about one case, whose files lie in ``place``; they are taken back there, and the output is emptied.

        Raises:
            CaseFailed: there is no answer.
        """
        _swap(place, self.shown)
        try:
            return self._invoke(staged, within)
        finally:
            _swap(self.shown, place)

    def _invoke(self, staged: StagedCase, within: float) -> Answer:
        self.server.begin_case()
        status = self.server.ask("POST", "/invoke", within)
        if status == 0:
            raise self.server.failure()
        if status != _CREATED and self.server.ask("GET", "/health", _SECONDS_FOR_HEALTH) != _HEALTHY:
            raise CaseFailed(FailureCode.CRASHED, f"status {status}, and not healthy since")
        try:
            if status != _CREATED:
                raise CaseFailed(FailureCode.ERROR_REPORTED, f"status {status}")
            return collected_answer(self.output.path, self.answer, staged, self.ranges)
        finally:
            with _output_refused():
                self.output.empty()


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
