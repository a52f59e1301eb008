"""The entry of scoring: form of the table, failures, strata, claims, determinism."""

import json

import numpy as np
import pyarrow as pa
import pytest

from sandbox.errors import ScoringError
from sandbox.outcome import results
from sandbox.plan.protocol import Protocol
from sandbox.scoring.score import StepCounts, score


def protocol(**changes):
    document = {
        "proctor": "protocol/1",
        "name": "test",
        "title": "Test",
        "task": {"kind": "binary", "target": "finding", "unit": "image"},
        "operating_points": [{"name": "half", "threshold": 0.5}],
        "strata": [
            {"attribute": "sex"},
            {"attribute": "age", "bands": [0, 40, 80]},
            {"cross": ["sex", "age"]},
        ],
        "intervals": {"bootstrap_replicates": 200},
    }
    return Protocol.model_validate_json(json.dumps(document | changes), strict=True)


def table(n=300, seed=5, failed=()):
    random = np.random.default_rng(seed)
    reference = (random.random(n) < 0.4).astype(int)
    values = np.round(np.clip(random.normal(0.35 + 0.3 * reference, 0.2), 0, 1), 3).tolist()
    codes = [None] * n
    for index in failed:
        values[index], codes[index] = None, "crash"
    return pa.table(
        {
            "case_id": [f"case-{index:05d}" for index in range(n)],
            "patient_key": [f"patient-{index // 2:05d}" for index in range(n)],
            "reference": pa.array(reference.tolist(), pa.int8()),
            "score": pa.array(values, pa.float64()),
            "failure": pa.array(codes, pa.string()),
            "sex": pa.array(random.choice(["F", "M", None], n, p=[0.5, 0.45, 0.05]).tolist(), pa.string()),
            "age": pa.array([None if a > 90 else float(a) for a in random.integers(1, 95, n)], pa.float64()),
        }
    )


def pick(estimates, metric):
    return next(estimate for estimate in estimates if estimate.metric == metric)


def test_equal_inputs_give_equal_bytes_in_any_row_order():
    rows = table(failed=(3, 9))
    first = results.to_json(score(rows, protocol(), "evaluation-1"))
    shuffled = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    assert results.to_json(score(shuffled, protocol(), "evaluation-1")) == first
    assert results.to_json(results.from_json(first)) == first
    assert b"NaN" not in first


def test_another_evaluation_draws_other_resamples():
    first, second = (score(table(), protocol(), name).analysis() for name in ("one", "two"))
    metric = "expected_calibration_error"
    assert pick(first.estimates, metric).value == pick(second.estimates, metric).value
    assert pick(first.estimates, metric).high != pick(second.estimates, metric).high


def test_worst_case_counts_failures_as_errors_and_excluded_leaves_them_out():
    whole = table()
    positive = [i for i, r in enumerate(whole["reference"].to_pylist()) if r][:5]
    negative = [i for i, r in enumerate(whole["reference"].to_pylist()) if not r][:3]
    found = score(
        table(failed=positive + negative), protocol(), "e", StepCounts(locked=300, staged=300, asked=300)
    )
    worst, excluded = found.analysis("worst_case"), found.analysis("excluded")
    point = worst.operating_points[0]
    assert (worst.n, excluded.n) == (300, 292)
    assert point.fn - excluded.operating_points[0].fn == 5
    assert point.fp - excluded.operating_points[0].fp == 3
    assert pick(worst.estimates, "auroc").value < pick(excluded.estimates, "auroc").value
    assert pick(worst.estimates, "brier").value > pick(excluded.estimates, "brier").value
    assert pick(worst.estimates, "failure_rate") == pick(excluded.estimates, "failure_rate")
    assert found.flow.failures == (results.FailureCount(code="crash", cases=8, positives=5),)
    assert (found.flow.answered, found.flow.failed, found.flow.asked) == (292, 8, 300)
    # The curve ends where failures begin: no threshold reaches a failed case.
    curve = worst.curves.roc
    assert curve.threshold[0] is None
    assert curve.threshold[-1] is None
    assert max(s for s, t in zip(curve.sensitivity, curve.threshold, strict=True) if t is not None) < 1
    brute = np.where(
        np.isin(np.arange(300), positive), -1, np.where(np.isin(np.arange(300), negative), 2, whole["score"])
    )
    truth = np.array(whole["reference"].to_pylist())
    pairs = brute[truth == 1][:, None] - brute[truth == 0]
    assert pick(worst.estimates, "auroc").value == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_every_case_failed():
    found = score(table(60, failed=range(60)), protocol(), "e")
    worst, excluded = found.analysis("worst_case"), found.analysis("excluded")
    assert pick(worst.estimates, "auroc").value == 0.0
    assert pick(worst.estimates, "failure_rate").value == 1.0
    assert excluded.n == 0
    for estimate in excluded.estimates:
        assert estimate.metric == "failure_rate" or (estimate.value is None and estimate.reason)
    results.to_json(found)


def test_strata_show_unknown_levels_and_add_up():
    rows = table()
    analysis = score(rows, protocol(), "e").analysis()
    for attribute in ("sex", "age", "sex x age"):
        parts = [stratum for stratum in analysis.strata if stratum.attribute == attribute]
        assert sum(stratum.n for stratum in parts) == 300
        assert sum(stratum.positives for stratum in parts) == analysis.positives
    levels = [stratum.level for stratum in analysis.strata]
    assert {"F", "M", "unknown", "0 to <40", "40 to 80", "outside bands", "F x 0 to <40"} <= set(levels)
    women = [sex == "F" for sex in rows["sex"].to_pylist()]
    stratum = next(s for s in analysis.strata if (s.attribute, s.level) == ("sex", "F"))
    assert stratum.n == sum(women)
    alone = score(rows.filter(pa.array(women)), protocol(strata=[]), "e").analysis()
    assert pick(stratum.estimates, "auroc") == pick(alone.estimates, "auroc")
    assert stratum.operating_points[0].estimates == alone.operating_points[0].estimates


