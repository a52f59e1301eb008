"""Scores of stressed answers against brute force, and verdicts by what is expected."""

import math
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.evidence.stress_arithmetic import stress_contradictions, tango
from sandbox.outcome.stress_results import from_json, to_json
from sandbox.outcome.stress_step import SCHEMA
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import resolved_test
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.comparison import paired
from sandbox.scoring.multiplicity import holm
from sandbox.scoring.stress.family import adjusted_p
from sandbox.scoring.stress.score import score_stress
from sandbox.stress.registry import find, registry

LEVELS = 101
TESTS = (
    ("dr_gamma", (1, 5)),
    ("as_rle", (1,)),
    ("constant", (3,)),
    ("borders_only", (5,)),
    ("side_marker_on_negatives", (3,)),
    ("header_of_another_patient", (1,)),
)


def protocol(tests=TESTS, **margins):
    given = Protocol.model_validate(
        {
            "proctor": "protocol/1",
            "name": "stressed",
            "title": "Stressed",
            "task": {"kind": "binary", "target": "opacity", "unit": "image"},
            "output": {"score": {"minimum": 0, "maximum": 1, "levels": LEVELS}},
            "operating_points": [{"name": "default", "threshold": 0.5}],
            "intervals": {"bootstrap_replicates": 200},
            "strata": [{"attribute": "scanner"}],
            "stress": {
                "patients": 60,
                "perturbations": [{"name": name, "severities": list(chosen)} for name, chosen in tests],
                "margins": margins,
            },
        }
    )
    return given.with_stress_tests(tuple(resolved_test(find(name), chosen) for name, chosen in tests))


def world(seed=3, n=60):
    """Clean answers (levels) of n patients, their truth, and stressed answers that lose more and more."""
    numbers = np.random.default_rng(seed)
    truth = np.arange(n) % 2 == 0
    clean = np.clip(numbers.normal(35 + 35 * truth, 15), 0, 100).astype(int)
    return truth, clean, numbers


def scored(truth, clean):
    n = truth.size
    return pa.table(
        {
            "case_id": [f"c{i:03d}" for i in range(n)],
            "patient_key": [f"p{i:03d}" for i in range(n)],
            "reference": pa.array(truth.astype(int).tolist(), pa.int8()),
            "scanner": ["A" if i % 3 else "B" for i in range(n)],
            "score": [None if level is None else level * (1 / (LEVELS - 1)) + 0.0 for level in clean],
            "failure": [None if level is not None else "crashed" for level in clean],
        }
    )


def asked(cells, n=60):
    """``cells``: (perturbation, severity) to a list of levels, or of a failure code, for each case."""
    rows = {name: [] for name in SCHEMA.names}
    for (name, severity), answers in sorted(cells.items()):
        for index, answer in enumerate(answers):
            failed = isinstance(answer, str)
            donor = f"c{(index + 2) % n:03d}" if name == "header_of_another_patient" else None
            for column, value in zip(
                SCHEMA.names,
                (
                    name,
                    severity,
                    f"c{index:03d}",
                    donor,
                    None if failed else [int(answer)],
                    answer if failed else None,
                ),
                strict=True,
            ):
                rows[column].append(value)
    return pa.table(rows, schema=SCHEMA)


def everything(truth, clean, numbers):
    n = truth.size
    return {
        ("clean", 1): list(clean),
        ("dr_gamma", 1): list(np.clip(clean + numbers.integers(-3, 4, n), 0, 100)),
        ("dr_gamma", 5): [
            "crashed" if i % 10 == 0 else int(v) for i, v in enumerate(numbers.integers(0, 101, n))
        ],
        ("as_rle", 1): list(clean),
        ("constant", 3): ["refused"] * n,
        ("borders_only", 5): list(numbers.integers(0, 101, n)),
        ("side_marker_on_negatives", 3): list(np.where(truth, 0, np.clip(clean + 40, 0, 100))),
        ("header_of_another_patient", 1): list(np.roll(clean, -2)),
    }


def brute_auroc(truth, score):
    pairs = [(p > q) + (p == q) / 2 for p in score[truth] for q in score[~truth]]
    return sum(pairs) / len(pairs)


def estimate_of(cell, metric):
    return next(each for each in cell.estimates if each.metric == metric)


@pytest.fixture(scope="module")
def results():
    truth, clean, numbers = world()
    cells = everything(truth, clean, numbers)
    return truth, clean, cells, score_stress(scored(truth, clean), asked(cells), protocol(), "e-1")


