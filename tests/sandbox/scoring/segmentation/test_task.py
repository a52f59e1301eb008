"""Means, medians and objects over cases: failure rules, clusters, and intervals against independent computations."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from holdout.mask_runs import TrueMask, encode
from sandbox.errors import ProtocolError
from sandbox.outcome.scored import scored_cases
from sandbox.plan.protocol import Protocol
from sandbox.scoring.score import score
from sandbox.scoring.segmentation.task import order_interval, weighted_medians

SHAPE = (12, 16)


def protocol(**boundary):
    document = {
        "proctor": "protocol/1",
        "name": "masks",
        "title": "Masks",
        "task": {"kind": "segmentation", "target": "lesion", "unit": "image"},
        "output": {"mask": {"runs": 100}},
        "boundary": {"tolerance": 1, "unit": "px", **boundary},
        "intervals": {"bootstrap_replicates": 400},
        "strata": [{"attribute": "sex"}],
        "minimum": {"positives": 1, "negatives": 1, "patients": 1},
    }
    return Protocol.model_validate_json(json.dumps(document), strict=True)


def square(row, column, size=4):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[row : row + size, column : column + size] = True
    return mask


def scored(truths, answers, plan, patients=None, spacing=None):
    """Score masks (None: no answer) through the join that an evaluation uses."""
    ids = [f"{index:04d}" for index in range(len(truths))]
    cases = pa.table(
        {
            "case_id": ids,
            "patient_key": [str(each) for each in (patients or ids)],
            "sex": ["F" if index % 2 else "M" for index in range(len(ids))],
        }
    )
    texts = [None if mask is None else TrueMask(runs=encode(mask), spacing=spacing).text for mask in truths]
    reference = pa.table({"case_id": ids, "lesion": pa.array(texts, pa.string())})
    answered = pa.table(
        {
            "case_id": ids,
            "levels": pa.array(
                [None if mask is None else encode(mask).numbers for mask in answers], pa.list_(pa.int32())
            ),
            "failure": pa.array(["crashed" if mask is None else None for mask in answers], pa.string()),
            "seconds": pa.nulls(len(ids), pa.float64()),
        }
    )
    return score(scored_cases(cases, reference, answered, plan), plan, "evaluation")


def values(analysis):
    return {each.metric: each.value for each in analysis.estimates}


def test_a_failure_and_a_miss_improve_nothing():
    truths = [square(1, 1), square(2, 5), square(3, 8), square(4, 9)]
    right = [square(1, 2), square(2, 5), square(3, 8), square(4, 9)]
    full = values(scored(truths, right, protocol()).analyses[0])
    for lost in (None, np.zeros(SHAPE, dtype=bool)):
        worst, without = (values(each) for each in scored(truths, [lost, *right[1:]], protocol()).analyses)
        for metric in ("mean_dice", "mean_iou", "mean_nsd", "median_dice", "panoptic_quality"):
            assert worst[metric] < full[metric] or metric == "median_dice"
        for metric in ("mean_hd95", "mean_assd", "mean_absolute_volume_error"):
            assert worst[metric] > full[metric]
        assert worst["mean_hd95"] == pytest.approx(np.hypot(11, 15) / 4)
        assert (without["mean_dice"] == 1.0) == (lost is None)


def test_an_answer_on_another_grid_is_a_failure():
    truths = [square(1, 1), square(2, 5)]
    results = scored(truths, [square(1, 1), square(2, 5).T], protocol())
    assert [(each.code, each.cases) for each in results.flow.failures] == [("out_of_range", 1)]
    assert values(results.analyses[0])["mean_dice"] == 0.5
    assert values(results.analyses[1])["mean_dice"] == 1.0


@pytest.mark.parametrize(("rule", "n", "dice"), [("right", 3, 2 / 3), ("excluded", 2, 1 / 2)])
def test_two_empty_masks_by_the_declared_rule(rule, n, dice):
    empty = np.zeros(SHAPE, dtype=bool)
    results = scored(
        [square(1, 1), empty, empty], [square(1, 1), empty, square(1, 1)], protocol(both_empty=rule)
    )
    (mean,) = [each for each in results.analyses[0].estimates if each.metric == "mean_dice"]
    assert (mean.n, mean.value) == (n, pytest.approx(dice))
    assert results.analyses[0].tables[0].counts == ((1, 0, 0), (1, 1, 0))


def test_spacing_in_mm_or_a_refusal():
    truths, answers = [square(1, 1), square(2, 5)], [square(1, 2), square(2, 6)]
    pixels = values(scored(truths, answers, protocol()).analyses[0])
    with pytest.raises(ProtocolError, match="Use px"):
        scored(truths, answers, protocol(unit="mm"))
    known = scored(truths, answers, protocol(unit="mm", tolerance=0.5), spacing=(0.5, 0.5))
    found = values(known.analyses[0])
    assert found["mean_hd95"] == pytest.approx(pixels["mean_hd95"] / 2)
    assert found["mean_nsd"] == pytest.approx(pixels["mean_nsd"])
    assert known.measure_unit == "mm"


def test_every_case_twice_with_its_patient_changes_no_interval():
    generator = np.random.default_rng(1)
    truths = [square(*generator.integers(0, 8, 2)) for _ in range(30)]
    answers = [np.roll(mask, generator.integers(0, 3), axis=1) for mask in truths]
    once = scored(truths, answers, protocol())
    twice = scored(truths * 2, answers * 2, protocol(), patients=[*range(30)] * 2)
    for metric in ("mean_dice", "mean_hd95", "panoptic_quality", "volume_bias"):
        one, two = (
            next(each for each in results.analyses[0].estimates if each.metric == metric)
            for results in (once, twice)
        )
        assert (one.value, one.low, one.high) == pytest.approx(
            (two.value, two.low, two.high), rel=0.2, abs=1e-9
        )
        assert two.patients == 30


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12))
def test_a_weighted_median_is_the_median_of_copies(pairs):
    numbers, weights = np.array(pairs, dtype=float).T
    copies = np.repeat(numbers, weights.astype(int))
    expected = np.median(copies) if copies.size else np.nan
    assert weighted_medians(numbers, weights[None])[0] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("n", [6, 10, 25, 100])
def test_the_median_lies_between_order_statistics_as_often_as_it_says(n):
    low, high = (int(each) for each in order_interval(np.arange(1, n + 1, dtype=float), 0.95))
    covered = stats.binom.cdf(high - 1, n, 0.5) - stats.binom.cdf(low - 1, n, 0.5)
    narrower = stats.binom.cdf(high - 2, n, 0.5) - stats.binom.cdf(low, n, 0.5)
    assert covered >= 0.95 > narrower
    assert low - 1 == n - high


def test_too_few_cases_have_no_order_interval():
    assert np.isnan(order_interval(np.arange(5, dtype=float), 0.95)).all()
