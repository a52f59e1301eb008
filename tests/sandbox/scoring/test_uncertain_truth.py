"""Consensus, agreement, reference error, verification: brute force, libraries, what must hold always."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from sandbox.errors import ScoringError
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.readers.agreement import cohen_kappa, fleiss_kappa, kappa_of_table, krippendorff_alpha
from sandbox.scoring.readers.intraclass import intraclass_correlation
from sandbox.scoring.readers.reader_truth import truth_sensitivity
from sandbox.scoring.readers.readings import consensus
from sandbox.scoring.readers.reference_error import auroc_band, rate_band, rogan_gladen
from sandbox.scoring.readers.verification import begg_greenes
from sandbox.scoring.roc import auroc_value

NAN = np.nan
SEED = Seed(evaluation="test", metric="agreement")


def test_consensus_rules():
    readings = np.array([[1, 1, 0, 1, NAN], [1, 0, 0, 0, NAN], [1, 1, 0, NAN, NAN]])
    expected = {
        "majority": [1, 1, 0, NAN, NAN],
        "unanimous": [1, NAN, 0, NAN, NAN],
        "any": [1, 1, 0, 1, NAN],
        "adjudicated": [1, 0, 0, 1, NAN],
    }
    for rule, truth in expected.items():
        found = consensus(readings, rule, [0, 0, 1, 1, 1])
        assert np.array_equal(found.truth, truth, equal_nan=True), rule
        assert found.disputed.tolist() == [False, True, False, True, False]
        assert found.undecided == np.isnan(truth).sum()
    with pytest.raises(ScoringError, match="adjudicator"):
        consensus(readings, "adjudicated")
    with pytest.raises(ScoringError, match="neither 0, 1"):
        consensus([[0, 0.5]], "any")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 15), min_size=9, max_size=9), st.sampled_from(["none", "linear", "quadratic"]))
def test_kappa_agrees_with_statsmodels_and_scikit_learn(cells, weights):
    table = np.array(cells).reshape(3, 3) + np.eye(3, dtype=int)
    found = kappa_of_table(table, weights)
    peer = cohens_kappa(table, wt=None if weights == "none" else weights)
    assert found.value == pytest.approx(peer.kappa)
    if peer.kappa_low > -1 and peer.kappa_upp < 1:
        assert (found.low, found.high) == pytest.approx((peer.kappa_low, peer.kappa_upp), abs=1e-6)
    first, second = (np.repeat(axis.ravel(), table.ravel()) for axis in np.indices((3, 3)))
    scheme = None if weights == "none" else weights
    assert cohen_kappa(first, second, weights).value == pytest.approx(
        cohen_kappa_score(first, second, weights=scheme)
    )


def alpha_by_pairs(readings, scale):
    """Krippendorff's definition, pair by pair."""
    units = [column[~np.isnan(column)] for column in readings.T]
    units = [unit for unit in units if unit.size > 1]
    values = np.concatenate(units)

    def distance(a, b):
        if scale == "nominal":
            return float(a != b)
        if scale == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = ((values >= low) & (values <= high)).sum() - (
            (values == low).sum() + (values == high).sum()
        ) / 2
        return 0.0 if a == b else between**2

    observed = sum(sum(distance(a, b) for a, b in itertools.permutations(u, 2)) / (u.size - 1) for u in units)
    expected = sum(distance(a, b) for a, b in itertools.permutations(values, 2)) / (values.size - 1)
    return 1 - observed / expected


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_agrees_with_its_definition(seed, scale):
    random = np.random.default_rng(seed)
    readings = random.integers(1, 5, (3, 9)).astype(float)
    readings[random.random(readings.shape) < 0.2] = NAN
    if ((~np.isnan(readings)).sum(axis=0) > 1).sum() < 3 or np.nanstd(readings) == 0:
        return
    assert krippendorff_alpha(readings, scale).value == pytest.approx(
        alpha_by_pairs(readings, scale), abs=1e-10
    )


def test_intervals_of_agreement_hold_their_value_and_widen_with_clusters():
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 80)
    readings = np.where(random.random((4, 80)) < 0.75, truth, random.integers(0, 3, (4, 80))).astype(float)
    one = krippendorff_alpha(readings, "nominal", seed=SEED)
    assert one.low < one.value < one.high
    copied = krippendorff_alpha(
        np.repeat(readings, 2, axis=1), "nominal", np.repeat(np.arange(80), 2), seed=SEED
    )
    assert copied.high - copied.low == pytest.approx(one.high - one.low, rel=0.1)
    counts = np.stack([(readings == kind).sum(axis=0) for kind in range(3)], axis=1)
    kappa = fleiss_kappa(counts, seed=SEED)
    assert kappa.low < kappa.value < kappa.high
    assert fleiss_kappa(np.array([[3, 0], [3, 0]])).value is None
    with pytest.raises(ScoringError, match="same number of readers"):
        fleiss_kappa([[1, 2], [1, 1]])