def test_changes_are_those_of_brute_force(results):
    truth, clean, cells, found = results
    for severity in (1, 5):
        cell = next(each for each in found.test("dr_gamma").cells if each.severity == severity)
        raw = cells["dr_gamma", severity]
        worst = np.array(
            [
                (-math.inf if positive else math.inf) if isinstance(value, str) else value
                for positive, value in zip(truth, raw, strict=True)
            ]
        )
        change = brute_auroc(truth, worst) - brute_auroc(truth, clean.astype(float))
        assert estimate_of(cell, "auroc_change").value == pytest.approx(change, abs=1e-12)
        rates = [np.mean(score[truth] >= 50) for score in (worst, clean)]
        assert estimate_of(cell, "sensitivity_change").value == pytest.approx(rates[0] - rates[1], abs=1e-12)
        rates = [np.mean(score[~truth] < 50) for score in (worst, clean)]
        assert estimate_of(cell, "specificity_change").value == pytest.approx(rates[0] - rates[1], abs=1e-12)
        shifts = [
            (value - level) / 100
            for value, level in zip(raw, clean, strict=True)
            if not isinstance(value, str)
        ]
        assert estimate_of(cell, "score_shift").value == pytest.approx(np.mean(shifts), abs=1e-12)
        assert cell.largest_difference == pytest.approx(max(map(abs, shifts)), abs=1e-12)
        lost = sum(isinstance(value, str) for value in raw)
        assert estimate_of(cell, "failure_rate").successes == cell.cases - cell.answered == lost


def test_a_mark_on_one_class_counts_there_and_leaves_the_other_clean(results):
    truth, clean, cells, found = results
    cell = found.test("side_marker_on_negatives").cells[0]
    assert (cell.cases, cell.negatives, cell.positives, cell.not_put) == (30, 30, 0, 30)
    # Positive cases were asked too, and all answered 0: that must not count.
    mixed = np.where(truth, clean, np.array(cells["side_marker_on_negatives", 3])).astype(float)
    change = brute_auroc(truth, mixed) - brute_auroc(truth, clean.astype(float))
    assert estimate_of(cell, "auroc_change").value == pytest.approx(change, abs=1e-12)
    assert [each.metric for each in cell.estimates if "sensitivity" in each.metric] == []


def test_verdicts_follow_the_expectations(results):
    *_, found = results
    assert {test.name: test.verdict for test in found.tests} == {
        "clean": "equal",
        "dr_gamma": "outside",
        "as_rle": "equal",
        "constant": "refused",
        "borders_only": "cannot_tell",
        "side_marker_on_negatives": "outside",
        "header_of_another_patient": "equal",
    }
    assert found.test("dr_gamma").breaks_at == 5
    assert found.ranked[:2] == ("side_marker_on_negatives", "dr_gamma")


@pytest.mark.parametrize(
    ("name", "answers", "verdict"),
    [
        ("constant", lambda clean: [50] + ["refused"] * 59, "answered_nonsense"),
        ("constant", lambda clean: ["crashed"] * 60, "refused"),
        ("as_rle", lambda clean: ["refused"] * 60, "refused"),
        ("as_rle", lambda clean: ["crashed", *clean[1:]], "outside"),
        ("as_rle", lambda clean: [clean[0] - 1, *clean[1:]], "within"),
        ("as_rle", lambda clean: [clean[0] - 30, *clean[1:]], "outside"),
        ("as_rle", lambda clean: ["not_applicable"] * 60, "not_applicable"),
        ("as_rle", lambda clean: ["staging_failed"] * 60, "not_applicable"),
        ("header_of_another_patient", lambda clean: list(clean), "outside"),
        ("borders_only", lambda clean: list(clean), "outside"),
    ],
)
def test_verdict_of_one_perturbation(name, answers, verdict):
    truth, clean, _ = world()
    clean = (
        np.where(truth, 80, 20) + np.arange(60) % 4 * 5 if name == "borders_only" else np.maximum(clean, 40)
    )
    severity = 5 if name == "borders_only" else 3 if name == "constant" else 1
    cells = {("clean", 1): list(clean), (name, severity): answers(list(clean))}
    given_protocol = protocol(((name, (severity,)),), score=0.1)
    if name == "header_of_another_patient":
        clean = np.where(np.arange(60) % 4 < 2, 10, 90)
        cells = {("clean", 1): list(clean), (name, 1): list(clean)}
    found = score_stress(scored(truth, clean), asked(cells), given_protocol, "e-1")
    assert found.test(name).verdict == verdict, found.test(name).reason


def test_a_group_that_is_hurt_more_is_found_and_adjusted():
    truth, clean, _ = world()
    inside = np.arange(60) % 3 == 0
    hurt = np.where(inside, np.where(truth, clean - 30, clean + 30), clean) + np.arange(60) % 2
    cells = {("clean", 1): list(clean), ("dr_gamma", 5): list(np.clip(hurt, 0, 100))}
    found = score_stress(scored(truth, clean), asked(cells), protocol((("dr_gamma", (5,)),)), "e-1")
    groups = {group.level: group for group in found.test("dr_gamma").groups}
    assert groups["B"].shown
    assert not groups["A"].shown
    assert groups["B"].harm > 0.2
    p = [group.p for group in found.test("dr_gamma").groups]
    assert [group.adjusted_p for group in found.test("dr_gamma").groups] == pytest.approx(holm(p))


