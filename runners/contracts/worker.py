"""The worker contract (``runners/WORKER.md``) as one of the contracts."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

from runners.contracts.interface import Contract, ContractRun, ImageDeclaration
from runners.errors import ContractRefused
from runners.worker import CaseInput, CaseOutcome, run_cases


def declare(_image: ImageDeclaration, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Nothing is to be declared.

    Raises:
        ContractRefused: something is.
    """
    if document is not None:
        raise ContractRefused("The worker contract has no contract file. Leave --contract-file out.")
    return {}


def run(run: ContractRun, cases: Iterable[CaseInput]) -> Generator[CaseOutcome, None, None]:
    """Put cases to warm containers; see :func:`runners.worker.run_cases`."""
    yield from run_cases(
        run.engine,
        run.image,
        posture=run.posture,
        limits=run.limits,
        cases=cases,
        input_root=run.input_root,
        task=run.task,
        on_event=run.on_event,
        user=run.user,
    )


CONTRACT = Contract(name="worker", declare=declare, run=run, default_answer=None, needs_answer=False)
