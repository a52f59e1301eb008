"""Where an evaluation's evidence lies: its artefacts, and the entries of the ledger that it rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sandbox.errors import EvaluationError
from sandbox.evaluations.evaluation import Evaluation
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.ledger import Ledger
from sandbox.outcome import stress_results
from sandbox.outcome.stress_results import StressResults

_TOLD = ("release-requested", "release-reviewed", "release-issued", "mechanism-answered")


def story_of(ledger: Ledger, item: Evaluation) -> list[LedgerEntry]:
    """The entries that an evaluation rests on: the last of each kind before its end."""
    started = ledger.find(kind="evaluation-started", evaluation=item.id)[0]
    finished = ledger.find(kind="evaluation-finished", evaluation=item.id)[-1]
    root, version = started.subject["root"], started.subject["version"]
    chosen = [
        *_last(ledger.find(kind="holdout-locked", root=root, version=version), started),
        *_last(ledger.find(kind="submission-admitted", submission=started.subject["submission"]), started),
        *_last(ledger.find(kind="protocol-registered", protocol=started.subject["protocol"]), started),
        started,
        *_last(ledger.find(kind="posture-measured", evaluation=item.id), finished),
        *(
            granted
            for granted in ledger.find(kind="waiver-granted", policy=started.subject["policy"])
            if granted.index < finished.index
        ),
        *verified(ledger, finished),
        *_last(ledger.find(kind="holdout-accessed", evaluation=item.id), finished),
        *_last(ledger.find(kind="reference-opened", evaluation=item.id), finished),
        finished,
    ]
    return with_actors(ledger, chosen)


def told_of(ledger: Ledger, item: Evaluation) -> list[LedgerEntry]:
    """What became of an evaluation outside: releases asked for, reviewed and issued, answers of a mechanism."""
    return [each for kind in _TOLD for each in ledger.find(kind=kind, evaluation=item.id)]


def with_actors(ledger: Ledger, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """``entries`` with what the ledger said of actors and rules before the last of them, in order."""
    last = max(each.index for each in entries)
    said = [each for each in ledger.governing() if each.index < last and "holdout" not in each.subject]
    chosen = {each.index: each for each in (*entries, *said)}
    return [chosen[index] for index in sorted(chosen)]


def verified(ledger: Ledger, finished: LedgerEntry) -> list[LedgerEntry]:
    """The last verification of the hold-out before the run, and the last after it."""
    known = ledger.find(kind="holdout-verified", evaluation=finished.subject["evaluation"])
    return [
        each
        for moment in ("before", "after")
        for each in _last([each for each in known if each.detail["moment"] == moment], finished)
    ]


def _last(entries: list[LedgerEntry], end: LedgerEntry) -> list[LedgerEntry]:
    return [each for each in entries if each.index < end.index][-1:]


def stress_of(item: Evaluation) -> StressResults | None:
    """What came of its stress tests; None where the protocol asks for none."""
    path = item.folder / "stress.json"
    return stress_results.from_json(path.read_bytes()) if path.exists() else None


def read_artefact(item: Evaluation, name: str) -> Any:
    """Read one of its JSON artefacts.

    Raises:
        EvaluationError: it is damaged.
    """
    try:
        return json.loads((item.folder / name).read_bytes())
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{item.folder / name} is damaged. Restore it from a backup.") from error
