"""Stress of answers other than one score: how far they move from the clean answer, and calls that flip."""

import numpy as np
import pyarrow as pa
import pytest

from sandbox.asking.stress_plan import make_plan
from sandbox.evidence.stress_arithmetic import stress_contradictions
from sandbox.outcome.stress_results import from_json, to_json
from sandbox.outcome.stress_step import SCHEMA
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import resolved_test
from sandbox.report.stress_findings import heat_rows
from sandbox.scoring.stress.score import score_stress
from sandbox.stress.registry import find

N = 40
CLASSES = {"classes": {"names": ["a", "b", "c"], "levels": 101}}
OUTPUTS = {
    "multiclass": CLASSES,
    "multilabel": CLASSES,
    "ordinal": {"grades": {"names": ["low", "middle", "high"]}},
    "measurement": {"value": {"minimum": 0, "maximum": 50, "levels": 101, "unit": "mm"}},
}
TESTS = (("dr_gamma", (1, 5)), ("as_rle", (1,)), ("zero_byte", (1,)))


def protocol(kind):
    task = {"kind": kind, "unit": "image"} | ({} if kind == "multilabel" else {"target": "finding"})
    given = Protocol.model_validate(
        {
            "proctor": "protocol/1",
            "name": "stressed",
            "title": "Stressed",
            "task": task,
            "output": OUTPUTS[kind],
            "intervals": {"bootstrap_replicates": 200},
            "strata": [{"attribute": "scanner"}],
            "stress": {"patients": N, "perturbations": [{"name": name} for name, _ in TESTS]},
        }
    )
    return given.with_stress_tests(tuple(resolved_test(find(name), chosen) for name, chosen in TESTS))


def levels_of(kind, seed=1):
    """Clean answers as levels, shape (N, numbers)."""
    numbers = np.random.default_rng(seed)
    if kind == "ordinal":
        return numbers.integers(0, 3, (N, 1))
    return numbers.integers(0, 101, (N, 1 if kind == "measurement" else 3))


def scored(given, levels):
    columns = {
        name: number.minimum + levels[:, i] * (number.maximum - number.minimum) / (number.levels - 1)
        for i, (name, number) in enumerate(zip(given.answer_columns, given.output.numbers, strict=True))
    }
    return pa.table(
        {
            "case_id": [f"c{i:03d}" for i in range(N)],
            "patient_key": [f"p{i:03d}" for i in range(N)],
            "scanner": ["A" if i % 2 else "B" for i in range(N)],
            **columns,
            "failure": pa.nulls(N, pa.string()),
        }
    )


def asked(cells):
    rows = [
        {
            "perturbation": name,
            "severity": severity,
            "case_id": f"c{i:03d}",
            "donor": None,
            "levels": None if isinstance(answer, str) else [int(each) for each in answer],
            "failure": answer if isinstance(answer, str) else None,
        }
        for (name, severity), answers in sorted(cells.items())
        for i, answer in enumerate(answers)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_answers_are_held_against_the_clean_ones_of_the_same_patients(kind):
    given, clean = protocol(kind), levels_of(kind)
    top = 2 if kind == "ordinal" else 100
    turned = top - clean
    cells = {
        ("clean", 1): list(clean),
        ("dr_gamma", 1): list(clean),
        ("dr_gamma", 5): [*turned[1:].tolist(), "crashed"][-1:] + turned[1:].tolist(),
        ("as_rle", 1): list(clean),
        ("zero_byte", 1): ["refused"] * N,
    }
    found = score_stress(scored(given, clean), asked(cells), given, "e-1")
    assert {test.name: test.verdict for test in found.tests} == {
        "clean": "equal",
        "dr_gamma": "outside",
        "as_rle": "equal",
        "zero_byte": "refused",
    }
    assert (found.test("dr_gamma").breaks_at, found.clean) == (5, ())
    cell = found.test("dr_gamma").cells[1]
    moved = np.abs(turned - clean)[1:].max(axis=1) / top
    estimates = {each.metric: each for each in cell.estimates}
    assert estimates["answer_shift"].value == pytest.approx(moved.mean())
    assert estimates["failure_rate"].successes == 1
    assert cell.largest_difference == pytest.approx(moved.max())
    if kind == "multiclass":
        flips = np.count_nonzero(turned[1:].argmax(axis=1) != clean[1:].argmax(axis=1))
        assert estimates["flip_rate"].successes == flips
    elif kind == "ordinal":
        assert estimates["flip_rate"].successes == np.count_nonzero((turned != clean)[1:])
    else:
        assert "flip_rate" not in estimates
    assert from_json(to_json(found)) == found
    assert stress_contradictions(found, given.document) == []
    (row,) = [row for row in heat_rows(found) if row.test.name == "dr_gamma"]
    assert row.squares[-1].text == f"{moved.mean():.2f}"


def test_a_case_without_a_clean_answer_counts_as_changed_when_it_is_answered_under_stress():
    given, clean = protocol("measurement"), levels_of("measurement")
    table = scored(given, clean)
    values = table[given.answer_columns[0]].to_pylist()
    values[0] = None
    table = table.set_column(
        table.schema.get_field_index(given.answer_columns[0]), given.answer_columns[0], [values]
    )
    cells = {("clean", 1): ["crashed", *clean[1:].tolist()], ("as_rle", 1): clean.tolist()}
    tests = (resolved_test(find("as_rle"), (1,)),)
    found = score_stress(table, asked(cells), given.with_stress_tests(tests), "e-1")
    assert found.test("clean").verdict == "equal"
    (cell,) = found.test("as_rle").cells
    assert (cell.different, cell.answered, cell.largest_difference) == (1, N, 0.0)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_patients_are_drawn_without_a_look_at_which_truth_they_have(kind):
    given = protocol(kind)
    cases = pa.table(
        {"case_id": [f"c{i}" for i in range(60)], "patient_key": [f"p{i // 2}" for i in range(60)]}
    )
    values = {
        "multilabel": {name: [0, 1, 1] * 20 for name in ("a", "b", "c")},
        "multiclass": {"finding": ["a", "b", "c"] * 20},
        "ordinal": {"finding": ["low", "middle", None] * 20},
        "measurement": {"finding": ["1.5", "20", "30"] * 20},
    }[kind]
    reference = pa.table({"case_id": cases["case_id"], **values})
    plan = make_plan(cases, reference, given, run_key=b"r" * 32, sample_key=b"h" * 32, batches=False)
    assert len(plan.sample) == 30
    assert len({int(case[1:]) // 2 for case in plan.sample}) == 30
    if kind == "ordinal":
        assert not [case for case in plan.sample if int(case[1:]) % 3 == 2]
