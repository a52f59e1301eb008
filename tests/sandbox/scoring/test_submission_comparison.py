"""Several submissions on one hold-out: predictive values, ranks, sequences, the whole comparison."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sandbox.errors import ScoringError
from sandbox.scoring.bootstrap import Seed, paired_aurocs, paired_means
from sandbox.scoring.comparison.answers import Answers, join_answers
from sandbox.scoring.comparison.paired import compare_rates
from sandbox.scoring.comparison.predictive_values import compare_predictive_values
from sandbox.scoring.comparison.ranking import rank_submissions
from sandbox.scoring.comparison.sequence import Hypothesis, all_hold, fixed_sequence
from sandbox.scoring.comparison.study import Endpoint, compare_submissions

SEED = Seed(evaluation="test", metric="ranks")


def answers(seed=1, strengths=(1.0, 1.0, 2.5), n=300, per_patient=1, failed=0.0):
    random = np.random.default_rng(seed)
    patient = np.arange(n) // per_patient
    truth = random.random(n) < 0.4
    shared = random.normal(size=patient.max() + 1)[patient]
    lost = random.random((len(strengths), n)) < failed
    scores = np.stack([truth * s + 0.6 * shared + random.normal(size=n) for s in strengths])
    return Answers(
        names=tuple("abcdef"[: len(strengths)]),
        reference=truth,
        scores=np.where(lost, np.where(truth, -np.inf, np.inf), scores),
        failed=lost,
        patient=patient,
        patients=int(patient.max()) + 1,
    )


def test_predictive_values_hold_their_level_with_clusters():
    random = np.random.default_rng(2)
    held = rejected = 0
    for _ in range(400):
        patient = np.repeat(np.arange(120), 2)
        common = random.random(120)[patient]
        truth = (common + random.normal(0, 0.2, 240)) > 0.5
        first, second = (truth ^ (random.random(240) < 0.25) for _ in range(2))
        found = compare_predictive_values(truth, first, second, patient)
        held += found.low <= 0 <= found.high
        rejected += found.p < 0.05
    assert 0.92 <= held / 400 <= 0.98
    assert 0.02 <= rejected / 400 <= 0.08


def test_predictive_values_turn_with_their_order():
    one = answers()
    calls = one.scores > 0.5
    there = compare_predictive_values(one.reference, calls[0], calls[2])
    back = compare_predictive_values(one.reference, calls[2], calls[0])
    assert (there.low, there.high, there.p) == pytest.approx((-back.high, -back.low, back.p))
    same = compare_predictive_values(one.reference, calls[0], calls[0])
    assert (same.value, same.low, same.p) == (0.0, None, None)
    with pytest.raises(ScoringError, match="calls no case positive"):
        compare_predictive_values(one.reference, calls[0], np.zeros(300))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_paired_bootstrap_by_copying_cases(seed, per_patient):
    one = answers(seed, n=60, per_patient=per_patient)
    found = paired_aurocs(one.reference, one.scores, one.patient, SEED, 4)
    drawn = SEED.generator().integers(0, one.patients, size=(4, one.patients))
    for replicate in range(4):
        rows = np.concatenate([np.flatnonzero(one.patient == who) for who in drawn[replicate]])
        expected = [roc_auc_score(one.reference[rows], score[rows]) for score in one.scores]
        assert found[:, replicate] == pytest.approx(expected)
    right = (one.scores > 0.5) == one.reference
    means = paired_means(right, one.reference, one.patient, SEED, 4)
    positive = np.repeat(one.reference[rows][None], 3, axis=0)
    assert means[:, 3] == pytest.approx((right[:, rows] * positive).sum(axis=1) / positive.sum(axis=1))
    assert (paired_aurocs(one.reference, one.scores, one.patient, SEED, 4, block=1) == found).all()


def test_ranks_and_who_cannot_be_told_apart():
    found = rank_submissions(answers(), "auroc", SEED, replicates=500)
    assert found.ranks[0].name == "c"
    assert [rank.group for rank in found.ranks] == [1, 2, 2]
    assert found.ranks[0].first == 1.0
    assert sum(rank.first for rank in found.ranks) == pytest.approx(1.0)
    assert all(rank.low <= rank.rank <= rank.high for rank in found.ranks)
    equal = answers(strengths=(1.0,))
    same = Answers(
        names=("a", "b"), reference=equal.reference, scores=np.repeat(equal.scores, 2, axis=0),
        failed=np.repeat(equal.failed, 2, axis=0), patient=equal.patient, patients=equal.patients,
    )  # fmt: skip
    tied = rank_submissions(same, "auroc", SEED, replicates=200)
    assert [(rank.rank, rank.group) for rank in tied.ranks] == [(1.5, 1), (1.5, 1)]
    with pytest.raises(ScoringError, match="operating point"):
        rank_submissions(same, "accuracy", SEED)


def test_a_fixed_sequence_stops_at_the_first_that_is_not_shown():
    good, bad = np.ones(200, bool), np.arange(200) % 2 == 0
    win, draw = compare_rates(good, bad), compare_rates(good, good)
    steps = fixed_sequence(
        [
            Hypothesis(name="one", difference=win, margin=0.0),
            Hypothesis(name="two", difference=draw, margin=0.0),
            Hypothesis(name="three", difference=win, margin=0.0),
        ]
    )
    assert [step.outcome for step in steps] == ["shown", "not_shown", "not_tested"]
    both = [
        Hypothesis(name="one", difference=win, margin=0.0),
        Hypothesis(name="two", difference=draw, margin=0.05),
    ]
    assert all_hold(both) == "shown"
    assert all_hold([both[0], Hypothesis(name="two", difference=draw, margin=0.0)]) == "not_shown"


def test_the_whole_comparison():
    endpoints = (
        Endpoint(metric="auroc"),
        Endpoint(metric="sensitivity", operating_point="x"),
        Endpoint(metric="ppv", operating_point="x"),
        Endpoint(metric="failure_rate"),
    )
    thresholds = [{"x": 0.5}, {"x": 0.5}, {"x": 0.9}]
    one = answers(failed=0.05)
    found = compare_submissions(
        one, endpoints, thresholds, seed="s", margin=0.1, sequence=True, replicates=300
    )
    assert len(found.pairs) == 12
    assert len(found.answered_by_all) == 12
    assert [ranking.metric for ranking in found.rankings] == ["auroc", "sensitivity"]
    assert all(
        pair.p_adjusted >= pair.difference.p - 1e-12 for pair in found.pairs if pair.p_adjusted is not None
    )
    beaten = next(p for p in found.pairs if (p.first, p.second, p.endpoint) == ("a", "c", "auroc"))
    assert beaten.difference.high < 0
    assert beaten.verdict in ("inferior", "cannot_tell")
    assert found.sequence[0].name == "auroc"
    two = compare_submissions(answers(strengths=(1.0, 1.0)), endpoints, thresholds[:2], seed="s")
    assert two.rankings == ()
    assert all(pair.p_adjusted is None and pair.verdict is None for pair in two.pairs)


def test_one_submission_that_calls_nothing_stops_no_other():
    one = answers(strengths=(1.0, 1.0))
    found = compare_submissions(
        one, (Endpoint(metric="ppv", operating_point="x"),), [{"x": 0.5}, {"x": 99.0}], seed="s"
    )
    assert found.pairs[0].difference is None
    assert "calls no case positive" in found.pairs[0].reason


def scored(case_ids, reference, **more):
    n = len(case_ids)
    columns = {
        "case_id": case_ids, "patient_key": [f"p{i}" for i in range(n)], "reference": pa.array(reference, pa.int8()),
        "score": pa.array([0.1 * i for i in range(n)], pa.float64()), "failure": pa.nulls(n, pa.string()),
    }  # fmt: skip
    return pa.table(columns | more)


def test_answers_are_joined_by_case_whatever_the_order():
    one = scored(["b", "a", "c"], [1, 0, None])
    found = join_answers(["x", "y"], [one, one.take([2, 0, 1])])
    assert found.reference.tolist() == [False, True]
    assert (found.scores[0] == found.scores[1]).all()
    for other in (scored(["b", "a", "d"], [1, 0, None]), scored(["b", "a", "c"], [1, 1, None])):
        with pytest.raises(ScoringError, match="differ in their cases"):
            join_answers(["x", "y"], [one, other])
    lost = pa.array([None, "timeout", None], pa.string())
    failed = scored(["b", "a", "c"], [1, 0, None], failure=lost, score=pa.array([0.4, None, 0.1]))
    assert join_answers(["x", "y"], [one, failed]).scores[1].tolist() == [np.inf, 0.4]
