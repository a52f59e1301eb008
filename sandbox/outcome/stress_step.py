"""The stressed part of an evaluation, between the clean answers and the scores.

Artefacts, beside those of :mod:`sandbox.evaluations.evaluate`::

    stress.jsonl      how each ask ended, by its token; a killed run goes on from there
    stress.parquet    the typed answer of each ask, or what it was worth where it marks places; equal answers give equal
                      bytes
    stress.json       what came of it
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sandbox import tables
from sandbox.asking.asks import Keep
from sandbox.asking.journal import Journal
from sandbox.asking.stress_plan import StressPlan
from sandbox.errors import PredictionError
from sandbox.outcome.kept_marks import MarkKeeper, kept_fields
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import MARKED_KINDS
from sandbox.tables import write_table

SCHEMA = pa.schema(
    [
        pa.field("perturbation", pa.string(), nullable=False),
        pa.field("severity", pa.int8(), nullable=False),
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("donor", pa.string()),
        pa.field("levels", pa.list_(pa.int32())),
        pa.field("failure", pa.string()),
    ]
)

_ASKED = ("perturbation", "severity", "case_id", "donor")


def schema_of(protocol: Protocol) -> pa.Schema:
    """Columns of stress.parquet."""
    if protocol.task.kind not in MARKED_KINDS:
        return SCHEMA
    asked = [field for field in SCHEMA if field.name != "levels"]
    return pa.schema([*asked, *kept_fields(protocol)])


class StressStep:
    """The plan and the journal of one evaluation's stressed asks; close the journal after use."""

    def __init__(self, plan: StressPlan, folder: Path, protocol: Protocol, reference: pa.Table) -> None:
        self.plan, self._folder, self._protocol = plan, folder, protocol
        self.journal = Journal(folder / "stress.jsonl")
        self.keep: Keep | None = None
        if protocol.task.kind in MARKED_KINDS:
            self.keep = MarkKeeper(reference, protocol)

    @property
    def done(self) -> bool:
        """Whether every ask has ended."""
        return all(ask.token in self.journal.ended for ask in self.plan.asks)

    @property
    def put(self) -> int:
        """How many asks a container was asked."""
        return sum(item.container != "" for item in self.journal.ended.values())

    def write(self) -> None:
        """Write what was answered, once."""
        path = self._folder / "stress.parquet"
        if not path.exists():
            write_table(_answers(self.plan, self.journal, schema_of(self._protocol)), path)


def read_answers(path: Path, protocol: Protocol) -> pa.Table:
    """Read the answers of the asks back.

    Raises:
        PredictionError: the file is missing or not what :meth:`StressStep.write` makes.
    """
    return tables.read_answers(path, schema_of(protocol))


def sampled_cases(path: Path) -> set[str]:
    """The cases that were asked again under stress.

    Raises:
        PredictionError: the file is missing, or holds no such column.
    """
    try:
        return set(pq.read_table(path, columns=["case_id"])["case_id"].to_pylist())
    except (OSError, KeyError, pa.ArrowException) as error:
        raise PredictionError(f"{path} cannot be read. Remove it and run the evaluation again.") from error


def _answers(plan: StressPlan, journal: Journal, schema: pa.Schema) -> pa.Table:
    ordered = sorted(plan.asks, key=lambda ask: (ask.perturbation, ask.severity, ask.case_id))
    ended = [journal.ended[ask.token] for ask in ordered]
    columns: dict[str, list[object]] = {
        **{name: [getattr(ask, name) for ask in ordered] for name in _ASKED},
        "levels": [item.levels for item in ended],
        "failure": [item.failure for item in ended],
    }
    for name in schema.names:
        if name not in columns:
            columns[name] = [(item.kept or {}).get(name) for item in ended]
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)
