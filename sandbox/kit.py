"""The vendor kit: a container to start from, and the institution's checks before anything is handed in.

What is checked runs under the institution's exact posture and limits, on synthetic cases: nothing that a vendor can
learn here has to do with a patient.
"""

from __future__ import annotations

import random
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from runners import admission
from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.engine import connect
from runners.errors import AdmissionRefused, ContractRefused
from runners.example_vendors import EXAMPLES
from runners.worker import CaseOutcome, SessionEvent
from sandbox.errors import UsageError
from sandbox.policy import Policy
from sandbox.predictions import typed
from sandbox.protocol import Protocol
from sandbox.run import contract_run
from sandbox.smoke import synthetic_cases
from sandbox.submissions import Submission, Wanted, examine

TASKS = ("binary",)
KIT = EXAMPLES / "kit"

_IMAGES = 4
_ALONE = 2
_LOG_SHOWN = 2_000
_PAUSE = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KitCheck:
    """One check: its name, whether it held, and what to do about it."""

    name: str
    held: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KitReport:
    """What was found; ``log`` is the end of what the vendor's own container wrote, shown to nobody else."""

    digest: str | None
    contract: str | None
    checks: tuple[KitCheck, ...]
    log: str

    @property
    def held(self) -> bool:
        """Whether every check held."""
        return all(check.held for check in self.checks)


def contracts() -> tuple[str, ...]:
    """Contracts for which there is a container to start from."""
    return tuple(sorted(path.parent.name for path in KIT.glob("*/Dockerfile")))


def new(destination: Path, *, task: str, contract: str) -> tuple[str, ...]:
    """Write a container that runs, with its test, into a new folder; returns the names of its files.

    Raises:
        UsageError: there is no such kit, or the folder exists.
    """
    if task not in TASKS:
        raise UsageError(f"There is no kit for the task {task!r}. Known: {', '.join(TASKS)}.")
    if contract not in contracts():
        raise UsageError(f"There is no kit for the contract {contract!r}. Known: {', '.join(contracts())}.")
    if destination.exists():
        raise UsageError(f"{destination} exists already. Name a folder that does not.")
    building = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.partial")
    try:
        shutil.copytree(KIT / contract, building, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(KIT / "model.py", building / "model.py")
        building.rename(destination)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return tuple(sorted(path.name for path in destination.iterdir()))


def check(
    archive: Path, policy: Policy, protocol: Protocol, wanted: Wanted, *, progress: _PAUSE
) -> KitReport:
    """Run admission, the smoke case and the checks of determinism on an image.

    Raises:
        UsageError: there is no such file.
        RunnerError: the engine is missing or broken, or the posture does not hold.
    """
    if not archive.is_file():
        raise UsageError(f"{archive} is not a file. Give what `docker save -o IMAGE.tar IMAGE` wrote.")
    try:
        with progress("reading the archive"):
            admitted, declared = examine(archive, policy, wanted)
    except (AdmissionRefused, ContractRefused) as refused:
        failed = KitCheck(name="admission", held=False, sentence=str(refused))
        return KitReport(digest=None, contract=None, checks=(failed,), log="")
    submission = Submission(
        vendor="kit",
        digest=admitted.digest,
        contract=declared.contract,
        admitted="",
        archive=archive,
        archive_sha256=admitted.archive_sha256,
        size=admitted.archive_bytes,
        facts={"run_user": admitted.run_user},
        settings=declared.settings,
        answer=declared.answer,
    )
    notes = f" Worth a look: {', '.join(admitted.warnings)}." if admitted.warnings else ""
    admission_held = KitCheck(name="admission", held=True, sentence=f"The image is admitted.{notes}")
    with connect(policy.engine.url) as engine:
        with progress("loading the image"):
            admission.load(engine, archive, admitted.digest, policy.admission_rules())
        request = contract_run(
            engine,
            submission,
            protocol,
            posture=policy.posture(datetime.now(UTC).date()),
            limits=policy.container_limits(protocol),
            input_root=Path(),
        )
        asked = _Asked(submission, request, protocol)
        with progress("asking about synthetic cases"):
            checks = asked.checks()
    return KitReport(
        digest=admitted.digest,
        contract=declared.contract,
        checks=(admission_held, *checks),
        log=asked.log[-_LOG_SHOWN:].decode("utf-8", "replace"),
    )


class _Asked:
    """Rounds of synthetic cases put to fresh containers."""

    def __init__(self, submission: Submission, request: ContractRun, protocol: Protocol) -> None:
        self._submission, self._request, self._protocol = submission, request, protocol
        self.log = b""

    def checks(self) -> list[KitCheck]:
        (smoke,) = self._round([0])
        if smoke.failure is not None:
            return [KitCheck(name="smoke", held=False, sentence=f"{smoke.failure}: {smoke.failure.sentence}")]
        found = [KitCheck(name="smoke", held=True, sentence="A synthetic case is answered.")]
        first = list(range(_IMAGES))
        shuffled = first.copy()
        random.Random(1).shuffle(shuffled)  # noqa: S311 - any order will do, the same one each time
        together = self._levels([*first, *shuffled[::-1], *first])
        if None in together:
            failed = next(outcome for outcome in self._last if outcome.failure is not None)
            assert failed.failure is not None
            sentence = f"Of several cases, one is not answered: {failed.failure}: {failed.failure.sentence}"
            return [*found, KitCheck(name="several cases", held=False, sentence=sentence)]
        found.append(KitCheck(name="several cases", held=True, sentence="All cases are answered."))
        once, reordered, again = together[:_IMAGES], together[_IMAGES : 2 * _IMAGES], together[2 * _IMAGES :]
        found.append(
            _compared(
                "same input twice",
                once,
                again,
                "The same images get other answers when asked again: fix random seeds and threads.",
            )
        )
        back = [reordered[shuffled[::-1].index(image)] for image in first]
        found.append(
            _compared(
                "shuffled order",
                once,
                back,
                "Answers depend on the order of cases: state leaks from case to case.",
            )
        )
        alone = [self._levels([image])[0] for image in range(_ALONE)]
        found.append(
            _compared(
                "alone and among many",
                once[:_ALONE],
                alone,
                "A case gets another answer in a fresh container than after others: state leaks from case to case.",
            )
        )
        return found

    def _levels(self, picks: Sequence[int]) -> list[tuple[int, ...] | None]:
        """Typed answers in the order of ``picks``, as an evaluation would keep them."""
        numbers = self._protocol.output.numbers
        self._last = self._round(picks)
        return [None if item.answer is None else typed(item.answer, numbers) for item in self._last]

    def _round(self, picks: Sequence[int]) -> list[CaseOutcome]:
        with tempfile.TemporaryDirectory(prefix="proctor-kit-") as folder:
            staged, root = Path(folder, "staged"), Path(folder, "input")
            staged.mkdir()
            root.mkdir()
            request = replace(self._request, input_root=root, on_event=self._keep)
            cases = synthetic_cases(staged, self._protocol, picks)
            return list(CONTRACTS[self._submission.contract].run(request, cases))

    def _keep(self, event: SessionEvent) -> None:
        self.log = event.log_tail or self.log


def _compared(name: str, one: Sequence[object], other: Sequence[object], sentence: str) -> KitCheck:
    held = list(one) == list(other)
    return KitCheck(name=name, held=held, sentence="Equal answers." if held else sentence)
