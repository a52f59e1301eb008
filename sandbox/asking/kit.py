"""The vendor kit: a container to start from, and the institution's checks before anything is handed in.

What is checked runs under the institution's exact posture and limits, on synthetic cases: nothing that a vendor can
learn here has to do with a patient.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdout.case_reader import CaseReader
from runners.answers import FindingsKind
from runners.engine import connect
from runners.errors import AdmissionRefused, ContractRefused
from runners.example_vendors import EXAMPLES
from runners.refusals import AdmissionNote
from sandbox.asking.case_images import StagedImages
from sandbox.asking.determinism import KitCheck, Rounds, State, determinism
from sandbox.asking.run import contract_run
from sandbox.errors import UsageError
from sandbox.institution.examination import MachineExamination, examine, variants_of
from sandbox.institution.policy import Policy
from sandbox.plan.protocol import Protocol
from sandbox.submissions import Submission, Wanted, keep_attachments, load
from sandbox.submissions import examine as examine_archive

KIT = EXAMPLES / "kit"
TASKS: Mapping[str, Mapping[str, float]] = {
    "binary": {"score": 0.5},
    "triage": {"score": 0.5},
    "multiclass": {"benign": 0.7, "malignant": 0.3},
    "multilabel": {"opacity": 0.5, "nodule": 0.5},
    "ordinal": {"grade": 1},
    "measurement": {"value": 10.0},
    "segmentation": {},
    "detection": {},
}
"""The answer that a kit's model begins with; class names are to be replaced by the protocol's. Empty: its own model."""

FORMS: Mapping[FindingsKind, str] = {
    "boxes_in_image": "model_detection.py",
    "points_in_volume": "model_points_in_volume.py",
}
"""The model of a detection's kit, by form of its findings."""

_ANSWER = 'ANSWER = {"score": 0.5}'
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "worker": (),
    "files": (),
    "grand-challenge": ("--contract-file", "inputs.yaml", "--answer", "answer.json"),
    "medperf": ("--contract-file", "container_config.yaml", "--answer", "{case}.json"),
    "map": ("--answer", "result.json"),
}
"""What is handed in beside a kit's image, as options of the commands; files are relative to its folder."""

_LOG_SHOWN = 2_000
_PAUSE = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KitReport:
    """What was found.

    Attributes:
        state: whether answers show that something is kept from case to case; answers that chance decides cannot.
        log: the end of what the vendor's own container wrote, shown to nobody else.
        posture: what the probe measured on this engine (``MachineExamination.data``).
    """

    digest: str | None
    contract: str | None
    checks: tuple[KitCheck, ...]
    log: str
    state: State = "cannot tell"
    posture: dict[str, Any] | None = None

    @property
    def held(self) -> bool:
        """Whether every check held."""
        return all(check.held for check in self.checks)


def contracts() -> tuple[str, ...]:
    """Contracts for which there is a container to start from."""
    return tuple(sorted(OPTIONS))


def options(folder: Path, contract: str) -> tuple[str, ...]:
    """Options of ``proctor kit check`` and ``proctor submission admit`` for a kit's image."""
    return tuple(str(folder / item) if (folder / item).is_file() else item for item in OPTIONS[contract])


