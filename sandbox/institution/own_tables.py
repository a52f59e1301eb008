"""An institution's own golden table: of a pair of engine and runtime that Proctor ships none for (Kata, for example).

It is measured on the institution's machine, read by a person, and named in the policy, whose digest covers its text. It
can only say what is missing there, so that each such control needs a signed waiver; that a control is not needed, or
shows in another way, only a shipped table can say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints

from holdout.yamlfile import Where, mistakes_error, read_yaml, validate
from runners.comparison import VARIANTS, Control
from runners.controls import waivable_controls
from runners.engine import Engine
from runners.errors import PostureRefused
from runners.images import probe_image
from runners.limits import Limits
from runners.posture import Posture
from runners.probe import measure
from runners.runtimes import GoldenTable, golden_tables, pair_of
from sandbox.canonical import digest
from sandbox.errors import PolicyError

_HEAD = """\
# A golden table, measured by `proctor doctor --measure-table`. Read each row before a policy names this file
# (engine.golden_table): what is missing here, a run needs a signed waiver for (proctor waiver sign).
"""
_LONGEST = 300

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MissingControl(_Part):
    """A control that is not there on this pair, and why."""

    missing: Literal[True]
    why: Text


class TableFile(_Part):
    """The file; ``runtime`` is the runtime's program as the engine names it."""

    proctor: Literal["golden-table/1"]
    engine: Literal["Docker", "Podman"]
    runtime: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.-]{0,40}$")]
    tested: Text
    rows: Mapping[Name, MissingControl]


def read_table(path: Path) -> tuple[GoldenTable, str]:
    """Read and check a table; returns it with the digest of what it says.

    Raises:
        PolicyError: it has mistakes, or there is a shipped table for its pair.
    """
    document = read_yaml(path, PolicyError)
    file = validate(document, TableFile, PolicyError)
    known = waivable_controls()
    mistakes: list[tuple[Where, str]] = [
        (("rows", name), "is no control; proctor doctor lists them.")
        for name in file.rows
        if name not in known
    ]
    table = GoldenTable(
        engine=file.engine,
        runtime=file.runtime,
        tested=file.tested,
        setup="",
        rows={name: row.model_dump() for name, row in file.rows.items()},
    )
    if table.name in {each.name for each in golden_tables()}:
        mistakes.append(
            (("runtime",), f"has a table of Proctor's own ({table.name}), which cannot be replaced.")
        )
    if mistakes:
        raise mistakes_error(document, mistakes, PolicyError)
    return table, digest(file.model_dump(mode="json"))


def measured_table(
    engine: Engine, runtime: str, *, posture: Posture, limits: Limits
) -> tuple[GoldenTable, tuple[Control, ...]]:
    """Measure every kind of container under a runtime; returns its table and the controls that are missing.

    Raises:
        PostureRefused: the engine does not offer the runtime, or there is a shipped table for it.
        EngineBroken: nothing can be measured.
    """
    facts = engine.facts()
    name, program = pair_of(facts, runtime)
    shipped = {(each.engine, each.runtime): each for each in golden_tables()}
    if known := shipped.get((name, program)):
        raise PostureRefused(f"There is a table for {known.name} already. Name the runtime in the policy.")
    versions = ", ".join(f"{part} {version}" for part, version in sorted(facts.components.items()))
    tested = f"{versions}, kernel {facts.kernel}, control groups v{facts.cgroup_version}"
    empty = GoldenTable(engine=name, runtime=program, tested=tested, setup="", rows={})
    image = probe_image(engine).digest
    missing: dict[str, Control] = {}
    for variant in VARIANTS:
        found = measure(engine, image, posture=posture, limits=limits, variant=variant, table=empty)
        missing |= {control.name: control for control in found.missing}
    rows = {control.name: {"missing": True, "why": _why(control)} for control in missing.values()}
    table = GoldenTable(engine=name, runtime=program, tested=tested, setup="", rows=rows)
    return table, tuple(missing.values())


def table_text(table: GoldenTable) -> str:
    """Write a table as the file that a policy names."""
    document = {
        "proctor": "golden-table/1",
        "engine": table.engine,
        "runtime": table.runtime,
        "tested": table.tested,
        "rows": {name: dict(row) for name, row in table.rows.items()},
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _why(control: Control) -> str:
    said = f"expected {control.expected}, measured {control.measured}; it holds against: {control.threat}"
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."
