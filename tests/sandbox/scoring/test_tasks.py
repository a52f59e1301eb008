"""Invariants of the tasks with classes, labels, grades and measurements, and of triage, with oracles."""

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics

from sandbox.errors import ScoringError
from sandbox.evidence.arithmetic import contradictions
from sandbox.evidence.task_arithmetic import not_recomputed
from sandbox.outcome.results import from_json, to_json
from sandbox.outcome.selfcheck import run_selfchecks
from sandbox.report.glossary import METRICS, methods_used
from sandbox.scoring.score import score
from tests.sandbox.scoring.task_tables import (
    CLASSES,
    LABELS,
    measurement_plan,
    measurement_table,
    multiclass_plan,
    multiclass_table,
    multilabel_plan,
    multilabel_table,
    ordinal_plan,
    ordinal_table,
    protocol,
    table,
)


def triage_plan():
    queue = {
        "operating_point": "alarm",
        "arrivals_per_hour": 4.0,
        "prevalence": 0.1,
        "diseased": {"mean_minutes": 10.0},
        "non_diseased": {"mean_minutes": 8.0},
        "transfer_minutes": 2.0,
        "simulated_cases": 2000,
    }
    points = ({"name": "alarm", "threshold": 0.5}, {"name": "found", "sensitivity": 0.8})
    ranges = ({"name": "low", "axis": "false_positive_rate", "low": 0.0, "high": 0.2},)
    return protocol(
        "triage",
        {"score": {}},
        queue=queue,
        operating_points=points,
        partial_auroc=ranges,
        intended_prevalence=0.02,
        decision_curve={"low": 0.1, "high": 0.6},
    )


def triage_table(n=300, seed=9, **more):
    generator = np.random.default_rng(seed)
    truth = (generator.random(n) < 0.3).astype(int)
    answers = np.round(1 / (1 + np.exp(-(2 * truth - 1 + generator.normal(0, 1, n)))), 3)
    made = table({"score": answers}, {"reference": pa.array(truth, pa.int8())}, seed=seed, **more)
    lost = made["failure"].is_valid().to_numpy()
    return made.append_column("seconds", pa.array(generator.exponential(30, n), mask=lost))


WORLDS = {
    "multiclass": (multiclass_plan, multiclass_table),
    "multilabel": (multilabel_plan, multilabel_table),
    "ordinal": (ordinal_plan, ordinal_table),
    "measurement": (measurement_plan, measurement_table),
    "triage": (triage_plan, triage_table),
}
kinds = pytest.mark.parametrize("kind", WORLDS)


def estimates(results, rule=None):
    analysis = results.analysis(rule)
    return {(each.metric, each.subject): each for each in analysis.estimates}


@kinds
@pytest.mark.parametrize(("failed", "per_patient"), [(0.0, 1), (0.08, 3)])
def test_results_are_whole_and_agree_with_themselves(kind, failed, per_patient):
    plan, world = WORLDS[kind]
    results = score(world(240, failed=failed, per_patient=per_patient), plan(), "e")
    assert from_json(to_json(results)) == results
    assert contradictions(results) == []
    assert not set(not_recomputed(results)) & {"accuracy", "exact_agreement"}
    assert {metric for metric, _ in estimates(results)} <= set(METRICS)
    assert [
        use.identifier for use in methods_used(results) if use.method is None and use.identifier != "none"
    ] == []
    for each in estimates(results).values():
        assert (each.value is None) == (each.status == "undefined")
        assert each.reason or (each.low is not None and each.high is not None), each


@kinds
def test_the_order_of_the_rows_changes_nothing(kind):
    plan, world = WORLDS[kind]
    rows = world(150, failed=0.05, per_patient=2)
    shuffled = rows.take(np.random.default_rng(0).permutation(150))
    assert to_json(score(rows, plan(), "e")) == to_json(score(shuffled, plan(), "e"))


# Whether more is better, for what a failure must never improve.
BETTER = {
    "multiclass": {"accuracy": 1, "balanced_accuracy": 1, "macro_auroc": 1, "hand_till_auroc": 1, "micro_auroc": 1,
                   "macro_f1": 1, "macro_ppv": 1, "cohen_kappa": 1, "mcc": 1, "multiclass_brier": -1},
    "multilabel": {"macro_auroc": 1, "macro_average_precision": 1, "label_ranking_average_precision": 1},
    "ordinal": {"quadratic_kappa": 1, "exact_agreement": 1, "within_one_agreement": 1,
                "mean_absolute_grade_error": -1},
    "measurement": {"mean_absolute_error": -1, "root_mean_square_error": -1, "concordance_correlation": 1,
                    "icc_a1": 1, "standard_deviation_of_differences": -1},
}  # fmt: skip


