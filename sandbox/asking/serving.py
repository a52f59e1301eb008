"""One round of asking: containers side by side, fed from one source, each ending written down before the next case.

Where stressed asks are among the clean ones, what they do to a container must not cost a clean case its answer:

* Losing containers to stressed asks does not end the patience with a submission; losing them to clean cases in a row
  does, as without stress.
* A clean case whose container was lost, or that was not asked any more, is handed back, to be asked once more of
  containers that have met no stressed ask. What those do with it counts.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdout.case_reader import CaseReader
from runners.contracts.interface import Contract, ContractRun
from runners.failures import FailureCode
from runners.worker import CaseInput, CaseOutcome, SessionEvent
from sandbox.asking.asks import Ask, Journals
from sandbox.asking.case_images import StagedImages
from sandbox.asking.journal import Ended
from sandbox.asking.making import Ready
from sandbox.asking.predictions import typed_answer
from sandbox.plan.task_section import Output


@dataclass(slots=True)
class RunTally:
    """What happened in one run of the container; for the operator and, in part, the report.

    ``again`` counts clean cases that were asked once more, since a container was lost among stressed asks.
    """

    containers: int = 0
    again: int = 0
    events: list[SessionEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """The synthetic case that a container must stand before any real one is shown; see :mod:`sandbox.asking.smoke`.

    ``judge`` raises when its outcome lets no real case be shown.
    """

    case: Callable[[], contextlib.AbstractContextManager[CaseInput]]
    judge: Callable[[CaseOutcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round.

    Attributes:
        name: of its folder below ``work``, and of its containers in the journal.
        asks: what is asked, in order.
        request: every container gets an input root of its own below ``work``.
        smoke: None when a container of this run has stood it already.
    """

    name: str
    asks: Sequence[Ask]
    contract: Contract
    request: ContractRun
    containers: int
    smoke: Smoke | None
    output: Output
    work: Path


class Serving:
    """The containers of one round; :meth:`put` asks everything."""

    def __init__(
        self,
        this: Round,
        source: Iterator[Ready],
        journals: Journals,
        tally: RunTally,
        progress: Callable[[], None],
    ) -> None:
        self._this, self._source, self._journals = this, source, journals
        self._tally, self._progress = tally, progress
        self._by_token = {ask.token: ask for ask in this.asks}
        self._stressed = any(ask.stressed for ask in this.asks)
        self._guard, self._stop = threading.Lock(), threading.Event()
        self._gate = _Gate(is_open=this.smoke is None)
        self._opened = contextlib.ExitStack()
        self.again: list[Ask] = []
        self.clean_seconds = 0.0

    def put(self) -> None:
        """Ask until the source is at its end; :attr:`again` then holds the clean cases that are to be asked once more.

        Raises:
            EvaluationRefusedError: the smoke case failed; no container has seen a real one.
            HoldoutError, RunnerError: the host's side failed; the journal keeps what had ended.
        """
        this = self._this
        with self._opened, ThreadPoolExecutor(this.containers + 1) as pool:
            smoke: Future[CaseInput] | None = None
            if this.smoke is not None:
                # Made while the containers start.
                smoke = pool.submit(self._opened.enter_context, this.smoke.case())
            running = [pool.submit(self._serve, number, smoke) for number in range(this.containers)]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                # One side's failure, or Ctrl-C, ends the others after the case they are at.
                self._stop.set()
        for each in running:
            each.result()

    def _serve(self, number: int, smoke: Future[CaseInput] | None) -> None:
        this = self._this
        try:
            root = this.work / f"{this.name}-input-{number}"
            root.mkdir()
            with CaseReader() as reader:
                request = replace(
                    this.request, input_root=root, on_event=self._note, reader=StagedImages(reader)
                )
                patience = request.limits.failures_in_a_row
                if self._stressed:
                    # Counted here, where clean and stressed are told apart.
                    limits = replace(request.limits, failures_in_a_row=len(this.asks) + 1)
                    request = replace(request, limits=limits)
                inputs = self._inputs(smoke if number == 0 else None)
                with contextlib.closing(this.contract.run(request, inputs)) as outcomes:
                    given_up = self._take(outcomes, number, patience)
            if given_up:
                self._leave_the_rest()
        finally:
            if number == 0:
                self._gate.shut_unless_open()

    def _take(self, outcomes: Iterator[CaseOutcome], number: int, patience: int) -> bool:
        """Write down what comes; tell whether the submission is given up."""
        lost_in_a_row = 0
        for outcome in outcomes:
            ask = self._by_token.get(outcome.case)
            if ask is None:
                assert self._this.smoke is not None, "only the smoke case is asked without being planned"
                self._this.smoke.judge(outcome)
                self._gate.open()
            else:
                lost = self._end(ask, outcome, number)
                lost_in_a_row = 0 if not lost else lost_in_a_row + (not ask.stressed)
            if self._stop.is_set():
                return False
            if self._stressed and lost_in_a_row >= patience:
                return True
        return False

    def _inputs(self, smoke: Future[CaseInput] | None) -> Iterator[CaseInput]:
        """Cases for one container, taken from the one source that all of them share."""
        if smoke is not None:
            yield smoke.result()
        if not self._gate.wait():
            return
        for ask, made in self._source:
            if isinstance(made, CaseInput):
                yield made
            else:
                self._settle(ask, self._journals.ending(ask, failure=made), lost=False)

    def _leave_the_rest(self) -> None:
        for ask, made in self._source:
            if self._stop.is_set():
                return
            code = made
            if isinstance(made, CaseInput):
                shutil.rmtree(made.directory, ignore_errors=True)
                code = FailureCode.NOT_STARTED.value
            ending = self._journals.ending(ask, failure=str(code))
            self._settle(ask, ending, lost=isinstance(made, CaseInput))

    def _end(self, ask: Ask, outcome: CaseOutcome, number: int) -> bool:
        """Write down an outcome; tell whether the container was lost."""
        lost = outcome.failure is not None and outcome.failure.container_is_lost
        ending = self._journals.ending(
            ask,
            levels=None if outcome.answer is None else list(typed_answer(outcome.answer, self._this.output)),
            failure=None if outcome.failure is None else outcome.failure.value,
            seconds=round(outcome.seconds, 6),
            # Without a container nobody was asked.
            container=f"{self._this.name}-{number + 1}.{outcome.container}" if outcome.container else "",
        )
        self._settle(ask, ending, lost=lost)
        return lost

    def _settle(self, ask: Ask, ending: Ended, *, lost: bool) -> None:
        with self._guard:
            if not ask.stressed:
                self.clean_seconds += ending.seconds
            if lost and self._stressed and not ask.stressed:
                self.again.append(ask)
                self._tally.again += 1
            else:
                self._journals.append(ask, ending)
                self._progress()

    def _note(self, event: SessionEvent) -> None:
        with self._guard:
            self._tally.events.append(event)
            self._tally.containers += event.kind in ("ready", "not_ready")


class _Gate:
    """Keeps real cases from every container until one of them has stood the smoke case."""

    def __init__(self, *, is_open: bool) -> None:
        self._decided, self._is_open = threading.Event(), is_open
        if is_open:
            self._decided.set()

    def open(self) -> None:
        self._is_open = True
        self._decided.set()

    def shut_unless_open(self) -> None:
        """Let those who wait go, without a case."""
        self._decided.set()

    def wait(self) -> bool:
        """Wait for the decision; tell whether real cases may be shown."""
        self._decided.wait()
        return self._is_open
