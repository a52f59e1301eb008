"""The last step of an evaluation: from its typed answers to results, self-checks and the entry that it is finished."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from holdout.lock import LockedHoldout
from sandbox.asking import predictions
from sandbox.canonical import digest, digest_bytes
from sandbox.custody.holdout_summary import write_holdout_summary
from sandbox.evaluations.evaluation_entries import EvaluationEntries
from sandbox.evidence.durable import write_durable
from sandbox.institution.workspace import Workspace, write_json
from sandbox.outcome import stress_results
from sandbox.outcome.kept_marks import with_digests
from sandbox.outcome.results import to_json
from sandbox.outcome.scored import scored_cases
from sandbox.outcome.selfcheck import run_selfchecks
from sandbox.outcome.stress_step import read_answers
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import MARKED_KINDS
from sandbox.scoring.score import StepCounts, score
from sandbox.scoring.stress.score import score_stress
from sandbox.tables import write_table


def score_evaluation(
    workspace: Workspace,
    locked: LockedHoldout,
    protocol: Protocol,
    reference: pa.Table,
    folder: Path,
    entries: EvaluationEntries,
    *,
    evaluation: str,
) -> None:
    """Score what lies in an evaluation's folder and finish it.

    Args:
        locked: the hold-out, with the cases that were asked.
        reference: the opened reference standard.
        folder: it holds predictions.parquet, posture.json and, where stress was asked for, stress.parquet.
        evaluation: its id, which names the random streams.
    """
    write_holdout_summary(workspace, locked, reference, protocol, folder / "holdout.json")
    checks = run_selfchecks(reference, locked.cases, protocol)
    write_json(folder / "selfchecks.json", [{**asdict(check), "passed": check.passed} for check in checks])
    answered = predictions.read(folder / "predictions.parquet")
    table = scored_cases(locked.cases, reference, answered, protocol)
    write_table(table, folder / "scored.parquet")
    cases = locked.cases.num_rows
    staged = cases - _count(answered, "staging_failed")
    counts = StepCounts(locked=cases, staged=staged, asked=staged - _count(answered, "not_started"))
    results = score(table, protocol, evaluation, counts)
    write_durable(folder / "results.json", to_json(results))
    named = {"results": "results.json", "predictions": "predictions.parquet"}
    if protocol.stress is not None:
        asked = read_answers(folder / "stress.parquet", protocol)
        marked = protocol.task.kind in MARKED_KINDS
        clean = with_digests(table, answered, protocol) if marked else table
        found = score_stress(clean, asked, protocol, evaluation)
        write_durable(folder / "stress.json", stress_results.to_json(found))
        named["stress"] = "stress.json"
    digests = {name: digest_bytes((folder / file).read_bytes()) for name, file in named.items()}
    index, time = entries.finished({**digests, "posture": posture_digest(folder)}, results, cases=cases)
    write_json(folder / "finished.json", {"verdict": results.verdict, "entry": index, "time": time})


def posture_digest(folder: Path) -> str:
    """Digest of the measured controls, apart from the machine's names and versions beside them."""
    return digest(json.loads((folder / "posture.json").read_bytes())["controls"])


def _count(answered: pa.Table, code: str) -> int:
    return sum(each == code for each in answered["failure"].to_pylist())
