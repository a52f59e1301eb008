"""The policy: the institution's own rules, as checked YAML. A protocol may be stricter, never looser.

The shipped ``policies/default.yaml`` gives every rule with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, StringConstraints

from holdout.yamlfile import Where, mistakes_error, read_yaml, validate
from runners.admission import AdmissionRules, host_architecture
from runners.gpu import gpu_request
from runners.limits import Limits
from runners.posture import ENGINE_DEFAULT, Posture, numeric_user
from runners.runtimes import GoldenTable
from runners.signature import load_key
from runners.version_floors import Backport
from sandbox.canonical import digest, digest_bytes
from sandbox.disclosure.rules import DisclosureRules
from sandbox.errors import EvidenceError, PolicyError
from sandbox.evidence.keys import parse_verifier
from sandbox.evidence.kinds import TwoPeople
from sandbox.institution.isolation_rules import (
    EngineChoice,
    Isolation,
    Sentence,
    Waiver,
    WaiverFile,
    Word,
    waiver_faults,
)
from sandbox.institution.own_tables import read_table
from sandbox.plan.protocol import Protocol
from sandbox.reuse.rules import ReuseRules

WAIVERS_NAME = "waivers.yaml"
_UNITS = {"B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(r"^([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*(B|[KMGT]iB)$")


def _size(value: object) -> object:
    """Read ``4 GiB`` as bytes; a bare number is refused, because nobody sees its unit."""
    found = _SIZE.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a size with its unit, such as `512 MiB` or `4 GiB`.")
    return int(float(found[1]) * _UNITS[found[2].upper()])


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=604_800)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContainerLimits(_Part):
    """What one container may use. Sizes carry their unit."""

    memory: Size = 4 * 2**30
    cpus: Annotated[float, Field(gt=0, le=1024)] = 2.0
    pids: Count = 256
    tmp: Size = 512 * 2**20
    tmp_inodes: Count = 20_000
    shm: Size = 64 * 2**20
    shm_inodes: Count = 1_024
    output: Size = 64 * 2**20
    output_inodes: Count = 4_096
    open_files: Count = 1_024
    seconds_to_ready: Seconds = 120.0
    seconds_per_case: Seconds = 60.0
    seconds_per_run: Seconds = 86_400.0
    seconds_to_stop: Seconds = 2.0
    answer: Size = 64 * 2**10
    stray: Size = 8 * 2**20
    log_tail: Size = 64 * 2**10
    starts_in_a_row: Count = 3
    failures_in_a_row: Count = 25


class Admission(_Part):
    """What an image archive may be; ``seconds`` and ``memory`` bound the reading of it. It is never run."""

    architecture: Word | None = None
    archive: Size = 32 * 2**30
    layer: Size = 16 * 2**30
    unpacked: Size = 32 * 2**30
    layers: Count = 128
    files: Count = 2_000_000
    seconds: Count = 1_800
    memory: Size = 2**30
    set_user_id: Literal["stripped", "refused"] = "stripped"
    signature_keys: tuple[Annotated[str, StringConstraints(max_length=4_096)], ...] = ()


class Verification(_Part):
    """How much of a locked hold-out is read again before and after each run."""

    before: Literal["full", "sample"] = "full"
    after: Literal["full", "sample"] = "full"
    sample_above: Size = 50 * 2**30
    sample_files: Count = 1_000


class Run(_Part):
    """How a run uses this host."""

    containers: Annotated[int, Field(ge=1, le=64)] = 2
    smoke: Literal["form", "answer"] = "form"


class Release(_Part):
    """Who must agree before something leaves, and what is asked for unless a request says otherwise.

    ``approvals``: approvers other than the author. ``fields``: patterns over paths; see ``sandbox.release.selection``.
    """

    approvals: Annotated[int, Field(ge=1, le=16)] = 2
    fields: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...], Field(min_length=1)
    ] = (
        "verdict",
        "acceptance/*",
        "all/auroc/*",
        "*/all/sensitivity/value",
        "*/all/specificity/value",
        "all/mean_dice/*",
        "all/mean_nsd/value",
    )


class Policy(_Part):
    """A checked policy.

    ``two_people``: acts that one proposes and another confirms; see ``sandbox.institution.two_people``.
    ``mlflow``: ``local`` (a SQLite store in the workspace), ``off``, or a tracking URI.
    """

    proctor: Literal["policy/1"]
    name: Word
    description: Sentence | None = None
    engine: EngineChoice = EngineChoice()
    isolation: Isolation = Isolation()
    limits: ContainerLimits = ContainerLimits()
    admission: Admission = Admission()
    disclosure: DisclosureRules = DisclosureRules()
    reuse: ReuseRules = ReuseRules()
    release: Release = Release()
    two_people: tuple[TwoPeople, ...] = ()
    verification: Verification = Verification()
    run: Run = Run()
    mlflow: Annotated[str, StringConstraints(pattern=r"^(local|off|[a-z][a-z0-9+.-]{1,20}://\S{1,500})$")] = (
        "local"
    )

    _seccomp_text: str | None = PrivateAttr(default=None)
    _own_tables: tuple[GoldenTable, ...] = PrivateAttr(default=())

    @property
    def own_tables(self) -> tuple[GoldenTable, ...]:
        """Golden tables that the institution has measured itself."""
        return self._own_tables

    @property
    def own_pairs(self) -> tuple[str, ...]:
        """Pairs of engine and runtime of these tables, as waivers name them."""
        return tuple(table.name for table in self._own_tables)

    @property
    def document(self) -> dict[str, Any]:
        """The plain mapping that the digest covers: every rule, defaults filled in, sizes in bytes."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """``sha256:`` and the hex digest of the canonical JSON of :attr:`document`."""
        return digest(self.document)

    def posture(self, today: date) -> Posture:
        """Return the isolation to run under; ``waived``: the waivers of ``today``, as :mod:`.waivers` judges them."""
        isolation = self.isolation
        return Posture(
            runtime=self.engine.runtime,
            seccomp_profile=self._seccomp_text or isolation.seccomp_profile,
            user=isolation.user,
            tmp_executable=isolation.tmp_executable,
            gpu=None if isolation.gpu is None else gpu_request(isolation.gpu.devices, isolation.gpu.count),
            required=isolation.required,
            waived=tuple(waiver.control for waiver in self.waivers_in_force(today)),
        )

    def backports(self) -> tuple[Backport, ...]:
        """Return the repairs that the institution declares for its engine."""
        return tuple(Backport(cve=item.cve, version=item.version) for item in self.engine.backports)

    def waivers_in_force(self, today: date) -> tuple[Waiver, ...]:
        """Return the waivers that have not run out on ``today``."""
        return tuple(w for w in self.isolation.waivers if date.fromisoformat(w.until) >= today)

    def admission_rules(self) -> AdmissionRules:
        """Return what admission holds an image against; no architecture means the host's."""
        rules = self.admission
        return AdmissionRules(
            architecture=rules.architecture or host_architecture(),
            archive_bytes=rules.archive,
            layer_bytes=rules.layer,
            total_bytes=rules.unpacked,
            layers=rules.layers,
            files=rules.files,
            seconds=rules.seconds,
            memory_bytes=rules.memory,
            refuse_set_user_id=rules.set_user_id == "refused",
            signature_keys=rules.signature_keys,
        )

    def container_limits(self, protocol: Protocol | None = None) -> Limits:
        """Return the limits of a container; a protocol may lower its clocks, never raise them.

        A line may be as long as the masks or findings that the protocol asks for, if that is longer than the policy's.
        """
        limits = self.limits
        per_case, per_run, answer = limits.seconds_per_case, limits.seconds_per_run, limits.answer
        if protocol is not None:
            per_case = min(per_case, protocol.limits.seconds_per_case)
            per_run = min(per_run, protocol.limits.seconds_per_run)
            listed = protocol.output.mask or protocol.output.findings
            answer = max(answer, listed.line_bytes) if listed is not None else answer
        return Limits(
            memory_bytes=limits.memory,
            cpus=limits.cpus,
            pids=limits.pids,
            tmp_bytes=limits.tmp,
            tmp_inodes=limits.tmp_inodes,
            shm_bytes=limits.shm,
            shm_inodes=limits.shm_inodes,
            output_bytes=limits.output,
            output_inodes=limits.output_inodes,
            open_files=limits.open_files,
            seconds_to_ready=limits.seconds_to_ready,
            seconds_per_case=per_case,
            seconds_per_run=per_run,
            seconds_to_stop=limits.seconds_to_stop,
            answer_bytes=answer,
            stray_bytes=limits.stray,
            log_tail_bytes=limits.log_tail,
            starts_in_a_row=limits.starts_in_a_row,
            failures_in_a_row=limits.failures_in_a_row,
        )

    def sampling(self, hold_out_bytes: int, when: Literal["before", "after"]) -> int | None:
        """Return how many files to verify ``when``; None: all of them."""
        if getattr(self.verification, when) == "full" or hold_out_bytes <= self.verification.sample_above:
            return None
        return self.verification.sample_files


