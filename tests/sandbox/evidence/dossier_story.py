"""A small evaluation for the dossier's tests: scored and logged for real, only the run is made up."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.canonical import canonical_json, digest, digest_bytes
from sandbox.evaluations.identity import Identity
from sandbox.evidence.actors import Acting
from sandbox.evidence.dossier import DossierParts, prove_entries
from sandbox.evidence.encoding import encode_base64
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.outcome.results import Results, to_json
from sandbox.plan.protocol import load_protocol
from sandbox.scoring.score import StepCounts, score

PROTOCOL = """\
proctor: protocol/1
name: test-protocol
title: Opacity on synthetic radiographs
task: {kind: binary, target: opacity, unit: image}
output: {score: {minimum: 0, maximum: 1, levels: 1001}}
input: {attributes: [ViewPosition]}
operating_points: [{name: screening, threshold: 0.5}]
intervals: {level: 0.95, proportion: PROPORTION, bootstrap_replicates: 200}
failures: worst_case
strata: [{attribute: manufacturer}, {attribute: patient_sex}, {cross: [manufacturer, patient_sex]}]
minimum: {positives: 5, negatives: 5}
acceptance:
  - {name: discrimination, metric: auroc, bound: lower, at_least: 0.6}
  - {name: catches, metric: sensitivity, operating_point: screening, bound: lower, at_least: 0.2}
"""
ROOT = "ab" * 32
IMAGE = "sha256:" + "cd" * 32
KINDS = (
    "holdout-locked",
    "submission-admitted",
    "protocol-registered",
    "evaluation-started",
    "evaluation-finished",
    "report-made",
)


def scored(folder: Path, *, proportion: str = "wilson", seed: int = 1, clustered: bool = False) -> Results:
    """Results of the real scoring on random answers; about one in twenty cases failed."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(60, 120))
    reference = chance.integers(0, 2, n)
    answers = np.clip(np.round(reference * 0.4 + chance.normal(0.35, 0.15, n), 3), 0, 1)
    failed = chance.random(n) < 0.05
    table = pa.table(
        {
            "case_id": [f"c{i}" for i in range(n)],
            "patient_key": [f"p{i // 2 if clustered else i}" for i in range(n)],
            "reference": pa.array(reference.tolist(), pa.int8()),
            "score": pa.array([None if f else float(s) for s, f in zip(answers, failed, strict=True)]),
            "failure": pa.array(["timeout" if f else None for f in failed], pa.string()),
            "manufacturer": ["Synthetic A" if x else "Synthetic B" for x in chance.integers(0, 2, n)],
            "patient_sex": ["F" if x else "M" for x in chance.integers(0, 2, n)],
        }
    )
    path = folder / "protocol.yaml"
    path.write_text(PROTOCOL.replace("PROPORTION", proportion))
    protocol = load_protocol(path)
    return score(table, protocol, identity(protocol.digest).evaluation, StepCounts(locked=n))


def identity(protocol: str) -> Identity:
    return Identity(
        holdout="cxr",
        version="1",
        root=ROOT,
        submission=IMAGE,
        protocol=protocol,
        policy=digest({"policy": 1}),
        code=digest({"code": 1}),
    )


def events(results: Results, report: bytes, controls: list[Any]) -> list[dict[str, Any]]:
    """The ledger's entries of one evaluation, in order."""
    who = identity(results.protocol_digest)
    about = {"evaluation": results.evaluation}
    cases = results.flow.cases
    subjects: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (
            "holdout-locked",
            {"holdout": "cxr", "version": "1", "root": ROOT},
            {"cases": cases, "patients": results.flow.patients, "instances": cases, "synthetic": True},
        ),
        ("submission-admitted", {"submission": IMAGE, "vendor": "acme"}, {"size": 1000}),
        ("protocol-registered", {"protocol": results.protocol_digest, "name": "test-protocol"}, {}),
        ("evaluation-started", {**about, **asdict(who), "vendor": "acme"}, {"cases": cases}),
        (
            "holdout-accessed",
            {**about, "holdout": "cxr", "root": ROOT},
            {"cases": cases, "purpose": "evaluation"},
        ),
        (
            "evaluation-finished",
            {**about, "results": digest_bytes(to_json(results)), "posture": digest(controls)},
            {"cases": cases, "failed": results.flow.failed, "verdict": results.verdict or "none"},
        ),
        ("report-made", {**about, "report": digest_bytes(report)}, {}),
    ]
    return [
        {
            "format": "proctor-entry/1",
            "kind": kind,
            "time": f"2026-02-03T10:{minute:02d}:07Z",
            "actor": "operator",
            "subject": subject,
            "detail": detail,
        }
        for minute, (kind, subject, detail) in enumerate(subjects)
    ]


ACTING = Acting(
    name="operator",
    key=SigningKey(name="operator", private=Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))),
)


def story_ledger(folder: Path, key: SigningKey) -> Ledger:
    """A ledger with one actor, who signs whatever is appended."""
    Ledger.create(folder, origin=key.name, key=key)
    ledger = Ledger.open(folder, key=key, acting=lambda: ACTING)
    ledger.append(
        {
            "kind": "actor-added",
            "time": "2026-02-03T09:00:00Z",
            "subject": {"name": ACTING.name, "key": encode_base64(ACTING.key.verifier.public)},
            "detail": {"operator": True, "custodian": True},
        }
    )
    return ledger


CONTROLS = [{"name": "network", "required": True, "expected": "none", "measured": "none", "held": True}]
REPORT = b"<!doctype html><title>SYNTHETIC</title>"


def parts_of(
    folder: Path, ledger: Ledger, key: SigningKey, results: Results, *kinds: str, **changes: Any
) -> DossierParts:
    """Dossier parts of an evaluation whose entries are the last ones in ``ledger``; ``kinds`` are proven as well."""
    protocol = load_protocol(folder / "protocol.yaml")
    wanted = [entry for entry in ledger.entries() if entry.subject.get("evaluation") == results.evaluation]
    wanted += [entry for kind in ("actor-added", *KINDS[:3], *kinds) for entry in ledger.find(kind=kind)]
    proven, checkpoint = prove_entries(ledger, wanted)
    holdout = {
        "name": "cxr",
        "version": "1",
        "root": ROOT,
        "cases": results.flow.cases,
        "patients": results.flow.patients,
        "instances": results.flow.cases,
    }
    facts: dict[str, Any] = {
        "protocol_yaml": (folder / "protocol.yaml").read_bytes(),
        "protocol": canonical_json(protocol.document),
        "results": to_json(results),
        "report": REPORT,
        "posture": canonical_json({"controls": CONTROLS, "engine": "made up"}),
        "holdout": canonical_json(holdout),
        "policy": canonical_json({"policy": 1}),
        "entries": proven,
        "checkpoint": checkpoint,
        "key": key,
        "tool": "0.1.0",
    }
    return DossierParts(**{**facts, **changes})


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
