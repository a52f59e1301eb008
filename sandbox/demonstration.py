"""The demonstration: the whole road once, from a folder of data to two verified dossiers.

It plays both parts, the institution's and the vendors'. Each step looks for its own artefact first, so that a
second run makes nothing twice; each names the command that a user would type for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from holdout import synthetic
from holdout.importer import builtin_mapping, import_folder
from holdout.mapping import load_mapping
from runners import example_vendors, images
from runners.engine import connect
from sandbox import submissions
from sandbox.custody import exports, holdouts
from sandbox.errors import ReleaseRefusedError, UsageError
from sandbox.evaluations import evaluation, reporting
from sandbox.evaluations.evaluate import evaluate
from sandbox.evaluations.evaluation import Evaluation
from sandbox.evidence.verification import verify_dossier
from sandbox.institution import actors
from sandbox.institution.examination import examine_machine
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import Workspace, create, open_workspace, write_json
from sandbox.plan import protocols
from sandbox.plan.protocol import load_protocol
from sandbox.release import workflow
from sandbox.release.selection import field_name

Say = Callable[[str], None]
ProgressBar = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]
PROTOCOLS = Path(__file__).resolve().parent.parent / "policies" / "protocols"
VENDORS = ("sound", "brittle")
APPROVERS = ("ada", "bea")
"""Two people who judge what may leave; in a demonstration their keys lie beside all others."""
SYNTHETIC_PATIENTS = 400
DEVELOPMENT = 0.5
SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a demonstration is made of.

    Attributes:
        name: of the hold-out and of the demonstration's folder.
        source: the folder given by the user; None: synthetic data.
        mapping: how to read a folder of images; None when ``source`` is DICOM with reference.yaml.
    """

    name: str
    folder: Path
    source: Path | None
    mapping: Path | None
    protocol: Path

    @property
    def home(self) -> Path:
        """The demonstration's own workspace."""
        return self.folder / "workspace"

    @property
    def data(self) -> Path:
        """Folder of the DICOM files and their tables."""
        return self.source if self.source is not None and self.mapping is None else self.folder / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a demonstration ended with."""

    evaluations: tuple[Evaluation, ...]
    dossiers: dict[Path, bool]
    released: dict[str, Path]
    """Folder of what each vendor may see, by vendor; one to whom nothing may be told is not in it."""


def plan(*, data: Path | None, mapping: Path | None, protocol: Path | None, folder: Path) -> Plan:
    """Find out what to demonstrate.

    Raises:
        UsageError: the folder is not there, or nothing says how to read it or how to examine on it.
    """
    if data is None:
        return Plan(
            name="synthetic-cxr",
            folder=folder / "synthetic-cxr",
            source=None,
            mapping=None,
            protocol=protocol or PROTOCOLS / "synthetic-cxr.yaml",
        )
    data = data.resolve()
    if not data.is_dir():
        raise UsageError(f"{data} is not a folder. Give a folder of images with a table, or of DICOM.")
    if mapping is None and not (data / "reference.yaml").is_file():
        mapping = builtin_mapping(data.name)
    name = load_mapping(mapping).name if mapping is not None else data.name.lower()
    chosen = protocol or PROTOCOLS / f"{name}.yaml"
    if not chosen.is_file():
        raise UsageError(
            f"There is no protocol for {name!r}. Write one and give it: proctor demo --protocol FILE"
        )
    return Plan(name=name, folder=folder / name, source=data, mapping=mapping, protocol=chosen)


def run(item: Plan, *, say: Say, progress: ProgressBar) -> Outcome:
    """Carry out the demonstration; what is there already is not made again."""
    item.folder.mkdir(parents=True, exist_ok=True)
    workspace = _workspace(item, say)
    _doctor(item, workspace, say, progress)
    _data(item, say, progress)
    _hold_out(item, workspace, say, progress)
    protocol = _protocol(item, workspace, say)
    finished = []
    for vendor in VENDORS:
        _submission(item, workspace, vendor, say, progress)
        say(f"$ proctor evaluate --holdout {item.name} --submission {vendor} --protocol {protocol}")
        finished.append(
            evaluate(
                workspace, holdout=item.name, submission=vendor, protocol=protocol, say=say, progress=progress
            )
        )
    dossiers = {}
    for each in finished:
        with progress(f"writing the report on {each.vendor}"):
            reason = reporting.publish(workspace, each)
        if reason is not None:
            say(f"{reason}; the evaluation itself is complete")
        path = item.folder / f"{each.vendor}-{each.id}.zip"
        if not path.exists():
            say(f"$ proctor dossier {each.id} -o {path}")
            reporting.write_dossier(workspace, each, path)
        say(f"$ proctor verify {path} --key '{workspace.verifier_key}'")
        dossiers[path] = all(check.held for check in verify_dossier(path, trusted_key=workspace.verifier_key))
    released = {}
    for each in finished:
        with progress(f"releasing to {each.vendor}"):
            folder = _release(item, workspace, each, say)
        if folder is not None:
            released[each.vendor] = folder
    return Outcome(
        evaluations=tuple(evaluation.find(workspace, each.id) for each in finished),
        dossiers=dossiers,
        released=released,
    )


def _release(item: Plan, workspace: Workspace, finished: Evaluation, say: Say) -> Path | None:
    """Take a release of an evaluation through all hands, unless a rule says no."""
    shown = item.folder / f"for-{finished.vendor}-{finished.id}"
    if shown.exists():
        return shown
    known = {actor.name for actor in actors.actors(workspace)}
    for name in APPROVERS:
        if name not in known:
            say(f"$ proctor actor add {name} --role approver")
            actors.add(workspace, name, ["approver"])
    say(f"$ proctor release request {finished.id}")
    try:
        asked = workflow.request(workspace, finished.id)
        for path, reason in workflow.withheld(workspace, asked.release):
            say(f"withheld: {field_name(path)} ({reason})")
        for name in APPROVERS:
            acting = replace(workspace, actor=name)
            say(f"$ proctor release review {asked.release} --as {name}")
            workflow.review(acting, asked.release)
            say(f"$ proctor release approve {asked.release} --as {name}")
            workflow.decide(acting, asked.release, "approve")
        say(f"$ proctor release issue {asked.release} -o {shown}")
        return workflow.issue(workspace, asked.release, shown)[1]
    except ReleaseRefusedError as refusal:
        say(str(refusal))
        return None


def _workspace(item: Plan, say: Say) -> Workspace:
    if (item.home / "workspace.json").exists():
        return open_workspace(item.home)
    say(f"$ PROCTOR_HOME={item.home} proctor init")
    return create(item.home)


def _doctor(item: Plan, workspace: Workspace, say: Say, progress: ProgressBar) -> None:
    seen = item.folder / "doctor.json"
    if seen.exists():
        return
    say("$ proctor doctor")
    with progress("measuring the posture"):
        machine = examine_machine(load_policy(workspace.policy_path))
    machine.refuse_if_missing()
    write_json(seen, machine.data())


def _data(item: Plan, say: Say, progress: ProgressBar) -> None:
    if item.data.exists():
        return
    if item.source is None:
        with progress("making SYNTHETIC radiographs") as bar:
            synthetic.generate(item.data, patients=SYNTHETIC_PATIENTS, seed=SEED, progress=bar)
        return
    assert item.mapping is not None
    say(f"$ proctor holdout import {item.source} --mapping {item.mapping} -o {item.data}")
    with progress("importing") as bar:
        import_folder(item.source, item.mapping, item.data, progress=bar)


def _hold_out(item: Plan, workspace: Workspace, say: Say, progress: ProgressBar) -> None:
    name, protocol = item.name, load_protocol(item.protocol)
    unit = protocol.task.unit
    if not holdouts.versions(workspace, name):
        dicom = item.data / "dicom" if (item.data / "dicom").is_dir() else item.data
        reference, site = item.data / "reference.yaml", item.data / "site.yaml"
        say(f"$ proctor holdout ingest {dicom} --name {name} --reference {reference}")
        with progress("reading headers") as bar:
            holdouts.ingest(
                workspace,
                name,
                dicom,
                reference=reference,
                site=site if site.is_file() else None,
                progress=bar,
            )
        say(
            f"$ proctor holdout partition {name} --development {DEVELOPMENT} --seed {SEED} --export {_shared(item)}"
        )
        holdouts.partition(
            workspace, name, development=DEVELOPMENT, seed=SEED, unit=unit, label=protocol.subject
        )
        shutil.rmtree(_shared(item), ignore_errors=True)
        with progress("exporting the development part") as bar:
            exports.export_development(
                workspace,
                name,
                _shared(item),
                unit=protocol.task.unit,
                attributes=protocol.input.attributes,
                progress=bar,
            )
        exclusions = _exclusions(item)
        shown = "".join(f" --exclude '{code}={reason}'" for code, reason in exclusions.items())
        say(f"$ proctor holdout lock {name} --unit {unit}{shown}")
        holdouts.lock(workspace, name, unit=unit, exclusions=exclusions, progress=progress)


def _exclusions(item: Plan) -> dict[str, str]:
    """Reasons for what the demonstration's data hold and a hold-out must not."""
    if item.source is None:
        return {}
    return {
        "pixel_equal": "the source holds this image twice",
        "byte_equal": "the source holds this file twice",
    }


