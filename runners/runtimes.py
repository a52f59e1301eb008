"""Which runtime stands between container and kernel, and the golden table that holds for it (``runtimes.yaml``).

A control is aimed at a kernel that is shared. A runtime with a kernel of its own (gVisor, Kata) answers many of the
probe's attempts itself, so it needs a table of its own; one that nobody has measured is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from runners.engine import EngineFacts
from runners.errors import PostureRefused
from runners.podman import is_podman

TABLES = Path(__file__).with_name("runtimes.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenTable:
    """What differs from ``controls.yaml`` on one pair of engine and runtime; ``rows`` by name of the control."""

    engine: str
    runtime: str
    tested: str
    setup: str
    rows: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """The pair in words."""
        return f"{self.engine} with {self.runtime}"

    @property
    def known_missing(self) -> frozenset[str]:
        """Controls that are known to be missing there, so that a run needs a waiver for each."""
        return frozenset(control for control, row in self.rows.items() if row.get("missing"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedRuntime:
    """A runtime that the engine offers: its name there, its program, and its table (None: refused here)."""

    name: str
    program: str
    table: GoldenTable | None


def offered(facts: EngineFacts) -> tuple[OfferedRuntime, ...]:
    """List what the engine offers, with the tables that exist."""
    return tuple(_offer(facts, name) for name in facts.runtimes)


def table_for(facts: EngineFacts, runtime: str | None) -> GoldenTable:
    """Find the golden table of the runtime that a policy names (None: the engine's default).

    Raises:
        PostureRefused: the engine does not offer it, or nobody has measured it.
    """
    name = runtime or facts.default_runtime
    if name not in facts.runtimes:
        raise PostureRefused(
            f"The engine does not offer the runtime {name}; it offers {', '.join(facts.runtimes) or 'none'}. "
            "Add it to the engine's configuration, or name another in the policy (engine.runtime)."
        )
    found = _offer(facts, name).table
    if found is None:
        raise PostureRefused(
            f"There is no golden table for the runtime {name} of this engine, so nobody knows what it holds. "
            f"There are tables for: {', '.join(table.name for table in golden_tables())}. Name one of these in the "
            "policy (engine.runtime), or measure this one and add its table to runners/runtimes.yaml."
        )
    return found


@cache
def golden_tables() -> tuple[GoldenTable, ...]:
    """Read all tables."""
    return tuple(
        GoldenTable(
            engine=row["engine"],
            runtime=row["runtime"],
            tested=row["tested"],
            setup=row.get("setup", ""),
            rows=row["rows"],
        )
        for row in yaml.safe_load(TABLES.read_text(encoding="utf-8"))
    )


def _offer(facts: EngineFacts, name: str) -> OfferedRuntime:
    engine = "Podman" if is_podman(facts.components) else "Docker"
    program = PurePosixPath(facts.programs.get(name) or name).name
    table = next((each for each in golden_tables() if (each.engine, each.runtime) == (engine, program)), None)
    return OfferedRuntime(name=name, program=program, table=table)
