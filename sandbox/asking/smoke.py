"""The smoke case: before any real case, a container is asked about a synthetic one, under the run's own posture.

What cannot start, or does not keep to its contract, then never sees a patient's image. The case is a SYNTHETIC
radiograph (:mod:`holdout.synthetic`) in the view that real cases have. It is the first question of the run's first
container; where one container gets all cases together, it has a run of its own.

It is a sentinel too: the name that it bears as a patient occurs nowhere else, and is searched in whatever would leave.
"""

from __future__ import annotations

import contextlib
import csv
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from holdout import synthetic
from holdout.case_reader import CaseReader
from holdout.uids import keyed_token
from holdout.view import ViewPlan, build, read_source
from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.failures import FailureCode
from runners.worker import CaseInput, CaseOutcome
from sandbox.asking.case_images import StagedImages
from sandbox.errors import EvaluationRefusedError
from sandbox.institution.policy import Policy
from sandbox.plan.protocol import Protocol
from sandbox.submissions import Submission

_PATIENTS = 10
_SEED = 90_001

# Failures that no picture excuses: the container did not start, or did not keep to its contract.
_FORM = frozenset(
    {
        FailureCode.NOT_STARTED,
        FailureCode.PARTIAL_LINE,
        FailureCode.GARBAGE,
        FailureCode.WRONG_CASE,
        FailureCode.FLOOD,
        FailureCode.OUTPUT_REFUSED,
    }
)
_ANSWERED = frozenset({FailureCode.REFUSED, FailureCode.OUT_OF_RANGE})


def sentinel(key: bytes) -> str:
    """The name of a run's synthetic case, which nothing that leaves may carry."""
    return keyed_token(key, "sentinel")


def synthetic_cases(
    folder: Path, protocol: Protocol, picks: Sequence[int] = (0,), *, pseudonym: str | None = None
) -> Iterator[CaseInput]:
    """Make synthetic cases of one image each below ``folder`` (which exists).

    ``picks`` are numbers of images, from 0, in the order of the cases. Equal numbers give equal images and UIDs
    under other pseudonyms, in every call. ``pseudonym`` names a single case; without it names are random.
    """
    data = folder / "synthetic"
    synthetic.generate(data, patients=_PATIENTS, seed=_SEED)
    with (data / "acquisition.csv").open(newline="", encoding="utf-8") as file:
        # One make, so that a model that fails on the other scanner is not taken for one that cannot start.
        rows = [row["file"] for row in csv.DictReader(file) if row["manufacturer"] == "Synthetic A"]
    plan = ViewPlan(attributes=protocol.input.attributes)
    rules = plan.rules()
    try:
        for pick in picks:
            name = rows[pick]
            named = pseudonym or secrets.token_hex(8)
            source = read_source((data / "dicom" / name).read_bytes(), rules)
            directory = folder / named
            directory.mkdir(mode=0o755)
            (directory / "000001.dcm").write_bytes(
                build(
                    source,
                    plan,
                    rules=rules,
                    case_key=pick.to_bytes(32),
                    pseudonym=named,
                    number=1,
                )
            )
            yield CaseInput(case=named, directory=directory, files=("000001.dcm",))
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def smoke_case(protocol: Protocol, work: Path, key: bytes) -> Iterator[CaseInput]:
    """Make the one synthetic case that a container is asked first, below ``work``, the run's folder.

    ``key`` is the run's; the case's name follows from it.
    """
    folder = work / "smoke"
    folder.mkdir()
    try:
        (case,) = synthetic_cases(folder, protocol, pseudonym=sentinel(key))
        yield case
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ask_smoke_case(
    submission: Submission,
    request: ContractRun,
    policy: Policy,
    protocol: Protocol,
    work: Path,
    key: bytes,
) -> None:
    """Ask about one synthetic case in a run of its own; ``work`` is the run's folder, ``key`` the run's.

    Raises:
        EvaluationRefusedError: the container fails in a way that the policy does not pass over.
    """
    root = work / "smoke-input"
    root.mkdir()
    try:
        with smoke_case(protocol, work, key) as case, CaseReader() as reader:
            asked = replace(request, input_root=root, reader=StagedImages(reader))
            (outcome,) = CONTRACTS[submission.contract].run(asked, [case])
    finally:
        shutil.rmtree(root, ignore_errors=True)
    judge_smoke_case(outcome, policy)


def judge_smoke_case(outcome: CaseOutcome, policy: Policy) -> None:
    """Decide whether a container may see real cases.

    Raises:
        EvaluationRefusedError: it failed the synthetic one in a way that the policy does not pass over.
    """
    code: FailureCode | None = outcome.failure
    strict = policy.run.smoke == "answer"
    if code is not None and (code in _FORM or (strict and code not in _ANSWERED)):
        raise EvaluationRefusedError(
            f"The container failed the smoke case, a synthetic radiograph ({code}): {code.sentence} No case of the "
            "hold-out was asked. The vendor finds the cause with `proctor kit check`."
        )
