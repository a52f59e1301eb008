"""One case made in a child process: as it is, or stressed. Importable by name, for a pool of bounded children."""

from __future__ import annotations

from dataclasses import dataclass

from holdout.staging import StageTask, stage_case
from holdout.view import ViewPlan
from sandbox.stress.asking import AskTask, make_ask
from sandbox.stress.perturb import NotApplicable, PerturbedCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The case is on disk; names of its files."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMade:
    """There is nothing to ask: the perturbation has no meaning for the case, or a view could not be built."""

    applicable: bool


def make(task: StageTask | AskTask, *, plan: ViewPlan) -> Made | NotMade:
    """Stage a case, and perturb it where the task says so."""
    if isinstance(task, StageTask):
        staged = stage_case(task, plan=plan)
        return NotMade(applicable=True) if staged.code else Made(files=staged.files)
    found = make_ask(task, plan=plan)
    if isinstance(found, PerturbedCase):
        return Made(files=found.files)
    return NotMade(applicable=not isinstance(found, NotApplicable))
