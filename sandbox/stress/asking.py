"""One stressed ask, made in a child process: the view of the case, then its perturbation, and nothing left beside.

The view is built anew for each ask, under its own key and pseudonym, so that neither disk nor memory holds the clean
cases while the run lasts.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from holdout.staging import StageTask, stage_case
from holdout.uids import keyed_token
from holdout.view import ViewPlan
from sandbox.stress.case import OpenCase
from sandbox.stress.perturb import NotApplicable, PerturbedCase, perturb_case
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.registry import find

CLEAN = "clean"
"""Name of the ask that changes nothing: the case again, under new identifiers."""


def _nothing(case: OpenCase, severity: Severity, numbers: object) -> None:
    """Leave the case as it is."""


CLEAN_COPY = Perturbation(
    name=CLEAN,
    family="repeatability",
    expectation="must not change",
    kind="header",
    unit="",
    severities=(CLEAN,),
    sentence="The same case again, under other identifiers.",
    source="Raunig et al., Stat Methods Med Res 2015",
    function=_nothing,
    in_place=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTask:
    """What a child needs to make one ask.

    Attributes:
        case: how to stage it; ``destination`` is the work folder, ``pseudonym`` a name for the time of the work.
        donor: the same of another patient's case, or None.
        perturbation: name in the registry, or ``clean``.
        stable_case, seed: decide the random numbers, the same for every submission.
        key: secret of this ask; identifiers follow from it.
        folder: where the files appear.
    """

    case: StageTask
    donor: StageTask | None
    perturbation: str
    severity: int
    stable_case: str
    seed: int
    key: bytes
    folder: str


def pseudonym_of(key: bytes, perturbation: str, severity: int, stable_case: str) -> str:
    """The pseudonym that the files of an ask carry; ``sandbox.stress.perturb`` derives the same."""
    return keyed_token(key, perturbation, str(severity), stable_case, "pseudonym")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStaged:
    """The view of the case, or of the donor, could not be built; ``code`` is of the closed set of staging."""

    code: str


def make_ask(task: AskTask, *, plan: ViewPlan) -> PerturbedCase | NotApplicable | NotStaged:
    """Stage and perturb one case; importable by name, for a pool of bounded child processes."""
    perturbation = CLEAN_COPY if task.perturbation == CLEAN else find(task.perturbation)
    work = Path(task.case.destination)
    work.mkdir(mode=0o700)
    try:
        found = [stage_case(each, plan=plan) for each in (task.case, task.donor) if each is not None]
        for each in found:
            if each.code:
                return NotStaged(code=each.code)
        donor = None if task.donor is None else (work / task.donor.pseudonym, found[1].files)
        return perturb_case(
            work / task.case.pseudonym,
            found[0].files,
            perturbation,
            task.severity,
            case=task.stable_case,
            seed=task.seed,
            key=task.key,
            destination=Path(task.folder),
            donor=donor,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
