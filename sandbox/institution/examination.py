"""Examine the machine before anything runs on it: the engine, its versions, and the posture that a probe measures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from runners.comparison import VARIANTS, Control, Variant
from runners.engine import Engine, connect
from runners.errors import PostureRefused
from runners.gpu import check_toolkit, toolkit_version
from runners.images import probe_image
from runners.probe import MeasuredPosture, measure, require
from runners.runtimes import OfferedRuntime, offered, table_for
from runners.version_floors import KnownFlaw, known_flaws, require_floors
from sandbox.evidence.keys import VerifierKey
from sandbox.institution.policy import Policy
from sandbox.institution.waivers import JudgedWaiver, as_data, in_force, judge, refuse_false
from sandbox.version import code_digest, package_version


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineExamination:
    """What was found.

    Attributes:
        facts: engine, runtime, kernel and tool versions, by name.
        posture: the controls that the probe measured.
        variants: what the probe measured of containers with an output folder, and of those asked over loopback.
        waivers: every waiver of the policy, and whether it counts here today.
        flaws: known flaws of engine, runtime and kernel, against the versions that are here.
        floors: ``refuse`` when an open flaw refuses a run.
        runtimes: the runtimes that the engine offers; those without a golden table are refused.
    """

    facts: dict[str, str]
    posture: MeasuredPosture
    variants: tuple[MeasuredPosture, ...] = ()
    waivers: tuple[JudgedWaiver, ...] = ()
    flaws: tuple[KnownFlaw, ...] = ()
    floors: Literal["refuse", "warn"] = "warn"
    runtimes: tuple[OfferedRuntime, ...] = ()

    @property
    def waived(self) -> dict[str, str]:
        """Controls that may be missing here today, with who answers for it and why."""
        return in_force(self.waivers)

    @property
    def missing(self) -> tuple[Control, ...]:
        """Required controls that are neither there nor waived: a run is refused."""
        waived = self.waived
        found = {
            control.name: control
            for measured in (self.posture, *self.variants)
            for control in measured.missing
            if control.name not in waived
        }
        return tuple(found.values())

    @property
    def problem(self) -> str:
        """Why a run is refused here, in a sentence; empty when it is allowed."""
        try:
            self.refuse_if_missing()
        except PostureRefused as refused:
            return str(refused)
        return ""

    def refuse_if_missing(self) -> None:
        """Fail closed.

        Raises:
            PostureRefused: a required control is missing and not waived, a waiver is false, or a flaw is open that
                the policy refuses.
        """
        refuse_false(self.waivers)
        for measured in (self.posture, *self.variants):
            require(measured, waived=tuple(self.waived))
        if self.floors == "refuse":
            require_floors(self.flaws)

    def data(self) -> dict[str, Any]:
        """The same as JSON-ready values; ``controls`` alone is what the ledger's digest covers."""
        return {
            "facts": self.facts,
            "runtime": self.posture.runtime,
            "table": self.posture.table,
            "runtimes": [
                {"name": each.name, "program": each.program, "table": each.table.name if each.table else None}
                for each in self.runtimes
            ],
            # Measured values become text: kernel limits reach 2**63, which canonical JSON does not hold.
            "controls": _controls(self.posture),
            "variants": {each.variant: _controls(each) for each in self.variants},
            "visible": list(self.posture.visible),
            "flaws": [{**asdict(flaw), "open": flaw.open} for flaw in self.flaws],
            "version_floors": self.floors,
            "waived": self.waived,
            "waivers": as_data(self.waivers),
            "missing": [control.name for control in self.missing],
            "allowed": not self.problem,
            "problem": self.problem,
        }


def _controls(measured: MeasuredPosture) -> list[dict[str, Any]]:
    return [{**asdict(control), "measured": json.dumps(control.measured)} for control in measured.controls]


def examine_machine(policy: Policy, actors: Sequence[VerifierKey] = ()) -> MachineExamination:
    """Connect to the policy's engine and examine it for every kind of container.

    ``actors`` are the keys that may sign waivers (:func:`sandbox.institution.waivers.actor_keys`).

    Raises:
        EngineMissing, EngineBroken: nothing can be measured.
    """
    with connect(policy.engine.url) as engine:
        return examine(engine, policy, actors, variants=VARIANTS)


@contextmanager
def examining(
    policy: Policy, actors: Sequence[VerifierKey] = (), contract: str = "worker"
) -> Iterator[tuple[Engine, Future[MachineExamination]]]:
    """Connect to the policy's engine and examine it beside what the caller does meanwhile.

    Nothing may run on the engine before the examination's outcome is known.

    Raises:
        EngineMissing: there is no engine.
    """
    with connect(policy.engine.url) as engine, ThreadPoolExecutor(1, "proctor-examination") as beside:
        yield engine, beside.submit(examine, engine, policy, actors, variants=variants_of(contract))


def variants_of(contract: str) -> tuple[Variant, ...]:
    """Say which kinds of containers a contract starts: all but ``worker`` have an output folder."""
    match contract:
        case "worker":
            return ("worker",)
        case "grand-challenge":
            return VARIANTS
        case _:
            return ("worker", "output")


def examine(
    engine: Engine,
    policy: Policy,
    actors: Sequence[VerifierKey] = (),
    *,
    variants: Sequence[Variant] = ("worker",),
) -> MachineExamination:
    """Measure the posture under exactly the limits and settings of a run.

    Raises:
        PostureRefused: nobody has measured this runtime before, or the policy asks for GPUs that cannot be given.
        EngineBroken: nothing can be measured.
    """
    today = datetime.now(UTC).date()
    facts = engine.facts()
    posture, limits = policy.posture(today), policy.container_limits()
    toolkit = _toolkit(policy)
    table = table_for(facts, posture.runtime, policy.own_tables)
    image = probe_image(engine).digest
    measured, *others = [
        measure(engine, image, posture=posture, limits=limits, variant=variant, table=table)
        for variant in variants
    ]
    return MachineExamination(
        facts={
            "proctor": package_version(),
            "code": code_digest(),
            "engine": facts.version,
            **{name: version for name, version in facts.components.items() if name != "Engine"},
            "runtime": measured.runtime,
            "kernel": facts.kernel,
            "operating system": facts.operating_system,
            "architecture": facts.architecture,
            "cgroup version": facts.cgroup_version,
            "storage driver": facts.storage_driver,
            "processors": str(facts.processors),
            "memory": f"{facts.memory_bytes / 2**30:.1f} GiB",
        },
        posture=measured,
        variants=tuple(others),
        waivers=judge(policy, engine=measured.table, today=today, actors=actors),
        flaws=(*known_flaws(facts, policy.backports()), *toolkit),
        floors=policy.engine.version_floors,
        runtimes=offered(facts, policy.own_tables),
    )


def _toolkit(policy: Policy) -> tuple[KnownFlaw, ...]:
    return () if policy.isolation.gpu is None else check_toolkit(toolkit_version(), policy.backports())
