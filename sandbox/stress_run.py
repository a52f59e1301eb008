"""The stressed part of a run: each ask is made, put to a warm container, written down and taken away.

It comes after the clean cases, in containers of its own that stay warm over all asks: what a perturbation does to a
container - a crash, a lost clock - can then never cost the answer to a clean case.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path

from holdout.bounded import BoundedPool, Failure
from holdout.case_reader import CaseReader
from holdout.lock import LockedHoldout
from holdout.staging import Stager
from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.failures import FailureCode
from runners.worker import CaseInput, CaseOutcome, SessionEvent
from sandbox.ahead import ahead
from sandbox.case_images import StagedImages
from sandbox.journal import Ended, Journal
from sandbox.policy import Policy
from sandbox.predictions import typed
from sandbox.protocol import Protocol
from sandbox.run import RunTally
from sandbox.stress.asking import AskTask, NotStaged, make_ask
from sandbox.stress.perturb import NotApplicable, PerturbedCase
from sandbox.stress_plan import SESSIONS, Ask, StressPlan
from sandbox.submissions import Submission

NOT_APPLICABLE = "not_applicable"
"""How an ask ends when the perturbation has no meaning for the case: nobody was asked."""
AHEAD = 8
"""Asks made ahead of each container."""
CHILD_MEMORY = 3 << 30
SECONDS_PER_ASK = 120.0
_FILE_NAME = re.compile(r"[0-9]{6}\.dcm", re.ASCII)

Made = PerturbedCase | NotApplicable | NotStaged


def waiting(plan: StressPlan, journal: Journal) -> list[Ask]:
    """Asks that the journal does not hold yet, in their order."""
    return [ask for ask in plan.asks if ask.token not in journal.ended]


def run_stress(
    submission: Submission,
    request: ContractRun,
    locked: LockedHoldout,
    plan: StressPlan,
    journal: Journal,
    *,
    policy: Policy,
    protocol: Protocol,
    key: bytes,
    work: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> RunTally:
    """Put every ask that the journal does not hold yet; its lines are by the ask's token.

    Args:
        request: as for the clean cases; every container gets an input root of its own below ``work``.
        key: the run's key.
        work: a folder for the asks in hand; it is emptied again.

    Raises:
        HoldoutError, RunnerError: the host's side failed; the journal keeps what had ended.
    """
    tally = RunTally()
    left = waiting(plan, journal)
    for session in SESSIONS:
        asks = [ask for ask in left if ask.session == session]
        if asks:
            limits = request.limits
            if session == "threads":
                limits = replace(limits, cpus=1.0 if limits.cpus > 1 else limits.cpus / 2)
            folder = work / session
            folder.mkdir()
            one = _Session(
                submission,
                replace(request, limits=limits),
                locked,
                journal,
                tally=tally,
                policy=policy,
                protocol=protocol,
                key=key,
                work=folder,
                progress=lambda: progress(len(journal.ended), len(plan.asks)) if progress else None,
            )
            one.put(asks)
            shutil.rmtree(folder, ignore_errors=True)
    return tally


class _Session:
    """Containers that stay warm over the asks of one session."""

    def __init__(
        self,
        submission: Submission,
        request: ContractRun,
        locked: LockedHoldout,
        journal: Journal,
        *,
        tally: RunTally,
        policy: Policy,
        protocol: Protocol,
        key: bytes,
        work: Path,
        progress: Callable[[], None],
    ) -> None:
        self._contract = CONTRACTS[submission.contract]
        together = self._contract.whole_set(submission.settings)
        self._containers = 1 if together else policy.run.containers
        self._request, self._protocol, self._journal, self._tally = request, protocol, journal, tally
        self._work, self._progress, self._seed = work, progress, _seed(protocol)
        # It says how cases are staged; its own child processes are never started.
        self._stager = Stager(locked, run_key=key, attributes=protocol.input.attributes, destination=work)
        self._guard, self._stop = threading.Lock(), threading.Event()

    def put(self, asks: Sequence[Ask]) -> None:
        by_token = {ask.token: ask for ask in asks}
        with contextlib.ExitStack() as opened:

            def made() -> Iterator[tuple[AskTask, Made | Failure]]:
                pool: BoundedPool[AskTask, Made] = BoundedPool(
                    partial(make_ask, plan=self._stager.plan),
                    processes=max(1, len(os.sched_getaffinity(0)) - self._containers),
                    memory_bytes=CHILD_MEMORY,
                    seconds_per_task=SECONDS_PER_ASK,
                    largest_chunk=2,
                )
                opened.enter_context(pool)
                yield from pool.map(map(self._task, asks), ordered=True)

            with (
                ahead(made(), AHEAD * self._containers) as source,
                ThreadPoolExecutor(self._containers) as pool,
            ):
                running = [
                    pool.submit(self._serve, number, source, by_token) for number in range(self._containers)
                ]
                try:
                    wait(running, return_when=FIRST_EXCEPTION)
                finally:
                    # One side's failure, or Ctrl-C, ends the others after the ask they are at.
                    self._stop.set()
            for each in running:
                each.result()

    def _serve(
        self, number: int, source: Iterator[tuple[AskTask, Made | Failure]], by_token: dict[str, Ask]
    ) -> None:
        root = self._work / f"input-{number}"
        root.mkdir()
        with CaseReader() as reader:
            request = replace(
                self._request, input_root=root, on_event=self._note, reader=StagedImages(reader)
            )
            with contextlib.closing(self._contract.run(request, self._inputs(source))) as outcomes:
                for outcome in outcomes:
                    self._end(_ended(outcome, by_token[outcome.case], number, self._protocol))
                    if self._stop.is_set():
                        return

    def _inputs(self, source: Iterator[tuple[AskTask, Made | Failure]]) -> Iterator[CaseInput]:
        for task, result in source:
            token = Path(task.folder).name
            if isinstance(result, PerturbedCase) and all(map(_FILE_NAME.fullmatch, result.files)):
                yield CaseInput(case=token, directory=Path(task.folder), files=result.files)
                continue
            shutil.rmtree(task.folder, ignore_errors=True)
            code = NOT_APPLICABLE if isinstance(result, NotApplicable) else FailureCode.STAGING_FAILED.value
            self._end(Ended(case_id=token, levels=None, failure=code, seconds=0.0, container=""))

    def _task(self, ask: Ask) -> AskTask:
        folder = self._work / f".{ask.token}.view"
        return AskTask(
            case=self._stager.task(ask.case_id, ask.token, folder),
            donor=None if ask.donor is None else self._stager.task(ask.donor, f"{ask.token}-donor", folder),
            perturbation=ask.change,
            severity=ask.severity,
            stable_case=ask.case_id,
            seed=self._seed,
            key=ask.key,
            folder=str(self._work / ask.token),
        )

    def _end(self, item: Ended) -> None:
        with self._guard:
            self._journal.append(item)
            self._progress()

    def _note(self, event: SessionEvent) -> None:
        with self._guard:
            self._tally.events.append(event)
            self._tally.containers += event.kind in ("ready", "not_ready")


def _seed(protocol: Protocol) -> int:
    assert protocol.stress is not None
    return protocol.stress.seed


def _ended(outcome: CaseOutcome, ask: Ask, number: int, protocol: Protocol) -> Ended:
    answered = None if outcome.answer is None else list(typed(outcome.answer, protocol.output.numbers))
    return Ended(
        case_id=ask.token,
        levels=answered,
        failure=None if outcome.failure is None else outcome.failure.value,
        seconds=round(outcome.seconds, 6),
        container=f"{ask.session}-{number + 1}.{outcome.container}",
    )