def test_intraclass_forms_differ_where_a_reader_is_shifted():
    random = np.random.default_rng(3)
    truth = random.normal(0, 3, 40)
    x = np.stack([truth + random.normal(0, 1, 40), truth + 4 + random.normal(0, 1, 40)])
    agreement, consistency = (intraclass_correlation(x, form) for form in ("2,1", "3,1"))
    assert agreement.value < consistency.value - 0.2
    for each in (agreement, consistency):
        assert each.low < each.value < each.high
    with pytest.raises(ScoringError, match="every reader"):
        intraclass_correlation(np.array([[1, NAN], [1, 2]]), "2,1")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_worst_case_bands_by_trying_every_change(seed):
    random = np.random.default_rng(seed)
    truth = random.random(9) < 0.5
    truth[:2] = True, False
    score = np.round(truth + random.normal(size=9))
    called = score > 0.5
    aurocs, sensitivities = [], []
    for number in range(3):
        for changed in itertools.combinations(range(9), number):
            other = truth.copy()
            other[list(changed)] ^= True
            if other.any() and not other.all():
                aurocs.append(auroc_value(other, score))
            if other.any():
                sensitivities.append(called[other].mean())
    band = auroc_band(score, truth, (0.25,)).rates[0]
    assert (band.lowest, band.highest) == pytest.approx((min(aurocs), max(aurocs)))
    rates = rate_band(called, truth, "sensitivity", (0.25,)).rates[0]
    assert (rates.lowest, rates.highest) == pytest.approx((min(sensitivities), max(sensitivities)))


def test_independent_errors_are_undone_in_a_large_sample():
    random = np.random.default_rng(4)
    n = 400_000
    truth = random.random(n) < 0.3
    score = 1.3 * truth + random.normal(size=n)
    called = score > 0.7
    seen = np.where(random.random(n) < np.where(truth, 0.1, 0.05), ~truth, truth)
    sensitivity, specificity = rogan_gladen(
        called, seen, reference_sensitivity=0.9, reference_specificity=0.95
    )
    assert sensitivity == pytest.approx(called[truth].mean(), abs=0.006)
    assert specificity == pytest.approx((~called)[~truth].mean(), abs=0.006)
    assert called[seen].mean() < sensitivity - 0.02
    # Labels wrong at one rate in both classes of labels: draw labels first, then the truth behind them.
    label = random.random(n) < 0.3
    behind = np.where(random.random(n) < 0.1, ~label, label)
    value = 1.3 * behind + random.normal(size=n)
    band = auroc_band(value, label, (0.1,)).rates[0]
    assert band.independent == pytest.approx(auroc_value(behind, value), abs=0.004)
    rate = rate_band(value > 0.7, label, "specificity", (0.1,)).rates[0]
    assert rate.independent == pytest.approx((value <= 0.7)[~behind].mean(), abs=0.006)


def test_impossible_error_rates_are_told():
    truth, called = np.array([1, 1, 0, 0], bool), np.array([1, 1, 0, 0], bool)
    assert rate_band(called, truth, "sensitivity", (0.2,)).rates[0].independent is None
    with pytest.raises(ScoringError, match=r"below 0\.5"):
        rate_band(called, truth, "sensitivity", (0.5,))
    with pytest.raises(ScoringError, match="nothing about the truth"):
        rogan_gladen(called, truth, reference_sensitivity=0.5, reference_specificity=0.5)


def test_begg_greenes_undoes_verification_by_answer_and_covers():
    random = np.random.default_rng(5)
    held, naive_off = 0, 0.0
    for _ in range(300):
        truth = random.random(600) < 0.3
        called = random.random(600) < np.where(truth, 0.8, 0.15)
        verified = random.random(600) < np.where(called, 0.9, 0.3)
        found = begg_greenes(called, np.where(verified, truth, NAN))
        held += found.sensitivity.low <= 0.8 <= found.sensitivity.high
        naive_off += found.sensitivity.naive - 0.8
    assert 0.92 <= held / 300 <= 0.98
    assert naive_off / 300 > 0.05
    whole = begg_greenes(called, truth.astype(float))
    assert whole.sensitivity.value == pytest.approx(called[truth].mean())
    with pytest.raises(ScoringError, match="no case of some answer"):
        begg_greenes(called, np.where(called, truth, NAN))


def test_truth_of_each_reader_and_the_noise_ceiling():
    random = np.random.default_rng(6)
    truth = random.random(200) < 0.4
    panel = np.stack([np.where(random.random(200) < 0.1, ~truth, truth) for _ in range(3)]).astype(float)
    found = truth_sensitivity(truth + random.normal(0, 0.8, 200), panel, list("abc"), "auroc")
    assert [item.truth for item in found.each_reader] == ["a", "b", "c"]
    assert found.lowest <= found.consensus.value + 0.02
    assert found.ceiling.lower < found.ceiling.upper
    # The algorithm that copies a reader cannot pass what that reader reaches.
    copy = truth_sensitivity(panel[0], panel, list("abc"), "accuracy")
    assert copy.ceiling.by_reader[0] == pytest.approx(copy.leave_one_out[0].estimate.value)
