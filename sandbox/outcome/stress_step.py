"""The stressed part of an evaluation, between the clean answers and the scores.

Artefacts, beside those of :mod:`sandbox.evaluations.evaluate`::

    stress.jsonl      how each ask ended, by its token; a killed run goes on from there
    stress.parquet    the typed answer of each ask; equal answers give equal bytes
    stress.json       what came of it
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from sandbox import tables
from sandbox.asking.journal import Journal
from sandbox.asking.stress_plan import StressPlan
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


class StressStep:
    """The plan and the journal of one evaluation's stressed asks; close the journal after use."""

    def __init__(self, plan: StressPlan, folder: Path) -> None:
        self.plan, self._folder = plan, folder
        self.journal = Journal(folder / "stress.jsonl")

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
            write_table(_answers(self.plan, self.journal), path)


def read_answers(path: Path) -> pa.Table:
    """Read the answers of the asks back.

    Raises:
        PredictionError: the file is missing or not what :meth:`StressStep.write` makes.
    """
    return tables.read_answers(path, SCHEMA)


def _answers(plan: StressPlan, journal: Journal) -> pa.Table:
    ordered = sorted(plan.asks, key=lambda ask: (ask.perturbation, ask.severity, ask.case_id))
    ended = [journal.ended[ask.token] for ask in ordered]

    def column(values: Iterable[object]) -> list[object]:
        return list(values)

    return pa.table(
        {
            "perturbation": column(ask.perturbation for ask in ordered),
            "severity": column(ask.severity for ask in ordered),
            "case_id": column(ask.case_id for ask in ordered),
            "donor": column(ask.donor for ask in ordered),
            "levels": column(item.levels for item in ended),
            "failure": column(item.failure for item in ended),
        },
        schema=SCHEMA,
    )
