"""Which runtime stands between container and kernel, and the golden table that holds for it (``runtimes.yaml``).

A control is aimed at a kernel that is shared. A runtime with a kernel of its own (gVisor, Kata) answers many of the
probe's attempts itself, so it needs a table of its own; one that nobody has measured is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from runners.engine_facts import EngineFacts
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


def offered(facts: EngineFacts, own: Sequence[GoldenTable] = ()) -> tuple[OfferedRuntime, ...]:
    """List what the engine offers, with the tables that exist; ``own`` are the institution's."""
    return tuple(_offer(facts, name, own) for name in facts.runtimes)


def table_for(facts: EngineFacts, runtime: str | None, own: Sequence[GoldenTable] = ()) -> GoldenTable:
    """Find the golden table of the runtime that a policy names (None: the engine's default).

    Raises:
        PostureRefused: the engine does not offer it, or nobody has measured it.
    """
    name = runtime or facts.default_runtime
    _check_offered(facts, name)
    found = _offer(facts, name, own).table
    if found is None:
        raise PostureRefused(
            f"There is no golden table for the runtime {name} of this engine, so nobody knows what it holds. "
            f"There are tables for: {', '.join(table.name for table in golden_tables())}. Name one of these in the "
            f"policy (engine.runtime), or measure this one (proctor doctor --measure-table {name} -o FILE), read the "
            "table, and name its file in the policy (engine.golden_table)."
        )
    return found


def pair_of(facts: EngineFacts, name: str) -> tuple[str, str]:
    """Name the engine and the program behind one of its runtimes, by which golden tables are found.

    Raises:
        PostureRefused: the engine does not offer it.
    """
    _check_offered(facts, name)
    return _pair(facts, name)


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


def _check_offered(facts: EngineFacts, name: str) -> None:
    if name not in facts.runtimes:
        raise PostureRefused(
            f"The engine does not offer the runtime {name}; it offers {', '.join(facts.runtimes) or 'none'}. "
            "Add it to the engine's configuration, or name another in the policy (engine.runtime)."
        )


def _pair(facts: EngineFacts, name: str) -> tuple[str, str]:
    engine = "Podman" if is_podman(facts.components) else "Docker"
    return engine, PurePosixPath(facts.programs.get(name) or name).name


def _offer(facts: EngineFacts, name: str, own: Sequence[GoldenTable] = ()) -> OfferedRuntime:
    engine, program = _pair(facts, name)
    tables = (*golden_tables(), *own)
    table = next((each for each in tables if (each.engine, each.runtime) == (engine, program)), None)
    return OfferedRuntime(name=name, program=program, table=table)
