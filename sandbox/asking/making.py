"""Cases as they are needed: staged, or staged and stressed, a bounded number ahead of the containers.

A stressed case is made in its turn among the clean ones and taken away after its answer; nothing accumulates.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from holdout.bounded import BoundedPool, Failure
from holdout.staging import StagedCase, Stager, StageTask
from runners.failures import FailureCode
from runners.worker import CaseInput
from sandbox.asking.ahead import ahead
from sandbox.asking.asks import Ask
from sandbox.asking.making_task import Made, NotMade, make
from sandbox.stress.asking import AskTask

AHEAD = 16
"""Cases staged ahead of each container: staging hides behind the container's own time."""
AHEAD_STRESSED = 8
"""The same where stressed cases are among them, which are larger."""
NOT_APPLICABLE = "not_applicable"
"""How an ask ends when the perturbation has no meaning for the case: nobody was asked."""
CHILD_MEMORY = 3 << 30
SECONDS_PER_ASK = 120.0
_FILE_NAME = re.compile(r"[0-9]{6}\.dcm", re.ASCII)

Ready = tuple[Ask, CaseInput | str]
"""An ask with its case, or with the code of why there is none."""


def child_processes(containers: int) -> int:
    """How many children make cases: the processors that the containers leave."""
    return max(1, len(os.sched_getaffinity(0)) - containers)


@contextlib.contextmanager
def made_ahead(
    asks: Sequence[Ask], stager: Stager, folder: Path, *, seed: int, containers: int
) -> Iterator[Iterator[Ready]]:
    """Make the cases of ``asks`` in ``folder``, in their order; several threads may share the iterator.

    Args:
        stager: of this run, with ``folder`` for its destination; it is entered only when no ask is stressed, which
            is so at most once in a run.
        seed: decides the random numbers of perturbations, with the case.
    """
    stressed = any(ask.stressed for ask in asks)
    # What was made is taken away when the pool is closed, so that comes last.
    with contextlib.ExitStack() as opened:
        source = (
            _stressed(asks, stager, folder, seed, containers, opened)
            if stressed
            else _staged(asks, stager, opened)
        )
        with ahead(source, (AHEAD_STRESSED if stressed else AHEAD) * containers) as ready:
            yield ready


def _staged(asks: Sequence[Ask], stager: Stager, opened: contextlib.ExitStack) -> Iterator[Ready]:
    # Its child processes start here, in the thread that works ahead, while the containers start.
    opened.enter_context(stager)
    by_token = {ask.token: ask for ask in asks}
    for item in stager.stage(by_token.keys()):
        ask = by_token[item.pseudonym]
        if isinstance(item, StagedCase):
            yield ask, CaseInput(case=ask.token, directory=item.directory, files=item.files)
        else:
            yield ask, FailureCode.STAGING_FAILED.value


def _stressed(
    asks: Sequence[Ask],
    stager: Stager,
    folder: Path,
    seed: int,
    containers: int,
    opened: contextlib.ExitStack,
) -> Iterator[Ready]:
    pool: BoundedPool[StageTask | AskTask, Made | NotMade] = BoundedPool(
        partial(make, plan=stager.plan),
        processes=child_processes(containers),
        memory_bytes=CHILD_MEMORY,
        seconds_per_task=SECONDS_PER_ASK,
        largest_chunk=2,
    )
    opened.enter_context(pool)
    tasks = (_task(ask, stager, folder, seed) for ask in asks)
    for ask, (_, result) in zip(asks, pool.map(tasks, ordered=True), strict=True):
        yield ask, _input(ask, result, folder)


def _task(ask: Ask, stager: Stager, folder: Path, seed: int) -> StageTask | AskTask:
    if not ask.stressed:
        return stager.task(ask.case_id, ask.token, folder)
    view = folder / f".{ask.token}.view"
    return AskTask(
        case=stager.task(ask.case_id, ask.token, view),
        donor=None if ask.donor is None else stager.task(ask.donor, f"{ask.token}-donor", view),
        perturbation=ask.change,
        severity=ask.severity,
        stable_case=ask.case_id,
        seed=seed,
        key=ask.key,
        folder=str(folder / ask.token),
    )


def _input(ask: Ask, result: Made | NotMade | Failure, folder: Path) -> CaseInput | str:
    """What is shown, if the child kept to the form: its word is not trusted."""
    directory = folder / ask.token
    if isinstance(result, Made) and result.files and all(map(_FILE_NAME.fullmatch, result.files)):
        return CaseInput(case=ask.token, directory=directory, files=result.files)
    for left in (directory, folder / f".{ask.token}", folder / f".{ask.token}.view"):
        shutil.rmtree(left, ignore_errors=True)
    if isinstance(result, NotMade) and not result.applicable:
        return NOT_APPLICABLE
    return FailureCode.STAGING_FAILED.value
