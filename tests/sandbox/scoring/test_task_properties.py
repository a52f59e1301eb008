"""What must hold for figures of every kind of task whatever the data: ranks, copies, order, groups, names."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.scoring.score import score
from tests.sandbox.scoring import task_tables

KINDS = ("multiclass", "multilabel", "ordinal", "measurement", "segmentation", "detection")
SEEDS = st.integers(0, 10**6)
MEANS = {
    "multiclass": ("accuracy",),
    "ordinal": ("exact_agreement", "within_one_agreement", "mean_absolute_grade_error"),
    "measurement": ("bias", "mean_absolute_error"),
    "segmentation": ("mean_dice", "mean_iou", "mean_nsd", "mean_hd95", "mean_assd", "volume_bias"),
}
BY_RANK = {
    "multiclass": ("macro_auroc", "auroc"),
    "multilabel": ("macro_auroc", "auroc", "average_precision"),
    "detection": ("average_precision", "wafroc", "case_auroc", "cpm", "froc_sensitivity"),
}


def made(kind, seed, n=80, strata=()):
    table = getattr(task_tables, f"{kind}_table")(n, seed=seed)
    plan = getattr(task_tables, f"{kind}_plan")(strata=strata, intervals={"bootstrap_replicates": 200})
    return table, plan


def values(table, plan):
    found = score(table, plan, "e").analysis()
    listed = [*found.estimates, *(each for point in found.operating_points for each in point.estimates)]
    return {(each.metric, each.subject): each for each in listed}


def risen(column):
    """A strictly rising change of answers between 0 and 1, or of lists of ratings."""
    if pa.types.is_list(column.type):
        return pa.array(
            [None if row is None else [np.exp(each) for each in row] for row in column.to_pylist()]
        )
    return pa.array([None if each is None else each**3 / 2 for each in column.to_pylist()], pa.float64())


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(sorted(BY_RANK)))
def test_ranks_know_nothing_of_a_rising_change_of_the_answers(seed, kind):
    table, plan = made(kind, seed)
    changed = table
    for index, name in enumerate(table.column_names):
        if name.startswith("answer:") and name not in ("answer:matched", "answer:unused"):
            changed = changed.set_column(index, name, risen(table[name]))
    before, after = values(table, plan), values(changed, plan)
    checked = [key for key in before if key[0] in BY_RANK[kind] and before[key].value is not None]
    assert checked
    for key in checked:
        assert after[key].value == pytest.approx(before[key].value)


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from(KINDS), st.integers(2, 3))
def test_copies_within_their_patients_change_no_value_and_add_no_certainty(seed, kind, copies):
    table, plan = made(kind, seed)
    times = table.take(np.repeat(np.arange(table.num_rows), copies))
    times = times.set_column(0, "case_id", pa.array([f"c{index:05}" for index in range(times.num_rows)]))
    once, more = values(table, plan), values(times, plan)
    # Statistics of one difference between two cases, or of repeats, count cases; so do the sorted slopes of pairs.
    counting = {"standard_deviation_of_differences", "lower_limit_of_agreement", "upper_limit_of_agreement",
                "within_subject_sd", "repeatability_coefficient", "icc_a1", "icc_c1", "passing_bablok_slope",
                "passing_bablok_intercept"}  # fmt: skip
    for key, found in once.items():
        if key[0] in counting or found.value is None or found.low is None or more[key].low is None:
            continue
        assert more[key].value == pytest.approx(found.value, abs=1e-9)
        assert more[key].high - more[key].low > 0.7 * (found.high - found.low), key


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_rows_changes_nothing(kind):
    table, plan = made(kind, 3, strata=({"attribute": "sex"},))
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows))
    assert score(shuffled, plan, "e").analyses == score(table, plan, "e").analyses


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(sorted(MEANS)))
def test_a_mean_over_all_is_the_weighted_mean_of_the_groups(seed, kind):
    table, plan = made(kind, seed, strata=({"attribute": "sex"},))
    found = score(table, plan, "e").analysis()
    for metric in MEANS[kind]:
        whole = next(each for each in found.estimates if each.metric == metric)
        parts = [next(each for each in row.estimates if each.metric == metric) for row in found.strata]
        assert sum(each.n for each in parts) == whole.n
        assert sum(each.n * each.value for each in parts) / whole.n == pytest.approx(whole.value)


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_names_of_classes_and_their_order_mean_nothing(seed):
    table, plan = made("multiclass", seed)
    names = plan.output.classes.names
    order = (2, 0, 1)
    turned = plan.model_copy(
        update={"output": plan.output.model_copy(
            update={"classes": plan.output.classes.model_copy(update={"names": tuple(names[i] for i in order)})}
        )}
    )  # fmt: skip
    truth = pa.array([order.index(each) for each in table["reference"].to_pylist()], pa.int16())
    other = table.set_column(table.column_names.index("reference"), "reference", truth)
    before, after = values(table, plan), values(other, turned)
    for metric in ("accuracy", "macro_auroc", "hand_till_auroc", "cohen_kappa", "balanced_accuracy"):
        assert after[metric, None].value == pytest.approx(before[metric, None].value, abs=0.02)
    for name in names:
        assert after["auroc", name].value == pytest.approx(before["auroc", name].value)
