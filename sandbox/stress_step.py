"""The stressed part of an evaluation, between the clean answers and the scores.

Artefacts, beside those of :mod:`sandbox.evaluate`::

    stress.jsonl      how each ask ended, by its token; a killed run goes on from there
    stress.parquet    the typed answer of each ask; equal answers give equal bytes
    stress.json       what came of it

Truth is needed to plan (classes, donors): the reference standard is opened for it, and the ledger says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from holdout.lock import LockedHoldout, open_reference
from sandbox import holdouts, tables
from sandbox.evidence.ledger import Ledger
from sandbox.identity import Identity
from sandbox.journal import Journal
from sandbox.protocol import Protocol
from sandbox.run import run_key
from sandbox.stress_plan import StressPlan, make_plan
from sandbox.tables import write_table
from sandbox.workspace import Workspace, entry, open_ledger, secret_key

PURPOSE = "stress-planning"
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
    """The plan and the journal of one evaluation's stressed asks; close it after use."""

    def __init__(
        self,
        workspace: Workspace,
        locked: LockedHoldout,
        protocol: Protocol,
        identity: Identity,
        folder: Path,
        *,
        batches: bool,
    ) -> None:
        self._workspace, self._locked, self._protocol = workspace, locked, protocol
        self._identity, self._folder = identity, folder
        self._batches = batches
        self._plan: StressPlan | None = None
        self.journal = Journal(folder / "stress.jsonl")

    @property
    def plan(self) -> StressPlan:
        """The plan; the reference standard is opened when it is first needed, once the run has begun."""
        if self._plan is None:
            reference = open_reference(self._locked, holdouts.reference_key(self._workspace, self._locked))
            with open_ledger(self._workspace) as ledger:
                self._enter_opened(ledger, reference.num_rows)
            secret = secret_key(self._workspace, "pseudonyms")
            self._plan = make_plan(
                self._locked.cases,
                reference,
                self._protocol,
                run_key=run_key(secret, self._identity.evaluation),
                # One sample for every submission to this hold-out, so that they can be compared.
                sample_key=run_key(secret, self._identity.root),
                batches=self._batches,
            )
        return self._plan

    @property
    def done(self) -> bool:
        """Whether every ask has ended."""
        return all(ask.token in self.journal.ended for ask in self.plan.asks)

    def enter_access(self) -> None:
        """Enter how many more asks were put; a killed run's are entered by the one that follows it."""
        put = sum(item.container != "" for item in self.journal.ended.values())
        with open_ledger(self._workspace) as ledger:
            known = ledger.find(kind="holdout-accessed", evaluation=self._identity.evaluation)
            new = put - sum(item.detail.get("asks", 0) for item in known)
            if new > 0:
                detail = {"cases": len(self.plan.sample), "asks": new, "purpose": "stress"}
                ledger.append(entry("holdout-accessed", subject=self._subject(), detail=detail))

    def write(self) -> None:
        """Write what was answered, once."""
        path = self._folder / "stress.parquet"
        if not path.exists():
            write_table(_answers(self.plan, self.journal), path)

    def _enter_opened(self, ledger: Ledger, cases: int) -> None:
        known = ledger.find(kind="reference-opened", evaluation=self._identity.evaluation)
        if not any(item.detail.get("purpose") == PURPOSE for item in known):
            ledger.append(
                entry(
                    "reference-opened", subject=self._subject(), detail={"cases": cases, "purpose": PURPOSE}
                )
            )

    def _subject(self) -> dict[str, str]:
        identity = self._identity
        return {"evaluation": identity.evaluation, "holdout": identity.holdout, "root": identity.root}


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
