"""The run: staged cases go to the container one by one, and every ending is written down before the next."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from sandbox.journal import Ended, Journal
from sandbox.predictions import level
from sandbox.protocol import Protocol
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
    score = protocol.output.score
    task = {
        "kind": protocol.task.kind,
        "target": protocol.task.target,
        "unit": protocol.task.unit,
        "output": {"score": {"minimum": score.minimum, "maximum": score.maximum}},
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
        user=submission.user,
    )


def run_submission(
    submission: Submission,
    request: ContractRun,
    locked: LockedHoldout,
    journal: Journal,
    *,
    protocol: Protocol,
    containers: int,
    key: bytes,
    work: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> RunTally:
    """Ask the container about every case that the journal does not hold yet.

    Args:
        request: what :func:`contract_run` made; every container gets an input root of its own below ``work``.
        containers: containers side by side; each sees one case at a time, or all when its contract says so.
        work: a folder for staged cases; it is emptied again.

    Raises:
        HoldoutError, RunnerError: the host's side failed; the journal keeps what had ended.
    """
    total = locked.cases.num_rows
    tally = RunTally()
    if len(journal.ended) >= total:
        return tally
    contract = CONTRACTS[submission.contract]
    if contract.whole_set(submission.settings):
        containers = 1
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

    opened = contextlib.ExitStack()

    def stage() -> Iterator[StagedCase | StagingFailure]:
        # Its child processes start here, in the thread that works ahead, while the containers start.
        opened.enter_context(stager)
        yield from stager.stage(waiting)

    # The stager takes away what was staged when it is closed, so that comes last.
    with opened, ahead(stage(), AHEAD * containers) as source:

        def staged() -> Iterator[CaseInput]:
            """Cases for one container, taken from the one source that all of them share."""
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
            root = work / f"input-{number}"
            root.mkdir()
            outcomes = contract.run(replace(request, input_root=root, on_event=note), staged())
            with contextlib.closing(outcomes):
                for outcome in outcomes:
                    end(_ended(outcome, names[outcome.case], number, protocol))
                    if stop.is_set():
                        return

        stop = threading.Event()
        with ThreadPoolExecutor(containers) as pool:
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


def failure_counts(journal: Journal) -> dict[str, int]:
    """Cases by failure code."""
    return dict(sorted(Counter(item.failure for item in journal.ended.values() if item.failure).items()))


def _ended(outcome: CaseOutcome, case_id: str, number: int, protocol: Protocol) -> Ended:
    answered = None if outcome.answer is None else level(outcome.answer["score"], protocol.output.score)
    return Ended(
        case_id=case_id,
        level=answered,
        failure=None if outcome.failure is None else outcome.failure.value,
        seconds=round(outcome.seconds, 6),
        container=f"{number + 1}.{outcome.container}",
    )


def _not_staged(item: StagingFailure) -> Ended:
    return Ended(
        case_id=item.case_id, level=None, failure=FailureCode.STAGING_FAILED.value, seconds=0.0, container=""
    )
