"""Scored tables of the tasks other than one binary score, made up at random, for tests."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sandbox.protocol import Protocol

CLASSES = ("nv", "mel", "bcc")
GRADES = ("1", "2", "3", "4", "5")


def protocol(kind: str, output: dict, **more) -> Protocol:
    """A protocol of one kind with few replicates and low minima."""
    task = {"kind": kind, "unit": "image"}
    if kind != "multilabel":
        task["target"] = "dx"
    task |= more.pop("task", {})
    plan = {
        "proctor": "protocol/1",
        "name": "t",
        "title": "T",
        "task": task,
        "output": output,
        "intervals": {"bootstrap_replicates": 400},
        "strata": ({"attribute": "sex"},),
        "minimum": {"positives": 3, "negatives": 3, "patients": 3},
    }
    return Protocol.model_validate({**plan, **more})


def table(answers: dict, truth: dict, *, per_patient: int = 1, failed: float = 0.0, seed: int = 0, **more) -> pa.Table:
    """A table of scored cases; ``answers`` and ``truth`` are columns by name."""
    generator = np.random.default_rng(seed)
    n = len(next(iter(answers.values())))
    lost = generator.random(n) < failed
    columns = {
        "case_id": [f"c{i:05}" for i in range(n)],
        "patient_key": [f"p{i // per_patient:05}" for i in range(n)],
        "failure": [("timeout" if each else None) for each in lost],
        "sex": np.where(generator.random(n) < 0.5, "F", "M").tolist(),
    }
    columns |= truth
    columns |= {
        name: pa.array(np.asarray(values, dtype=float), mask=lost) for name, values in answers.items()
    }
    return pa.table({**columns, **more})


def multiclass_plan(**more) -> Protocol:
    """Three classes with probabilities."""
    return protocol("multiclass", {"classes": {"names": CLASSES}}, **more)


def multiclass_table(n: int = 300, *, strength: float = 1.0, seed: int = 1, **more) -> pa.Table:
    """Softmax answers that know something of the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(3, n, p=[0.6, 0.25, 0.15])
    logits = generator.normal(0, 1, (n, 3)) + strength * np.eye(3)[truth]
    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = {f"answer:{name}": np.round(answers[:, k], 3) for k, name in enumerate(CLASSES)}
    return table(columns, {"reference": pa.array(truth, pa.int16())}, seed=seed, **more)