def _protocol(item: Plan, workspace: Workspace, say: Say) -> str:
    say(f"$ proctor protocol register {item.protocol}")
    return protocols.register(workspace, item.protocol).digest


def _submission(item: Plan, workspace: Workspace, vendor: str, say: Say, progress: ProgressBar) -> None:
    if any(each.vendor == vendor for each in submissions.submissions(workspace)):
        return
    policy = load_policy(workspace.policy_path)
    archive = item.folder / "vendors" / f"{vendor}.tar"
    archive.parent.mkdir(exist_ok=True)
    with connect(policy.engine.url) as engine:
        with progress("making the base image (Debian packages)") as bar:
            images.base_image(engine, bar)
        weights = archive.with_name(f"{vendor}.npz")
        if not weights.exists():
            with progress(f"the vendor {vendor} trains on the development part") as bar:
                target = load_protocol(item.protocol).subject
                example_vendors.train_example(vendor, _shared(item), target, weights, bar)
        with progress(f"the vendor {vendor} builds and saves its image"):
            made = example_vendors.example_image(engine, vendor, weights)
            images.save_image(engine, made, archive)
    say(f"$ proctor submission admit {archive} --vendor {vendor}")
    with progress("reading the archive") as bar:
        submissions.admit(workspace, policy, archive, vendor=vendor, progress=bar)
    archive.unlink()


def _shared(item: Plan) -> Path:
    """What the vendors get: the development part as a container would see it."""
    return item.folder / "development"
