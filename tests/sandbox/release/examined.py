"""A workspace with finished evaluations of scored answers, made without an engine: releases begin there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from sandbox.canonical import digest, digest_bytes
from sandbox.commands.main import main
from sandbox.evaluations.identity import Identity
from sandbox.institution import actors
from sandbox.institution.workspace import Workspace, create, entry, open_ledger, write_json
from sandbox.outcome.results import to_json
from sandbox.plan import protocols
from sandbox.release import workflow
from sandbox.scoring.score import StepCounts, score

ROOT = "ab" * 32
CASES = 600
PROTOCOL = """\
proctor: protocol/1
name: opacity
title: Opacity on SYNTHETIC radiographs
task: {kind: binary, target: opacity, unit: image}
output: {score: {minimum: 0, maximum: 1, levels: 1001}}
operating_points: [{name: screening, threshold: 0.5}]
intervals: {level: 0.95, proportion: wilson, bootstrap_replicates: 200}
failures: worst_case
strata: [{attribute: manufacturer}, {attribute: patient_sex}]
acceptance:
  - {name: discrimination, metric: auroc, bound: lower, at_least: 0.6}
"""


def make_site(home: Path) -> Workspace:
    """A workspace with two approvers and a registered protocol."""
    workspace = create(home)
    for name in ("ada", "bea"):
        actors.add(workspace, name, ["approver"])
    path = home / "protocol.yaml"
    path.write_text(PROTOCOL)
    protocols.register(workspace, path)
    return workspace


def acting(workspace: Workspace, name: str) -> Workspace:
    """The same workspace with another actor."""
    return Workspace(home=workspace.home, origin=workspace.origin, created=workspace.created, actor=name)


def answers(skill: float, seed: int) -> pa.Table:
    """Scored cases of one submission; the hold-out is always the same, the answers are not."""
    hold_out, chance = np.random.default_rng(7), np.random.default_rng(seed)
    reference = hold_out.integers(0, 2, CASES)
    attributes = {
        "manufacturer": ["Synthetic A" if x else "Synthetic B" for x in hold_out.integers(0, 2, CASES)],
        "patient_sex": ["F" if x else "M" for x in hold_out.integers(0, 2, CASES)],
    }
    scores = np.clip(np.round(reference * skill + chance.normal(0.4, 0.2, CASES), 3), 0, 1)
    return pa.table(
        {
            "case_id": [f"c-{i:016x}" for i in range(CASES)],
            "patient_key": [f"p-{i:016x}" for i in range(CASES)],
            "reference": pa.array(reference.tolist(), pa.int8()),
            "score": pa.array(scores.tolist()),
            "failure": pa.nulls(CASES, pa.string()),
            **attributes,
        }
    )


def evaluate(
    workspace: Workspace, vendor: str, *, skill: float = 0.35, seed: int = 1, version: str = "1"
) -> str:
    """Leave a finished evaluation behind, as ``proctor evaluate`` does, and give its id."""
    return finished(workspace, vendor, answers(skill, seed), seed=seed, version=version)


def finished(
    workspace: Workspace,
    vendor: str,
    table: pa.Table,
    *,
    seed: int = 1,
    version: str = "1",
    protocol: str = "opacity",
    answered: pa.Table | None = None,
) -> str:
    """The same of given scored cases; ``answered`` are the predictions, for a task that keeps more than numbers."""
    registered = protocols.find(workspace, protocol)
    cases, patients = table.num_rows, len(set(table["patient_key"].to_pylist()))
    identity = Identity(
        holdout="cxr",
        version=version,
        root=ROOT if version == "1" else digest_bytes(version.encode()).removeprefix("sha256:"),
        submission=digest([vendor, seed]),
        protocol=registered.digest,
        policy=digest("policy"),
        code=digest("code"),
    )
    results = score(table, registered.protocol, identity.evaluation, StepCounts(locked=cases))
    folder = workspace.evaluation(identity.evaluation)
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "scored.parquet")
    if answered is not None:
        pq.write_table(answered, folder / "predictions.parquet")
    (folder / "results.json").write_bytes(to_json(results))
    write_json(folder / "identity.json", {**asdict(identity), "vendor": vendor})
    write_json(
        folder / "holdout.json",
        {"name": "cxr", "version": version, "patients": patients, "cases": cases, "synthetic": True},
    )
    about = {"evaluation": identity.evaluation}
    with open_ledger(workspace) as ledger:
        ledger.append(entry("evaluation-started", subject={**about, **asdict(identity), "vendor": vendor}))
        subject = {
            **about,
            "results": digest_bytes(to_json(results)),
            "predictions": digest([vendor, seed, "predictions"]),
        }
        index = ledger.append(entry("evaluation-finished", subject=subject))
    write_json(
        folder / "finished.json", {"verdict": results.verdict, "entry": index, "time": "2026-01-01T00:00:00Z"}
    )
    return identity.evaluation


def release(workspace: Workspace, evaluation: str, **asked: object) -> str:
    """Take a release through all its steps and give its id."""
    identifier = approved(workspace, evaluation, **asked)
    workflow.issue(workspace, identifier)
    return identifier


def command(capsys, *arguments: str) -> tuple[int, dict, str]:
    """Run one command line with ``--json``; gives exit code, result and messages."""
    capsys.readouterr()
    code = main([*arguments, "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else {}, told.err


def change_policy(workspace: Workspace, **parts: dict) -> None:
    """Change keys of parts of the policy."""
    policy = yaml.safe_load(workspace.policy_path.read_text())
    for name, values in parts.items():
        policy[name] = {**policy.get(name, {}), **values}
    workspace.policy_path.write_text(yaml.safe_dump(policy))


def entries(workspace: Workspace, kind: str) -> list:
    """Ledger entries of one kind."""
    with open_ledger(workspace) as ledger:
        return ledger.find(kind=kind)


def document(workspace: Workspace, identifier: str) -> dict:
    """The document of a release as requested."""
    return json.loads((workspace.release(identifier) / "release.json").read_bytes())


def approved(workspace: Workspace, evaluation: str, **asked: object) -> str:
    """Take a release to its approval by both approvers and give its id."""
    identifier = workflow.request(workspace, evaluation, **asked).release  # type: ignore[arg-type]
    for name in ("ada", "bea"):
        workflow.review(acting(workspace, name), identifier)
        workflow.decide(acting(workspace, name), identifier, "approve")
    return identifier


def document_evaluation(workspace: Workspace, identifier: str) -> str:
    """The evaluation that a release is of."""
    return json.loads((workspace.release(identifier) / "request.json").read_bytes())["evaluation"]