def load_policy(path: Path) -> Policy:
    """Read and check a policy, with the waivers beside it (``waivers.yaml``) and the seccomp profile that it names.

    Raises:
        PolicyError: every mistake, each with file, line and path.
    """
    document = read_yaml(path, PolicyError)
    policy = validate(document, Policy, PolicyError)
    tables, engine, mistakes = _own_tables(policy, path.parent)
    own = tuple(table.name for table in tables)
    mistakes += _find_mistakes(policy, own)
    profile, found = _seccomp_text(policy, path.parent)
    mistakes += found
    if mistakes:
        raise mistakes_error(document, mistakes, PolicyError)
    added = load_waivers(path.with_name(WAIVERS_NAME), own)
    if added or tables or profile is not None:
        isolation = policy.isolation.model_copy(
            update={
                "waivers": (*policy.isolation.waivers, *added),
                "seccomp_digest": None if profile is None else digest_bytes(profile.encode()),
            }
        )
        policy = policy.model_copy(update={"isolation": isolation, "engine": engine})
        policy._seccomp_text, policy._own_tables = profile, tables
    return policy


def load_waivers(path: Path, own: Collection[str] = ()) -> tuple[Waiver, ...]:
    """Read the waivers beside a policy; none when there is no such file. ``own``: :attr:`Policy.own_pairs`.

    Raises:
        PolicyError: the file has mistakes, or a waiver asks for more than one may.
    """
    if not path.exists():
        return ()
    document = read_yaml(path, PolicyError)
    waivers = validate(document, WaiverFile, PolicyError).waivers
    mistakes: list[tuple[Where, str]] = [
        (("waivers", index), fault)
        for index, waiver in enumerate(waivers)
        for fault in waiver_faults(waiver, own)
    ]
    if mistakes:
        raise mistakes_error(document, mistakes, PolicyError)
    return waivers


