"""The worker contract: cases put one by one to a warm container (see WORKER.md).

Each case ends with an answer or with a code of :class:`runners.failures.FailureCode`; a container whose state
is unknown is replaced; a submission that is dead ends soon. Nothing that a container does makes a run hang.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from runners.answers import Answer, Form, answer_ranges, parse_answer
from runners.case_folders import CaseFolders, check_case
from runners.cases import CaseInput, CaseOutcome, SessionEvent
from runners.engine import Engine
from runners.leftovers import remove_leftovers
from runners.limits import Limits
from runners.posture import INPUT_TARGET, Posture, worker_environment
from runners.session import Session, plan_session
from runners.warm import WarmContainer

__all__ = ["CaseInput", "CaseOutcome", "SessionEvent", "run_cases"]


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
    warm = WarmContainer(lambda: Session(engine, plan), limits, on_event or (lambda _event: None))
    with CaseFolders(input_root) as folders:
        try:
            # The model loads while the first case is being made ready.
            warm.ready()
            for case in cases:
                yield _case(warm, folders, case, ranges)
        except BaseException:
            warm.end(0.0)
            raise
        warm.end(limits.seconds_to_stop)


def _case(
    warm: WarmContainer[Session], folders: CaseFolders, case: CaseInput, ranges: Mapping[str, Form]
) -> CaseOutcome:
    check_case(case.case, case.files)
    refused = warm.ready()
    if refused is not None:
        folders.remove(case.directory, case.files)
        return refused.outcome(case.case)
    question = {"case": case.case, "directory": f"{INPUT_TARGET}/{case.case}", "files": case.files}
    line = json.dumps(question, separators=(",", ":")).encode() + b"\n"

    def ask(session: Session, within: float) -> Answer:
        return parse_answer(session.ask(line, within), case.case, ranges)

    folders.show(case.case, case.directory)
    try:
        return warm.ask(ask).outcome(case.case)
    finally:
        folders.withdraw(case.case, case.directory, case.files)
