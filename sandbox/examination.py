"""Examine the machine before anything runs on it: the engine, its versions, and the posture that a probe measures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from runners.engine import Engine, connect
from runners.images import probe_image
from runners.probe import Control, MeasuredPosture, measure, require
from runners.version_floors import KnownFlaw, known_flaws
from sandbox.policy import Policy
from sandbox.version import code_digest, package_version


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineExamination:
    """What was found.

    Attributes:
        facts: engine, runtime, kernel and tool versions, by name.
        posture: the controls that the probe measured.
        waived: names of required controls that the policy waives today, with their approver.
        flaws: known flaws of engine, runtime and kernel, against the versions that are here.
    """

    facts: dict[str, str]
    posture: MeasuredPosture
    waived: dict[str, str]
    flaws: tuple[KnownFlaw, ...] = ()

    @property
    def missing(self) -> tuple[Control, ...]:
        """Required controls that are neither there nor waived: a run is refused."""
        return tuple(control for control in self.posture.missing if control.name not in self.waived)

    def refuse_if_missing(self) -> None:
        """Fail closed.

        Raises:
            PostureRefused: a required control is missing and not waived.
        """
        require(self.posture, waived=tuple(self.waived))

    def data(self) -> dict[str, Any]:
        """The same as JSON-ready values; ``controls`` alone is what the ledger's digest covers."""
        return {
            "facts": self.facts,
            "runtime": self.posture.runtime,
            # Measured values become text: kernel limits reach 2**63, which canonical JSON does not hold.
            "controls": [
                {**asdict(control), "measured": json.dumps(control.measured)}
                for control in self.posture.controls
            ],
            "visible": list(self.posture.visible),
            "flaws": [{**asdict(flaw), "open": flaw.open} for flaw in self.flaws],
            "waived": self.waived,
            "missing": [control.name for control in self.missing],
            "allowed": not self.missing,
        }


def examine_machine(policy: Policy) -> MachineExamination:
    """Connect to the policy's engine and examine it.

    Raises:
        EngineMissing, EngineBroken: nothing can be measured.
    """
    with connect(policy.engine.url) as engine:
        return examine(engine, policy)


@contextmanager
def examining(policy: Policy) -> Iterator[tuple[Engine, Future[MachineExamination]]]:
    """Connect to the policy's engine and examine it beside what the caller does meanwhile.

    Nothing may run on the engine before the examination's outcome is known.

    Raises:
        EngineMissing: there is no engine.
    """
    with connect(policy.engine.url) as engine, ThreadPoolExecutor(1, "proctor-examination") as beside:
        yield engine, beside.submit(examine, engine, policy)


def examine(engine: Engine, policy: Policy) -> MachineExamination:
    """Measure the posture under exactly the limits and settings of a run."""
    today = datetime.now(UTC).date()
    facts = engine.facts()
    measured = measure(
        engine, probe_image(engine).digest, posture=policy.posture(today), limits=policy.container_limits()
    )
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
        waived={waiver.control: waiver.approved_by for waiver in policy.waivers_in_force(today)},
        flaws=known_flaws(facts, policy.backports()),
    )
