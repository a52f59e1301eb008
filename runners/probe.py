"""The measured posture: what a container can really do here, compared with what a run requires.

A small static program (``probe/probe.c``) runs in a throw-away container under exactly the settings of a run
and tries what a hostile container would try. What it cannot prove, the run does not get: version numbers of
distributions lie both ways, behaviour does not.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runners.comparison import OUTPUT_TARGET, Control, Variant, compare
from runners.contracts.container import Folders
from runners.contracts.container import settings as output_settings
from runners.contracts.output_folder import OutputFolder
from runners.endings import ending
from runners.engine import Engine, StartRefused
from runners.engine_facts import ContainerState
from runners.errors import EngineBroken, PostureRefused
from runners.leftovers import new_name, owner_labels, remove_leftovers
from runners.limits import MIB, Limits
from runners.posture import INPUT_TARGET, Posture, container_config, worker_environment
from runners.runtimes import GoldenTable, table_for
from runners.session import SessionPlan
from runners.stream import STDOUT

_SECONDS = 60.0
_REPORT_BYTES = 1 << 20
# Enough for the probe itself, little enough to be exceeded at once.
_SMALL_MEMORY = 24 * MIB
_LARGE_MEMORY = 256 * MIB
_DEATHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPosture:
    """What the probe found under one posture and one set of limits.

    ``table`` names the golden table it was held against, ``variant`` the kind of container, ``visible`` the places
    in ``/proc`` and ``/sys`` that still tell a container about the host.
    """

    runtime: str
    table: str
    variant: Variant
    controls: tuple[Control, ...]
    visible: tuple[str, ...]
    seconds: float

    @property
    def missing(self) -> tuple[Control, ...]:
        """Required controls that are not there."""
        return tuple(control for control in self.controls if control.required and not control.held)

    @property
    def gaps(self) -> tuple[Control, ...]:
        """Controls that are not there and not required: known gaps, to be shown with every result."""
        return tuple(control for control in self.controls if not control.required and not control.held)

    @property
    def held(self) -> bool:
        """True when no required control is missing."""
        return not self.missing


def measure(
    engine: Engine,
    probe_digest: str,
    *,
    posture: Posture,
    limits: Limits,
    variant: Variant = "worker",
    table: GoldenTable | None = None,
) -> MeasuredPosture:
    """Measure the posture with the probe image (:func:`runners.images.probe_image`).

    ``variant`` says under the settings of which containers: ``worker`` has no writable place on the host;
    ``output`` has an output folder, for contracts that leave files; ``loopback`` is asked over the container's own
    loopback interface as well. ``table`` is the golden table to hold it against; None: the shipped one.

    Raises:
        PostureRefused: nobody has measured this engine's runtime before, or there is no output folder here.
        EngineBroken: the probe could not be run at all.
    """
    began = time.monotonic()
    remove_leftovers(engine)
    facts = engine.facts()
    table = table or table_for(facts, posture.runtime)
    with contextlib.ExitStack() as opened:
        plan = _Plan(engine=engine, image=probe_digest, posture=posture, limits=limits, variant=variant)
        if variant != "worker":
            folder = opened.enter_context(OutputFolder(limits.output_bytes, limits.output_inodes))
            plan = replace(plan, output=folder.path)
        report, _ = _run(plan, ("all", OUTPUT_TARGET if plan.output else "-"))
        flood, flooded = _run(plan, ("processes", str(limits.pids)), may_end=True)
        small = replace(plan, limits=replace(limits, memory_bytes=_SMALL_MEMORY))
        # An engine that hears of the end before its reason keeps the reason to itself: on a busy host now and then.
        for _ in range(_DEATHS):
            memory, state = _run(small, ("memory", str(_LARGE_MEMORY)), may_end=True)
            if state.out_of_memory:
                break
    ended = {
        "memory.reported": state.out_of_memory,
        "memory.ended": not memory and state.exit_code != 0,
        "processes.ended": not flood and flooded.exit_code != 0,
    }
    controls = compare(
        {**report, **flood, **memory, **ended}, posture=posture, limits=limits, variant=variant, table=table
    )
    return MeasuredPosture(
        runtime=posture.runtime or facts.default_runtime,
        table=table.name,
        variant=variant,
        controls=controls,
        visible=tuple(sorted(report["visible"])),
        seconds=time.monotonic() - began,
    )


def require(measured: MeasuredPosture, *, waived: tuple[str, ...] = ()) -> None:
    """See that every required control is there or waived by name.

    Raises:
        PostureRefused: one is missing; the message names it and what it is good for.
    """
    missing = [control for control in measured.missing if control.name not in waived]
    if missing:
        names = "; ".join(f"{control.name} (against {control.threat})" for control in missing)
        raise PostureRefused(
            f"The engine does not give the isolation that a run requires. Missing: {names}. Repair the "
            "engine or its host (proctor doctor shows all controls), or waive the control in the policy."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the probe's containers of one measurement have in common."""

    engine: Engine
    image: str
    posture: Posture
    limits: Limits
    variant: Variant
    output: Path | None = None

    def config(self, shown: Path, command: tuple[str, ...]) -> dict[str, Any]:
        """Make the settings by the very functions that make them for a vendor's containers."""
        environment = worker_environment({}, self.limits)
        if self.output is None:
            return container_config(
                self.image,
                posture=self.posture,
                limits=self.limits,
                user=self.posture.user,
                input_root=shown,
                environment=environment,
                labels=owner_labels("probe"),
                command=command,
            )
        planned = SessionPlan(
            image=self.image,
            user=self.posture.user,
            workdir="/",
            posture=self.posture,
            limits=self.limits,
            input_root=shown,
            environment=environment,
            session="probe",
        )
        folders = Folders(
            input_target=INPUT_TARGET,
            output_target=OUTPUT_TARGET,
            environment=environment,
            command=command,
            loopback=self.variant == "loopback",
        )
        return output_settings(planned, folders, shown, self.output)


def _run(
    plan: _Plan, command: tuple[str, ...], *, may_end: bool = False
) -> tuple[dict[str, Any], ContainerState]:
    """Run the probe once; ``may_end`` takes a container that ended without a report for an answer."""
    with tempfile.TemporaryDirectory(prefix="proctor-probe-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        name = new_name()
        try:
            container = plan.engine.create(plan.config(root, command), name)
            output = _output(plan.engine, container)
            state = ending(plan.engine, container, int(_SECONDS)) or plan.engine.state(container)
        finally:
            plan.engine.remove(name)
    if may_end and not output and state.exit_code != 0:
        return {}, state
    try:
        report: dict[str, Any] = json.loads(output)
    except ValueError as error:
        raise EngineBroken(
            f"The probe ended with exit code {state.exit_code} and without a report, so the isolation of a "
            "container is unknown here. Read the engine's log."
        ) from error
    return report, state


def _output(engine: Engine, container: str) -> bytes:
    deadline = time.monotonic() + _SECONDS
    stream, output = None, bytearray()
    try:
        stream = engine.attach(container)
        engine.start(container)
        while len(output) < _REPORT_BYTES and (piece := stream.read(deadline)) is not None:
            if piece[0] == STDOUT:
                output += piece[1]
    except StartRefused as error:
        raise EngineBroken("The engine cannot start the probe under this posture. Read its log.") from error
    except TimeoutError as error:
        raise EngineBroken("The probe did not end in time. Read the engine's log.") from error
    finally:
        if stream is not None:
            stream.close()
    return bytes(output)