def test_the_file_comes_back_and_equal_answers_give_equal_bytes(results):
    truth, clean, cells, found = results
    assert from_json(to_json(found)) == found
    again = score_stress(scored(truth, clean), asked(cells), protocol(), "e-1")
    assert to_json(again) == to_json(found)


def test_a_forged_result_contradicts_itself(results):
    *_, found = results
    registered = protocol().document
    assert stress_contradictions(found, registered) == []
    text = to_json(found).decode()
    for old, new, told in (
        ('"breaks_at":5', '"breaks_at":null', "where it breaks"),
        ('"verdict":"refused"}', '"verdict":"equal"}', "called equal"),
        ('"patients":60,"positives":30,"protocol', '"patients":60,"positives":29,"protocol', "sample"),
        ('"only_clean":', '"only_clean":1', "add up"),
        ('"shown":true,"subject":null', '"shown":false,"subject":null', "adjusted p"),
    ):
        assert old in text, old
        forged = stress_contradictions(from_json(text.replace(old, new).encode()), registered)
        assert any(told in sentence for sentence in forged), (told, forged)
    forged = re.sub(r'("metric":"sensitivity_change","p":)[0-9.e-]+', r"\g<1>0.123", text)
    assert any("p of sens" in said for said in stress_contradictions(from_json(forged.encode()), registered))
    other = protocol((("dr_gamma", (1,)),)).document
    assert any("registered" in sentence for sentence in stress_contradictions(found, other))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 40), st.sampled_from([0.9, 0.95]))
def test_the_second_tango_agrees_with_the_first(a, b, more, level):
    n = a + b + more + 1
    assert tango(a, b, n, level) == pytest.approx(paired.tango(a, b, n, level), abs=1e-8)


def test_every_loss_is_adjusted_over_all_cells_and_only_what_stays_is_called_broken(results):
    *_, found = results
    losses = [loss for test in found.tests for cell in test.cells for loss in cell.losses]
    assert len(losses) > 6
    assert all(0 < loss.adjusted_p <= 1 for loss in losses)
    assert all(loss.adjusted_p > loss.p - 0.02 for loss in losses)
    (cell,) = found.test("side_marker_on_negatives").cells
    assert {loss.metric for loss in cell.losses if loss.shown} >= {"specificity_change"}
    reason = found.test("dr_gamma").reason
    assert "allowing for all comparisons" in reason
    assert "Largest loss" in reason


def test_what_one_test_alone_would_show_many_do_not():
    """Ten of thirty lose their call: beyond a margin of 0.05 alone, not among sixty other perturbations' changes."""
    truth, clean, numbers = world()
    lost = np.array(clean)
    lost[np.flatnonzero(truth & (clean >= 50))[:10]] = 40
    names = [name for name, each in registry().items() if each.expectation == "may change within a margin"]
    names = [
        name for name in names if find(name).cases == "all" and find(name).readout == "paired difference"
    ][:60]
    verdicts = []
    for chosen in (names[:1], names):
        cells = {("clean", 1): list(clean), (chosen[0], 1): list(lost)}
        for name in chosen[1:]:
            cells[name, 1] = list(np.clip(clean + numbers.integers(-8, 9, 60), 0, 100))
        given_protocol = protocol(
            tuple((name, (1,)) for name in chosen), auroc=0.9, sensitivity=0.05, specificity=0.9, score=0.9
        )
        verdicts.append(
            score_stress(scored(truth, clean), asked(cells), given_protocol, "e-1").test(chosen[0])
        )
    assert verdicts[0].verdict == "outside"
    assert verdicts[1].verdict == "cannot_tell"
    assert "Not shown after allowing" in verdicts[1].reason


def test_one_family_of_many_changes_holds_its_level_and_knows_what_goes_together():
    """2,000 patients' worlds of 40 true changes at the margin: any is shown in 5 %; forty copies count as one."""
    numbers = np.random.default_rng(1)
    shown = 0
    for world_number in range(200):
        values = numbers.normal(size=(100, 40)) + numbers.normal(size=(100, 1))
        error = values.std(axis=0, ddof=1) / 10
        beyond = values.mean(axis=0) / error
        contributions = list((values - values.mean(axis=0)).T)
        seed = Seed(evaluation=str(world_number), metric="stress")
        shown += min(adjusted_p(list(np.abs(beyond)), contributions, seed, 500)) < 0.05
    assert shown / 200 < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    one = numbers.normal(size=100)
    seed = Seed(evaluation="e", metric="stress")
    (alone,) = adjusted_p([2.5], [one - one.mean()], seed, 20_000)
    copies = adjusted_p([2.5] * 40, [one - one.mean()] * 40, seed, 20_000)
    assert alone == pytest.approx(math.erfc(2.5 / math.sqrt(2)), abs=0.003)
    assert set(copies) == {alone}
