"""Scored tables of the tasks other than one binary score, made up at random, for tests."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sandbox.outcome.truth import truth_columns
from sandbox.plan.protocol import Protocol

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


def table(
    answers: dict, truth: dict, *, per_patient: int = 1, failed: float = 0.0, seed: int = 0, **more
) -> pa.Table:
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


def ordinal_plan(*, probabilities: bool = False, **more) -> Protocol:
    """Five grades."""
    grades = {"names": GRADES} | ({"probability_levels": 101} if probabilities else {})
    return protocol("ordinal", {"grades": grades}, **more)


def ordinal_table(n: int = 300, *, noise: float = 0.8, seed: int = 2, **more) -> pa.Table:
    """Grades that are off by a rounded normal error."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(5, n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    grade = np.clip(np.rint(truth + generator.normal(0, noise, n)), 0, 4)
    return table({"answer:grade": grade}, {"reference": pa.array(truth, pa.int16())}, seed=seed, **more)


def measurement_plan(**more) -> Protocol:
    """A length from 0 to 200 mm."""
    output = {"value": {"minimum": 0.0, "maximum": 200.0, "levels": 2001, "unit": "mm"}}
    return protocol("measurement", output, **more)


def measurement_table(
    n: int = 200,
    *,
    bias: float = 1.0,
    noise: float = 4.0,
    slope: float = 1.0,
    per_patient: int = 1,
    seed: int = 3,
    **more,
) -> pa.Table:
    """Lengths with error; patients with several cases share a part of it."""
    generator = np.random.default_rng(seed)
    truth = np.round(generator.normal(80, 15, n), 1)
    shared = np.repeat(generator.normal(0, noise / 2, -(-n // per_patient)), per_patient)[:n]
    value = np.round(np.clip(slope * truth + bias + shared + generator.normal(0, noise, n), 0, 200), 1)
    columns = {"reference": pa.array(truth)}
    return table({"answer:value": value}, columns, per_patient=per_patient, seed=seed, **more)


LABELS = ("edema", "effusion", "mass")


def multilabel_plan(**more) -> Protocol:
    """Three labels at one threshold."""
    points = ({"name": "half", "threshold": 0.5},)
    return protocol("multilabel", {"classes": {"names": LABELS}}, **({"operating_points": points} | more))


def multilabel_table(n: int = 300, *, unknown: float = 0.0, seed: int = 4, **more) -> pa.Table:
    """Labels that go together, answers that know something of them."""
    generator = np.random.default_rng(seed)
    sick = generator.normal(0, 1, n)
    truth = (sick[:, None] + generator.normal(0, 1, (n, 3)) > [0.5, 0.8, 1.2]).astype(int)
    answers = np.round(1 / (1 + np.exp(-(2 * truth - 1 + generator.normal(0, 1.2, (n, 3))))), 3)
    hidden = generator.random((n, 3)) < unknown
    truths = {
        f"truth:{name}": pa.array(truth[:, k], pa.int8(), mask=hidden[:, k]) for k, name in enumerate(LABELS)
    }
    return table(
        {f"answer:{name}": answers[:, k] for k, name in enumerate(LABELS)}, truths, seed=seed, **more
    )


def detection_plan(**more) -> Protocol:
    """Boxes that hit by their centre, with sensitivity at two rates of false positives."""
    return protocol("detection", {"findings": {}}, hits={"rule": "centre", "rates": (0.5, 2.0)}, **more)


def detection_table(
    n: int = 240, *, found: np.ndarray | float = 0.7, per_patient: int = 1, failed: float = 0.0, seed: int = 4
) -> pa.Table:
    """Cases with none to two lesions, found with a chance of ``found``, and up to two false positives."""
    generator = np.random.default_rng(seed)
    lesions = generator.choice(3, n, p=[0.4, 0.4, 0.2])
    chance = np.broadcast_to(found, n)
    ratings, matched = [], []
    for count, likely in zip(lesions, chance, strict=True):
        hit = [index for index in range(count) if generator.random() < likely]
        false = int(generator.integers(0, 3))
        rated = [*generator.normal(1.0, 0.7, len(hit)), *generator.normal(0, 0.7, false)]
        ratings.append([round(float(each), 1) for each in rated])
        matched.append([*hit, *[-1] * false])
    whole = table({"unused": np.zeros(n)}, {"reference": pa.array(lesions, pa.int32())},
                  per_patient=per_patient, failed=failed, seed=seed)  # fmt: skip
    return whole.append_column("answer:ratings", pa.array(ratings, pa.list_(pa.float64()))).append_column(
        "answer:matched", pa.array(matched, pa.list_(pa.int64()))
    )


def segmentation_plan(**more) -> Protocol:
    """Masks with distances in pixels."""
    return protocol("segmentation", {"mask": {"runs": 100}}, boundary={"tolerance": 1, "unit": "px"}, **more)


def segmentation_table(
    n: int = 200, *, dice: np.ndarray | float = 0.8, per_patient: int = 1, failed: float = 0.0, seed: int = 5
) -> pa.Table:
    """What is kept of comparisons of masks, with a Dice about ``dice``."""
    generator = np.random.default_rng(seed)
    overlap = np.clip(generator.normal(np.broadcast_to(dice, n), 0.1), 0.05, 0.99)
    volume = generator.uniform(50, 200, n)
    answers = {
        "dice": overlap,
        "iou": overlap / (2 - overlap),
        "nsd": np.clip(overlap + 0.05, 0, 1),
        "hd95": 20 * (1 - overlap),
        "assd": 6 * (1 - overlap),
        "volume": volume * generator.uniform(0.8, 1.2, n),
        "matched": np.ones(n),
        "matched_iou": overlap / (2 - overlap),
        "false_positive": generator.integers(0, 2, n),
        "missed": np.zeros(n),
    }
    truth = dict(zip(truth_columns(segmentation_plan()),
                     (volume, np.full(n, 30.0), np.full(n, 1000.0), np.ones(n)), strict=True))  # fmt: skip
    columns = {f"answer:{name}": values for name, values in answers.items()}
    return table(columns, truth, per_patient=per_patient, failed=failed, seed=seed)
