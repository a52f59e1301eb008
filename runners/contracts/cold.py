"""Contracts without a conversation: a container is started, reads a folder, writes a folder, and ends.

One container for each case, or one for all cases; which container, which folders and where the answer is, is the
contract's own business and comes as :class:`ColdContract`.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from runners.answers import Answer, Form, answer_ranges
from runners.background import Background
from runners.case_folders import check_case, check_empty_root
from runners.contracts.answer_location import AnswerLocation
from runners.contracts.collected_answer import collected_answer
from runners.contracts.container import Folders, plan, settings
from runners.contracts.interface import ContractRun
from runners.contracts.one_shot import OneShot, create
from runners.contracts.output_folder import OutputFolder
from runners.contracts.staged_case import StagedCase, staged_case
from runners.errors import SessionError
from runners.failures import CaseFailed, FailureCode
from runners.leftovers import remove_leftovers
from runners.session import SessionPlan
from runners.worker import CaseInput, CaseOutcome, SessionEvent

Arrange = Callable[[CaseInput, Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdContract:
    """How the containers of a run are started.

    Attributes:
        arrange: moves a case's folder to where the container sees it, below the folder given (which does not
            exist for one case, and exists for many).
        exit_code_counts: False when the contract's own containers end with 0 whatever happened.
        user: in place of the image's own.
        seconds: the package's own limit for one container, start included; it may only shorten the institution's.
    """

    folders: Folders
    arrange: Arrange
    exit_code_counts: bool = True
    user: str | None = None
    seconds: float | None = None


def run_each(
    run: ContractRun, contract: ColdContract, cases: Iterable[CaseInput]
) -> Generator[CaseOutcome, None, None]:
    """Start one container for each case.

    The clock of a case holds start-up and answer together: ``seconds_to_ready`` and ``seconds_per_case``.

    Raises:
        SessionError, ImageRefused, PostureRefused, EngineBroken: the host's side failed.
    """
    with _prepared(run, contract) as cold:
        for case in cases:
            yield cold.case(case)


def run_all(
    run: ContractRun, contract: ColdContract, cases: Iterable[CaseInput]
) -> Generator[CaseOutcome, None, None]:
    """Start one container for all cases; it has the time of the whole run, and a case has no clock of its own.

    Raises:
        SessionError, ImageRefused, PostureRefused, EngineBroken: the host's side failed.
    """
    with _prepared(run, contract) as cold:
        yield from cold.all(list(cases))


@contextlib.contextmanager
def _prepared(run: ContractRun, contract: ColdContract) -> Generator[_ColdRun, None, None]:
    if run.answer is None:
        raise SessionError("This contract needs to be told where its output holds the answer.")
    check_empty_root(run.input_root)
    remove_leftovers(run.engine)
    planned = plan(run, user=contract.user)
    with (
        OutputFolder(run.limits.output_bytes, run.limits.output_inodes) as output,
        Background() as background,
    ):
        yield _ColdRun(run, contract, planned, run.answer, output, background)


class _ColdRun:
    """The state of one run: how much time and patience is left."""

    def __init__(
        self,
        run: ContractRun,
        contract: ColdContract,
        planned: SessionPlan,
        answer: AnswerLocation,
        output: OutputFolder,
        background: Background,
    ) -> None:
        self._run, self._contract, self._plan = run, contract, planned
        self._answer, self._output, self._background = answer, output, background
        self._ranges: dict[str, Form] = answer_ranges(run.task)
        self._seconds_left = run.limits.seconds_per_run
        self._lost_in_a_row = 0
        self._container = 0

    def case(self, case: CaseInput) -> CaseOutcome:
        check_case(case.case, case.files)
        limits = self._run.limits
        place = self._run.input_root / case.case
        try:
            if self._lost_in_a_row >= limits.failures_in_a_row:
                return _failed(case, FailureCode.NOT_STARTED, detail="given up")
            if self._seconds_left <= 0:
                return _failed(case, FailureCode.RUN_TIMEOUT)
            staged = self._staged(case)
            try:
                self._contract.arrange(case, place)
            except CaseFailed as failure:
                return not_staged(case, failure)
            allowed = limits.seconds_to_ready + limits.seconds_per_case
            allowed = min(allowed, self._contract.seconds or allowed)
            within = min(allowed, self._seconds_left)
            began = time.monotonic()
            try:
                try:
                    self._start(place, within)
                finally:
                    seconds = time.monotonic() - began
                    self._seconds_left -= seconds
                answer = self._read(staged)
            except CaseFailed as failure:
                return self._outcome(case, seconds, failure=failure, cut=within < allowed)
            return self._outcome(case, seconds, answer=answer)
        finally:
            self._background.do(remove_folders, place, case.directory)

    def all(self, cases: list[CaseInput]) -> Generator[CaseOutcome, None, None]:
        place = self._run.input_root / "all"
        try:
            if not cases:
                return
            place.mkdir(mode=0o755)
            staged = {}
            for case in cases:
                check_case(case.case, case.files)
                staged[case.case] = self._staged(case)
                self._contract.arrange(case, place)
            began = time.monotonic()
            ended: CaseFailed | None = None
            try:
                self._start(place, self._seconds_left)
            except CaseFailed as failure:
                ended = failure
            seconds = (time.monotonic() - began) / len(cases)
            for case in cases:
                try:
                    # A container that crashed late may have answered the cases before; those answers stand.
                    yield self._outcome(case, seconds, answer=self._read(staged[case.case]))
                except CaseFailed as failure:
                    missing = failure.code is FailureCode.OUTPUT_MISSING and ended is not None
                    yield self._outcome(case, seconds, failure=ended if missing else failure)
        finally:
            self._background.do(remove_folders, place, *(case.directory for case in cases))

    def _start(self, place: Path, within: float) -> None:
        """Run one container to its end.

        Raises:
            CaseFailed: it did not end well.
        """
        self._container += 1
        config = settings(self._plan, self._contract.folders, place, self._output.fresh())
        container = create(self._run.engine, config)
        began = time.monotonic()
        detail = ""
        try:
            self._event("ready")
            code = container.run(within, self._run.limits)
            if code != 0 and self._contract.exit_code_counts:
                raise CaseFailed(FailureCode.CRASHED, f"exit code {code}")
        except CaseFailed as failure:
            detail = f"{failure.code} {failure.detail}".strip()
            raise
        finally:
            # Nothing of it may write on while its output is read.
            self._remove(container)
            if detail:
                self._event("lost", time.monotonic() - began, detail, container.log_tail)

    def _remove(self, container: OneShot) -> None:
        """Remove a container that has ended in the background; any other now."""
        if self._run.engine.state(container.name).running:
            self._run.engine.remove(container.name)
        else:
            self._background.do(self._run.engine.remove, container.name)

    def _staged(self, case: CaseInput) -> StagedCase:
        return staged_case(self._run.reader, case, self._answer, self._ranges)

    def _read(self, staged: StagedCase) -> Answer:
        return collected_answer(self._output.path, self._answer, staged, self._ranges)

    def _outcome(
        self,
        case: CaseInput,
        seconds: float,
        *,
        failure: CaseFailed | None = None,
        answer: Answer | None = None,
        cut: bool = False,
    ) -> CaseOutcome:
        code = None if failure is None else failure.code
        self._lost_in_a_row = self._lost_in_a_row + 1 if code is not None and code.container_is_lost else 0
        if code is FailureCode.TIMEOUT and cut:
            code = FailureCode.RUN_TIMEOUT
        if answer is not None and answer.refusal is not None:
            code = FailureCode.REFUSED
        return replace(
            _failed(case, code, detail="" if failure is None else failure.detail),
            answer=None if answer is None else answer.values,
            refusal=None if answer is None else answer.refusal,
            seconds=seconds,
            container=self._container,
        )

    def _event(
        self, kind: Literal["ready", "lost"], seconds: float = 0.0, detail: str = "", log_tail: bytes = b""
    ) -> None:
        self._run.on_event(
            SessionEvent(
                kind=kind, container=self._container, seconds=seconds, detail=detail, log_tail=log_tail
            )
        )


def move(case: CaseInput, place: Path) -> None:
    """Move a staged case to ``place``; the folder above it must exist.

    Raises:
        SessionError: it cannot be moved there.
    """
    try:
        case.directory.chmod(0o755)
        case.directory.rename(place)
    except OSError as error:
        raise SessionError(
            f"A staged case cannot be moved to {place.parent} ({error.strerror}). See that both lie on one file "
            "system and that nothing else uses it."
        ) from error


def not_staged(case: CaseInput, failure: CaseFailed) -> CaseOutcome:
    """Say that the host could not lay out a case; no container has seen it."""
    return _failed(case, failure.code, failure.detail)


def _failed(case: CaseInput, code: FailureCode | None, detail: str = "") -> CaseOutcome:
    return CaseOutcome(case=case.case, failure=code, answer=None, seconds=0.0, container=0, detail=detail)


def remove_folders(*folders: Path) -> None:
    """Remove folders of cases that were asked, as far as they are there."""
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
