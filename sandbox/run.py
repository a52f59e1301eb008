"""The run: staged cases go to the container one by one, and every ending is written down before the next."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdout.case_reader import CaseReader
from holdout.lock import LockedHoldout
from holdout.staging import StagedCase, Stager, StagingFailure
from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.engine import Engine
from runners.failures import FailureCode
from runners.limits import Limits
from runners.posture import Posture
from runners.worker import CaseInput, CaseOutcome, SessionEvent
from sandbox.ahead import ahead
from sandbox.case_images import StagedImages
from sandbox.journal import Ended, Journal
from sandbox.output_schema import Number
from sandbox.policy import Policy
from sandbox.predictions import typed_answer
from sandbox.protocol import Output, Protocol
from sandbox.smoke import ask_smoke_case, judge_smoke_case, smoke_case
from sandbox.submissions import Submission

AHEAD = 16
"""Cases staged ahead of each container: staging hides behind the container's own time."""


@dataclass(slots=True)
class RunTally:
    """What happened in one run of the container; for the operator and, in part, the report."""

    containers: int = 0
    events: list[SessionEvent] = field(default_factory=list)


def run_key(pseudonym_key: bytes, evaluation: str) -> bytes:
    """Key of one evaluation's pseudonyms and case order.

    Two evaluations share no pseudonym, so that two vendors cannot compare cases; the same evaluation resumed has
    the same ones.
    """
    return hmac.new(pseudonym_key, b"proctor-run-key/1\0" + evaluation.encode(), hashlib.sha256).digest()


def contract_run(
    engine: Engine,
    submission: Submission,
    protocol: Protocol,
    *,
    posture: Posture,
    limits: Limits,
    input_root: Path,
) -> ContractRun:
    """Say how a submission's containers are asked: by its contract, for the protocol's task."""
    task = {
        "kind": protocol.task.kind,
        "target": protocol.subject,
        "unit": protocol.task.unit,
        "output": _request(protocol.output),
    }
    return ContractRun(
        engine=engine,
        image=submission.digest,
        posture=posture,
        limits=limits,
        input_root=input_root,
        task=task,
        settings=submission.settings,
        answer=submission.answer_location,
        attachments=submission.attachments,
        user=submission.user,
    )


def _request(output: Output) -> Mapping[str, Mapping[str, float | bool]]:
    part = output.mask or output.findings
    return part.request if part is not None else {number.name: _range(number) for number in output.numbers}


def _range(number: Number) -> dict[str, float | bool]:
    bounds: dict[str, float | bool] = {"minimum": number.minimum, "maximum": number.maximum}
    return {**bounds, "whole": True} if number.whole else bounds


def run_submission(
    submission: Submission,
    request: ContractRun,
    locked: LockedHoldout,
    journal: Journal,
    *,
    policy: Policy,
    protocol: Protocol,
    key: bytes,
    work: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> RunTally:
    """Ask the container about every case that the journal does not hold yet, after the smoke case.

    Args:
        request: what :func:`contract_run` made; every container gets an input root of its own below ``work``.
        policy: it says how many containers run side by side; each sees one case at a time, or all when its
            contract says so.
        work: a folder for staged cases; it is emptied again.

    Raises:
        EvaluationRefusedError: the smoke case failed; no container has seen a real one.
        HoldoutError, RunnerError: the host's side failed; the journal keeps what had ended.
    """
    total = locked.cases.num_rows
    tally = RunTally()
    if len(journal.ended) >= total:
        return tally
    contract = CONTRACTS[submission.contract]
    containers = policy.run.containers
    together = contract.whole_set(submission.settings)
    if together:
        containers = 1
        ask_smoke_case(submission, request, policy, protocol, work, key)
    gate = _Gate(is_open=together)
    staging = work / "staging"
    staging.mkdir()
    guard = threading.Lock()

    def end(item: Ended) -> None:
        with guard:
            journal.append(item)
            if progress:
                progress(len(journal.ended), total)

    stager = Stager(
        locked,
        run_key=key,
        attributes=protocol.input.attributes,
        destination=staging,
        processes=max(1, len(os.sched_getaffinity(0)) - containers),
        ahead=AHEAD * containers,
    )
    names = {stager.pseudonym(case_id): case_id for case_id in locked.cases["case_id"].to_pylist()}
    waiting = {name for name, case_id in names.items() if case_id not in journal.ended}

    opened, stop = contextlib.ExitStack(), threading.Event()

    def stage() -> Iterator[StagedCase | StagingFailure]:
        # Its child processes start here, in the thread that works ahead, while the containers start.
        opened.enter_context(stager)
        yield from stager.stage(waiting)

    # The stager takes away what was staged when it is closed, so that comes last.
    with opened, ahead(stage(), AHEAD * containers) as source:

        def staged(number: int) -> Iterator[CaseInput]:
            """Cases for one container, taken from the one source that all of them share."""
            if number == 0 and not together:
                yield smoke.result()
            if not gate.wait():
                return
            for item in source:
                if isinstance(item, StagingFailure):
                    end(_not_staged(item))
                else:
                    yield CaseInput(case=item.pseudonym, directory=item.directory, files=item.files)

        def note(event: SessionEvent) -> None:
            with guard:
                tally.events.append(event)
                tally.containers += event.kind in ("ready", "not_ready")

        def serve(number: int) -> None:
            try:
                root = work / f"input-{number}"
                root.mkdir()
                images = StagedImages(opened.enter_context(CaseReader()))
                ready = replace(request, input_root=root, on_event=note, reader=images)
                with contextlib.closing(contract.run(ready, staged(number))) as outcomes:
                    for outcome in outcomes:
                        if outcome.case in names:
                            end(_ended(outcome, names[outcome.case], number, protocol))
                        else:
                            judge_smoke_case(outcome, policy)
                            gate.open()
                        if stop.is_set():
                            return
            finally:
                if number == 0:
                    gate.shut_unless_open()

        with ThreadPoolExecutor(containers + 1) as pool:
            # Made while the containers start.
            smoke: Future[CaseInput] = pool.submit(opened.enter_context, smoke_case(protocol, work, key))
            running = [pool.submit(serve, number) for number in range(containers)]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                # One side's failure, or Ctrl-C, ends the others after the case they are at.
                stop.set()
        for each in running:
            each.result()
    shutil.rmtree(staging, ignore_errors=True)
    return tally


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


def failure_counts(journal: Journal) -> dict[str, int]:
    """Cases by failure code."""
    return dict(sorted(Counter(item.failure for item in journal.ended.values() if item.failure).items()))


def _ended(outcome: CaseOutcome, case_id: str, number: int, protocol: Protocol) -> Ended:
    answered = None if outcome.answer is None else list(typed_answer(outcome.answer, protocol.output))
    return Ended(
        case_id=case_id,
        levels=answered,
        failure=None if outcome.failure is None else outcome.failure.value,
        seconds=round(outcome.seconds, 6),
        container=f"{number + 1}.{outcome.container}",
    )


def _not_staged(item: StagingFailure) -> Ended:
    return Ended(
        case_id=item.case_id, levels=None, failure=FailureCode.STAGING_FAILED.value, seconds=0.0, container=""
    )