@pytest.mark.parametrize("kind", BETTER)
@pytest.mark.parametrize("seed", range(4))
def test_a_failure_never_improves_a_mean(kind, seed):
    """Each answered case that fails instead leaves every number the same or worse."""
    plan, world = WORLDS[kind]
    whole = estimates(score(world(80, seed=seed), plan(), "e"), "worst_case")
    lost = estimates(score(world(80, seed=seed, failed=0.1), plan(), "e"), "worst_case")
    for metric, sign in BETTER[kind].items():
        assert sign * lost[metric, None].value <= sign * whole[metric, None].value + 1e-12, metric
    if kind == "measurement":
        assert abs(lost["bias", None].value) >= abs(whole["bias", None].value) - 1e-12


def test_a_class_is_scored_as_scikit_learn_does():
    rows = multiclass_table(200, strength=1.5)
    found = estimates(score(rows, multiclass_plan(), "e"))
    truth = rows["reference"].to_numpy()
    answers = np.column_stack([rows[f"answer:{name}"].to_numpy() for name in CLASSES])
    call = answers.argmax(axis=1)
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(truth, call),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(truth, call),
        "cohen_kappa": sklearn.metrics.cohen_kappa_score(truth, call),
        "mcc": sklearn.metrics.matthews_corrcoef(truth, call),
        "macro_f1": sklearn.metrics.f1_score(truth, call, average="macro"),
        "macro_ppv": sklearn.metrics.precision_score(truth, call, average="macro"),
        "top_2_accuracy": sklearn.metrics.top_k_accuracy_score(truth, answers, k=2),
        "multiclass_brier": float(((answers - np.eye(3)[truth]) ** 2).sum(axis=1).mean()),
    }
    for metric, value in expected.items():
        assert found[metric, None].value == pytest.approx(value, abs=1e-9), metric


def test_labels_are_scored_as_scikit_learn_does():
    rows = multilabel_table(200)
    results = score(rows, multilabel_plan(), "e")
    found = estimates(results)
    truth = np.column_stack([rows[f"truth:{name}"].to_numpy() for name in LABELS])
    answers = np.column_stack([rows[f"answer:{name}"].to_numpy() for name in LABELS])
    call = (answers >= 0.5).astype(int)
    some = truth.any(axis=1)
    ranking = sklearn.metrics.label_ranking_average_precision_score(truth[some], answers[some])
    assert found["label_ranking_average_precision", None].value == pytest.approx(ranking, abs=1e-12)
    macro = sklearn.metrics.roc_auc_score(truth, answers, average="macro")
    assert found["macro_auroc", None].value == pytest.approx(macro, abs=1e-12)
    whole = {each.metric: each.value for each in results.analysis().operating_points[-1].estimates}
    assert whole["macro_f1"] == pytest.approx(
        sklearn.metrics.f1_score(truth, call, average="macro"), abs=1e-12
    )
    assert whole["micro_f1"] == pytest.approx(
        sklearn.metrics.f1_score(truth, call, average="micro"), abs=1e-12
    )
    assert whole["exact_match"] == pytest.approx(sklearn.metrics.accuracy_score(truth, call), abs=1e-12)
    assert whole["hamming_loss"] == pytest.approx(sklearn.metrics.hamming_loss(truth, call), abs=1e-12)


def test_an_unknown_label_is_not_a_negative():
    hidden = score(multilabel_table(200, unknown=0.3), multilabel_plan(), "e")
    for name in LABELS:
        known = 200 - multilabel_table(200, unknown=0.3)[f"truth:{name}"].null_count
        assert estimates(hidden)["auroc", name].n == known