def _own_tables(
    policy: Policy, folder: Path
) -> tuple[tuple[GoldenTable, ...], EngineChoice, list[tuple[Where, str]]]:
    """Read the golden table that a policy names; its digest becomes part of the policy's."""
    engine = policy.engine
    if engine.golden_table is None:
        wrong = engine.golden_table_digest is not None
        return (
            (),
            engine,
            [(("engine", "golden_table_digest"), "belongs to a golden_table.")] if wrong else [],
        )
    try:
        table, found = read_table(folder / engine.golden_table)
    except PolicyError as error:
        return (), engine, [(("engine", "golden_table"), f"is not a golden table: {error}")]
    if engine.golden_table_digest not in (None, found):
        return (), engine, [(("engine", "golden_table_digest"), "is not the table's: the file was changed.")]
    return (table,), engine.model_copy(update={"golden_table_digest": found}), []


def _seccomp_text(policy: Policy, folder: Path) -> tuple[str | None, list[tuple[Where, str]]]:
    """Read the seccomp profile that a policy names, once: its content is part of the policy's digest."""
    isolation = policy.isolation
    where: Where = ("isolation", "seccomp_profile")
    if isolation.seccomp_profile in (None, ENGINE_DEFAULT):
        if isolation.seccomp_digest is None:
            return None, []
        return None, [(("isolation", "seccomp_digest"), "belongs to a seccomp_profile that is a file.")]
    try:
        text = (folder / str(isolation.seccomp_profile)).read_text(encoding="utf-8")
        if not isinstance(json.loads(text), dict):
            raise ValueError("not an object")
    except (OSError, ValueError):
        return None, [
            (where, "is no file with a seccomp profile in JSON; its path starts at the policy's folder.")
        ]
    if isolation.seccomp_digest not in (None, digest_bytes(text.encode())):
        return None, [
            (("isolation", "seccomp_digest"), "is not the digest of the file: the file was changed.")
        ]
    return text, []


def _find_mistakes(policy: Policy, own: Collection[str]) -> list[tuple[Where, str]]:
    found: list[tuple[Where, str]] = []
    limits = policy.limits
    if numeric_user(policy.isolation.user) is None:
        found.append((("isolation", "user"), "must not be root (uid 0)."))
    for index, waiver in enumerate(policy.isolation.waivers):
        where: Where = ("isolation", "waivers", index)
        found += [(where, fault) for fault in waiver_faults(waiver, own)]
    for index, text in enumerate(policy.isolation.waiver_keys):
        try:
            parse_verifier(text)
        except EvidenceError as error:
            found.append((("isolation", "waiver_keys", index), f"{error}."))
    gpu = policy.isolation.gpu
    if gpu is not None and bool(gpu.devices) == bool(gpu.count):
        found.append((("isolation", "gpu"), "needs devices (ids) or count (a number), one of them."))
    if limits.memory < 16 * 2**20:
        found.append((("limits", "memory"), "must be at least 16 MiB."))
    if limits.tmp + limits.shm + limits.output > limits.memory:
        found.append(
            (("limits", "tmp"), "lives in memory with shm and output, and all must fit into it together.")
        )
    for index, pem in enumerate(policy.admission.signature_keys):
        try:
            load_key(pem)
        except ValueError as error:
            found.append((("admission", "signature_keys", index), f"is {error}."))
    if policy.reuse.mechanism not in policy.reuse.mechanisms:
        found.append((("reuse", "mechanism"), "must be one of reuse.mechanisms."))
    if limits.seconds_per_case > limits.seconds_per_run:
        found.append((("limits", "seconds_per_case"), "must not exceed seconds_per_run."))
    return found