def test_few_cases_carry_no_claim():
    changes = {
        "minimum": {"positives": 100, "negatives": 1000},
        "acceptance": [
            {"name": "a", "metric": "auroc", "bound": "value", "at_least": 0.1},
            {
                "name": "b",
                "metric": "sensitivity",
                "operating_point": "half",
                "bound": "lower",
                "at_least": 0.1,
            },
        ],
    }
    found = score(table(), protocol(**changes), "e")
    auroc = pick(found.analysis().estimates, "auroc")
    assert (auroc.status, auroc.value is not None) == ("too_few", True)
    assert [criterion.verdict for criterion in found.acceptance] == ["cannot_tell", "met"]
    assert found.verdict == "cannot_tell"
    assert not [worst for worst in found.analysis().worst if worst.metric == "auroc"]


def test_acceptance_decides_by_the_interval():
    criteria = [
        {"name": "easy", "metric": "auroc", "bound": "lower", "at_least": 0.6},
        {"name": "impossible", "metric": "auroc", "bound": "lower", "at_least": 0.99},
        {"name": "near", "metric": "auroc", "bound": "lower", "at_least": 0.86},
        {"name": "brier", "metric": "brier", "bound": "upper", "at_most": 0.9},
        {
            "name": "women",
            "metric": "auroc",
            "bound": "value",
            "at_least": 0.5,
            "stratum": {"attribute": "sex", "level": "F"},
        },
    ]
    found = score(table(), protocol(acceptance=criteria), "e")
    near = pick(found.analysis().estimates, "auroc")
    assert near.low < 0.86 < near.high
    assert [c.verdict for c in found.acceptance] == ["met", "not_met", "cannot_tell", "met", "met"]
    assert found.verdict == "not_met"
    assert found.acceptance[4].stratum == "sex = F"
    assert score(table(), protocol(), "e").verdict is None


def test_scores_that_are_not_probabilities_have_no_calibration():
    output = {"score": {"minimum": 0, "maximum": 2}}
    analysis = score(table(), protocol(output=output), "e").analysis()
    for metric in ("brier", "calibration_slope", "calibration_intercept", "expected_calibration_error"):
        found = pick(analysis.estimates, metric)
        assert (found.value, found.status) == (None, "undefined")
        assert found.reason
    assert analysis.curves.calibration is None


def test_cases_without_reference_standard_are_counted_and_left_out():
    rows = table()
    reference = pa.array([None, None, *rows["reference"].to_pylist()[2:]], pa.int8())
    found = score(rows.set_column(2, "reference", reference), protocol(), "e")
    assert (found.flow.unlabelled, found.flow.cases) == (2, 298)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("case_id", ["same"] * 300, "twice"),
        ("reference", [2] * 300, "must be 0, 1"),
        ("reference", [None] * 300, "no scored case"),
        ("score", [None] * 300, "never both or neither"),
        ("score", [1.5] * 300, "outside the range"),
        ("score", [float("nan")] * 300, "NaN"),
        ("failure", ["crash"] * 300, "never both or neither"),
        ("patient_key", [None] * 300, "patient_key"),
    ],
)
def test_a_table_of_another_form_is_refused(column, values, message):
    rows = table()
    index = rows.column_names.index(column)
    kind = rows.schema.field(column).type
    with pytest.raises(ScoringError, match=message):
        score(rows.set_column(index, column, pa.array(values, kind)), protocol(), "e")


def test_a_missing_column_is_refused():
    with pytest.raises(ScoringError, match="age"):
        score(table().drop_columns(["age"]), protocol(), "e")


def test_a_threshold_is_reached_by_an_equal_score():
    rows = table().set_column(3, "score", pa.array([0.1 + 0.2] * 299 + [0.3], pa.float64()))
    found = score(rows, protocol(operating_points=[{"name": "x", "threshold": 0.3}]), "e")
    point = found.analysis().operating_points[0]
    assert (point.fn, point.tn) == (0, 0)
    # A score one rounding step below the threshold is the threshold to every reader.
    rows = rows.set_column(3, "score", pa.array([np.nextafter(0.3, 0)] * 300, pa.float64()))
    point = (
        score(rows, protocol(operating_points=[{"name": "x", "threshold": 0.3}]), "e")
        .analysis()
        .operating_points[0]
    )
    assert (point.fn, point.tn) == (0, 0)


def test_a_perfect_and_a_constant_submission():
    rows = table()
    perfect = rows.set_column(
        3, "score", pa.array([float(r) for r in rows["reference"].to_pylist()], pa.float64())
    )
    found = pick(score(perfect, protocol(), "e").analysis().estimates, "auroc")
    assert (found.value, found.high, found.method) == (1.0, 1.0, "newcombe-5-clustered")
    assert 0.9 < found.low < 1.0
    constant = rows.set_column(3, "score", pa.array([0.5] * 300, pa.float64()))
    analysis = score(constant, protocol(), "e").analysis()
    assert pick(analysis.estimates, "auroc").value == 0.5
    assert pick(analysis.estimates, "calibration_slope").status == "undefined"