def test_copies_of_a_patient_do_not_narrow_the_interval():
    """Every case three times, as three cases of one patient: the same numbers, intervals as wide (to 2 %)."""
    once = multiclass_table(100, strength=1.2)
    thrice = pa.concat_tables([once] * 3)
    copies = pa.array([f"c{i:05}" for i in range(300)])
    thrice = thrice.set_column(thrice.column_names.index("case_id"), "case_id", copies)
    single, tripled = (estimates(score(each, multiclass_plan(), "e")) for each in (once, thrice))
    for metric in ("macro_auroc", "hand_till_auroc", "cohen_kappa", "macro_f1", "multiclass_brier"):
        one, three = single[metric, None], tripled[metric, None]
        assert three.value == pytest.approx(one.value, abs=1e-9)
        assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.02), metric


def test_repeats_give_the_within_subject_deviation():
    generator = np.random.default_rng(1)
    truth = np.repeat(np.round(generator.normal(80, 10, 60), 1), 2)
    values = np.round(truth + generator.normal(0, 3, 120), 1)
    lesion = [f"l{i // 2}" for i in range(120)]
    rows = table(
        {"answer:value": values}, {"reference": pa.array(truth)}, lesion=pa.array(lesion), per_patient=2
    )
    found = estimates(score(rows, measurement_plan(task={"repeats": "lesion"}), "e"))
    pairs = values.reshape(60, 2)
    within = float(np.sqrt(((pairs[:, 0] - pairs[:, 1]) ** 2).mean() / 2))
    assert found["within_subject_sd", None].value == pytest.approx(within, abs=1e-9)
    assert found["repeatability_coefficient", None].value == pytest.approx(
        1.96 * np.sqrt(2) * within, abs=1e-9
    )


def test_time_to_notification_counts_true_alarms_and_transfer():
    rows = triage_table(200)
    found = estimates(score(rows, triage_plan(), "e"))
    truth, answer = rows["reference"].to_numpy(), rows["score"].to_numpy()
    minutes = rows["seconds"].to_numpy()[(truth == 1) & (answer >= 0.5)] / 60 + 2.0
    median = found["time_to_notification_median", None]
    assert median.n == minutes.size
    assert median.value == pytest.approx(np.quantile(minutes, 0.5, method="inverted_cdf"))
    assert median.low <= median.value <= median.high


def test_a_rate_at_a_declared_sensitivity_has_the_wider_interval():
    rows = triage_table(400)
    results = score(rows, triage_plan(), "e")
    point = next(each for each in results.analysis().operating_points if each.name == "found")
    given, found = point.estimates
    assert given.value >= 0.8
    assert given.low is None
    fixed = protocol(
        "binary", {"score": {}}, operating_points=({"name": "same", "threshold": point.threshold},)
    )
    same = score(rows, fixed, "e").analysis().operating_points[0]
    specificity = next(each for each in same.estimates if each.metric == "specificity")
    assert found.value == pytest.approx(specificity.value)
    assert found.high - found.low > specificity.high - specificity.low


def test_a_grade_between_grades_is_not_accepted():
    rows = ordinal_table(50)
    wrong = rows.set_column(rows.column_names.index("answer:grade"), "answer:grade", pa.array([7.0] * 50))
    with pytest.raises(ScoringError, match="outside the range"):
        score(wrong, ordinal_plan(), "e")


@kinds
def test_perfect_and_constant_containers_come_out_as_they_must(kind):
    plan, world = WORLDS[kind][0](), WORLDS[kind][1](60)
    cases = world.select(["case_id"])
    if kind == "multilabel":
        labels = {name: world[f"truth:{name}"] for name in LABELS}
    elif kind == "measurement" or kind == "triage":
        labels = {"dx": world["reference"]}
    else:
        names = CLASSES if kind == "multiclass" else plan.output.grades.names
        labels = {"dx": [names[index] for index in world["reference"].to_pylist()]}
    reference = pa.table({"case_id": world["case_id"], **labels})
    checks = run_selfchecks(reference, cases, plan)
    assert [check.passed for check in checks] == [True, True]
    assert checks[0].observed == pytest.approx(1.0, abs=1e-3)


def test_a_class_without_a_case_makes_the_means_undefined_not_smaller():
    rows = multiclass_table(100)
    kept = rows.filter(pa.compute.not_equal(rows["reference"], 2))
    found = estimates(score(kept, multiclass_plan(), "e"))
    for metric in ("balanced_accuracy", "macro_auroc", "hand_till_auroc", "macro_f1"):
        assert found[metric, None].status == "undefined"
        assert "bcc" in found[metric, None].reason
    assert found["accuracy", None].status == "ok"