def new(destination: Path, *, task: str, contract: str, form: str = "boxes_in_image") -> tuple[str, ...]:
    """Write a container that runs, with its test, into a new folder; returns the names of its files.

    ``form`` is that of a detection's findings.

    Raises:
        UsageError: there is no such kit, or the folder exists.
    """
    if form not in FORMS or (form != "boxes_in_image" and task != "detection"):
        raise UsageError(
            f"There is no kit for the form {form!r} of a {task}. A detection has {', '.join(FORMS)}."
        )
    if task not in TASKS:
        raise UsageError(f"There is no kit for the task {task!r}. Known: {', '.join(sorted(TASKS))}.")
    if contract not in contracts():
        raise UsageError(f"There is no kit for the contract {contract!r}. Known: {', '.join(contracts())}.")
    if destination.exists():
        raise UsageError(f"{destination} exists already. Name a folder that does not.")
    building = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.partial")
    try:
        shutil.copytree(KIT / contract, building, ignore=shutil.ignore_patterns("__pycache__"))
        own, volume = not TASKS[task], form == "points_in_volume"
        model_file = FORMS["points_in_volume"] if volume else f"model_{task}.py" if own else "model.py"
        model = (KIT / model_file).read_text(encoding="utf-8")
        answer = f"ANSWER = {json.dumps(dict(TASKS[task]))}"
        (building / "model.py").write_text(model.replace(_ANSWER, answer), encoding="utf-8")
        sample = "sample_volume.py" if volume else "sample_image.py" if own else "sample.py"
        shutil.copyfile(KIT / sample, building / "sample.py")
        if own:
            docker = building / "Dockerfile"
            docker.write_text(
                docker.read_text(encoding="utf-8").replace("# RUN pip", "RUN pip"), encoding="utf-8"
            )
        building.rename(destination)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return tuple(sorted(path.name for path in destination.iterdir()))


def check(
    archive: Path, policy: Policy, protocol: Protocol, wanted: Wanted, *, progress: _PAUSE
) -> KitReport:
    """Run admission, the posture's probe, the smoke case and the checks of determinism on an image.

    Raises:
        UsageError: there is no such file.
        RunnerError: the engine is missing or broken, or nobody has measured its runtime.
    """
    if not archive.is_file():
        raise UsageError(f"{archive} is not a file. Give what `docker save -o IMAGE.tar IMAGE` wrote.")
    with tempfile.TemporaryDirectory(prefix="proctor-kit-") as folder:
        try:
            with progress("reading the archive"):
                admitted, declared = examine_archive(archive, policy, wanted)
                attached = keep_attachments(Path(folder), policy, wanted)
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
            facts={"run_user": admitted.run_user, "loaded": admitted.loaded},
            settings=declared.settings,
            answer=declared.answer,
        )
        notes = " ".join(AdmissionNote(code).sentence for code in admitted.warnings)
        held = KitCheck(name="admission", held=True, sentence=f"The image is admitted. {notes}".strip())
        places = {name: Path(folder, name) for name in attached}
        return _run(submission, places, policy, protocol, held, progress)


def _run(
    submission: Submission,
    attachments: Mapping[str, Path],
    policy: Policy,
    protocol: Protocol,
    admitted: KitCheck,
    progress: _PAUSE,
) -> KitReport:
    with connect(policy.engine.url) as engine, CaseReader() as reader:
        with progress("measuring the posture in a probe container"):
            machine = examine(engine, policy, variants=variants_of(submission.contract))
        with progress("loading the image"):
            load(engine, submission, policy)
        request = contract_run(
            engine,
            submission,
            protocol,
            posture=policy.posture(datetime.now(UTC).date()),
            limits=policy.container_limits(protocol),
            input_root=Path(),
        )
        asked = Rounds(
            submission.contract,
            replace(request, attachments=attachments, reader=StagedImages(reader)),
            protocol,
        )
        with progress("asking about synthetic cases"):
            checks, state = determinism(asked)
    return KitReport(
        digest=submission.digest,
        contract=submission.contract,
        checks=(admitted, _posture(machine, policy), *checks),
        log=asked.log[-_LOG_SHOWN:].decode("utf-8", "replace"),
        state=state,
        posture=machine.data(),
    )


def _posture(machine: MachineExamination, policy: Policy) -> KitCheck:
    """Say whether this engine gives the institution's posture; who signed its waivers, only the institution knows."""
    table = machine.posture.table
    waived = {waiver.control for waiver in policy.isolation.waivers if waiver.engine == table}
    measured = [*machine.posture.controls, *(each for part in machine.variants for each in part.controls)]
    missing = sorted(
        {each.name for each in measured if each.required and not each.held and each.name not in waived}
    )
    if missing:
        sentence = (
            f"Your engine ({table}) does not give what the policy requires: {', '.join(missing)}. The other checks "
            "ran under less isolation than at the institution; use an engine as it has."
        )
    else:
        sentence = f"{len(measured)} controls were measured on {table}, and every required one holds."
    return KitCheck(name="posture", held=not missing, sentence=sentence)
