"""Standardised and adjusted comparisons, representativeness, slices, pooled groups: oracles and invariants."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.meta_analysis import combine_effects

from sandbox.errors import ScoringError
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.case_mix.adjusted_auroc import adjusted_auroc
from sandbox.scoring.case_mix.mantel_haenszel import pool_tables
from sandbox.scoring.case_mix.random_effects import pool, pool_aurocs
from sandbox.scoring.case_mix.representativeness import (
    compare_attribute,
    effective_sample_size,
    rake,
    weighted_auroc,
    weighted_rate,
)
from sandbox.scoring.case_mix.slices import find_slices
from sandbox.scoring.case_mix.standardisation import standardise
from sandbox.scoring.case_mix.support import overlap
from sandbox.scoring.cases import make_cases
from sandbox.scoring.strata import Levels

SEED = Seed(evaluation="test", metric="slices", purpose="permutation")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_pooled_tables_agree_with_statsmodels(seed, strata):
    random = np.random.default_rng(seed)
    n1, n2 = random.integers(5, 60, strata), random.integers(5, 60, strata)
    a, c = random.binomial(n1, 0.6), random.binomial(n2, 0.45)
    found = pool_tables(a, n1, c, n2)
    tables = [np.array([[w, x - w], [y, z - y]]) for w, x, y, z in zip(a, n1, c, n2, strict=True)]
    peer = StratifiedTable(tables)
    assert found.odds_ratio == pytest.approx(peer.oddsratio_pooled)
    assert found.odds_ratio_limits == pytest.approx(peer.oddsratio_pooled_confint())
    assert found.cochran_mantel_haenszel == pytest.approx(peer.test_null_odds().statistic)
    if (a + c > 0).all() and (a + c < n1 + n2).all():
        assert found.breslow_day == pytest.approx(peer.test_equal_odds().statistic, rel=1e-6)
        assert found.breslow_day_tarone == pytest.approx(
            peer.test_equal_odds(adjust=True).statistic, rel=1e-6
        )


def test_pooled_difference_covers_in_many_small_strata():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        base = random.uniform(0.3, 0.7, 60)
        n1, n2 = random.integers(1, 4, 60), random.integers(1, 4, 60)
        found = pool_tables(random.binomial(n1, base + 0.15), n1, random.binomial(n2, base), n2)
        held += found.difference_limits[0] <= 0.15 <= found.difference_limits[1]
    assert 0.92 <= held / 400 <= 0.98
    with pytest.raises(ScoringError, match="both groups"):
        pool_tables([1], [2], [0], [0])


def test_standardised_rates_remove_a_difference_that_is_all_mix():
    random = np.random.default_rng(2)
    n = 40_000
    group = (random.random(n) < 0.5).astype(np.int64)
    stratum = (random.random(n) < np.where(group == 1, 0.8, 0.3)).astype(np.int64)
    success = random.random(n) < np.where(stratum == 1, 0.7, 0.9)
    found = standardise(success, group, stratum, ["a", "b"], ["easy", "hard"], np.arange(n))
    first, second = found.groups
    assert first.crude - second.crude > 0.08
    assert abs(first.standardised - second.standardised) < 0.015
    assert first.low < first.standardised < first.high
    # Standardised to its own mix a group has its crude rate.
    own = np.bincount(stratum[group == 0], minlength=2) / (group == 0).sum()
    again = standardise(
        success, group, stratum, ["a", "b"], ["easy", "hard"], np.arange(n), standard=own
    ).groups[0]
    assert again.standardised == pytest.approx(first.crude)


def test_without_overlap_nothing_is_made_up():
    group, stratum = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    found = standardise(np.ones(4, bool), group, stratum, ["a", "b"], ["x", "y"], np.arange(4))
    assert all(each.standardised is None and "not adjustable" in each.reason for each in found.groups)
    assert [row.shared for row in found.support] == [False, False]
    assert overlap(np.array([[2, 0], [0, 2]])) == (0.0, 0.0)
    with pytest.raises(ScoringError, match="add up to 1"):
        standardise(
            np.ones(4, bool),
            group,
            stratum,
            ["a", "b"],
            ["x", "y"],
            np.arange(4),
            standard=np.array([0.5, 0.4]),
        )


def test_adjusted_auroc_takes_the_scanner_out():
    random = np.random.default_rng(3)
    n = 6000
    scanner = (random.random(n) < 0.5).astype(np.int64)
    truth = random.random(n) < np.where(scanner == 1, 0.7, 0.2)
    score = truth * 0.8 + scanner * 2.0 + random.normal(size=n)
    cases = make_cases(truth, score)
    order = np.argsort(score, kind="stable")
    found = adjusted_auroc(cases, scanner[order], ["a", "b"])
    inside = stats.norm.cdf(0.8 / np.sqrt(2))
    assert found.pooled > found.value + 0.08
    assert found.low < inside < found.high
    by_hand = sum(
        truth[scanner == k].sum() * roc_auc_score(truth[scanner == k], score[scanner == k]) for k in (0, 1)
    )
    assert found.value == pytest.approx(by_hand / truth.sum())
    one = adjusted_auroc(cases, np.zeros(n, dtype=np.int64), ["all"])
    assert one.value == pytest.approx(one.pooled)
    nothing = adjusted_auroc(make_cases([1, 1, 0], [1, 2, 3]), np.array([0, 0, 1]), ["a", "b"])
    assert nothing.value is None
    assert "not adjustable" in nothing.reason


def test_adjusted_auroc_covers():
    random = np.random.default_rng(4)
    inside, held = stats.norm.cdf(1 / np.sqrt(2)), 0
    for _ in range(400):
        kind = random.integers(0, 3, 150)
        truth = random.random(150) < np.array([0.2, 0.4, 0.6])[kind]
        score = truth + kind + random.normal(size=150)
        order = np.argsort(score, kind="stable")
        found = adjusted_auroc(make_cases(truth, score), kind[order], list("abc"))
        held += found.low <= inside <= found.high
    assert 0.92 <= held / 400 <= 0.98


def levels(name, codes, names):
    return Levels(name=name, names=tuple(names), codes=np.asarray(codes, dtype=np.int64))


def test_raking_meets_every_declared_share():
    random = np.random.default_rng(5)
    sex, age = random.integers(0, 2, 4000), random.integers(0, 3, 4000)
    wanted = {"sex": {"F": 0.7, "M": 0.3}, "age": {"young": 0.2, "middle": 0.3, "old": 0.5}}
    found = rake([levels("sex", sex, "FM"), levels("age", age, ["young", "middle", "old"])], wanted)
    assert found.converged
    assert found.weights.mean() == pytest.approx(1)
    assert (found.weights * (sex == 0)).sum() / 4000 == pytest.approx(0.7)
    assert (found.weights * (age == 2)).sum() / 4000 == pytest.approx(0.5)
    assert 1 < found.effective < 4000
    assert effective_sample_size(np.ones(10)) == 10
    lacking = rake([levels("sex", sex, "FM")], {"sex": {"F": 0.5, "M": 0.3, "X": 0.2}})
    assert lacking.lacking == ("sex=X",)
    assert not lacking.converged
    with pytest.raises(ScoringError, match="add up to 1"):
        rake([levels("sex", sex, "FM")], {"sex": {"F": 0.5, "M": 0.3}})


def test_differences_from_a_population():
    equal = compare_attribute(levels("sex", [0, 1, 0, 1], "FM"), {"F": 0.5, "M": 0.5})
    assert (equal.distance, equal.divergence) == (0.0, 0.0)
    other = compare_attribute(levels("sex", [0, 0, 0, 0], "F"), {"M": 1.0})
    assert other.divergence == pytest.approx(1.0)
    assert other.lacking == 1.0
    # Two levels: the distance is the standardised difference of a share (Austin 2009).
    two = compare_attribute(levels("sex", [0] * 6 + [1] * 4, "FM"), {"F": 0.5, "M": 0.5})
    assert two.distance == pytest.approx(abs(two.levels[0].standardised), rel=1e-9)


def test_weights_of_one_change_nothing_and_whole_weights_are_copies():
    random = np.random.default_rng(6)
    truth = random.random(80) < 0.4
    score = truth + random.normal(size=80)
    cases = make_cases(truth, score)
    plain = weighted_auroc(cases, np.ones(80))
    assert plain.value == plain.crude == pytest.approx(roc_auc_score(truth, score))
    twice = random.integers(1, 4, 80)
    order = np.argsort(score, kind="stable")
    found = weighted_auroc(cases, twice[order].astype(float))
    assert found.value == pytest.approx(roc_auc_score(np.repeat(truth, twice), np.repeat(score, twice)))
    rate = weighted_rate("sensitivity", score[truth] > 0.5, np.ones(truth.sum()), np.arange(truth.sum()))
    assert rate.value == rate.crude
    assert rate.low < rate.value < rate.high


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_moments_agree_with_statsmodels(seed):
    random = np.random.default_rng(seed)
    errors = random.uniform(0.1, 0.5, 6)
    values = random.normal(0, 0.4, 6) + random.normal(0, errors)
    found = pool(values, errors, method="dersimonian-laird")
    with np.errstate(invalid="ignore"):  # it takes the root of a negative variance
        peer = combine_effects(values, errors**2, method_re="chi2")
    assert found.between == pytest.approx(max(0.0, peer.tau2), abs=1e-9)
    assert found.q == pytest.approx(peer.q)


def test_reml_is_the_maximum_of_its_likelihood():
    random = np.random.default_rng(7)
    values, errors = random.normal(0, 0.6, 8), random.uniform(0.1, 0.4, 8)
    found = pool(values, errors)

    def likelihood(between):
        w = 1 / (errors**2 + between)
        mean = (w @ values) / w.sum()
        return -0.5 * (-np.log(w).sum() + np.log(w.sum()) + (w * (values - mean) ** 2).sum())

    grid = found.between + np.linspace(-0.05, 0.05, 11)
    assert likelihood(found.between) >= max(likelihood(each) for each in grid if each >= 0) - 1e-9
    equal = pool([0.5, 0.5, 0.5], [0.1, 0.2, 0.3])
    assert (equal.between, equal.value) == (0.0, pytest.approx(0.5))
    back = pool_aurocs([0.8, 0.85, 0.9], [0.02, 0.03, 0.02])
    assert back.limits[0] < back.value < back.limits[1]
    assert back.prediction[0] < back.limits[0]
    with pytest.raises(ScoringError, match="no logit"):
        pool_aurocs([0.8, 1.0], [0.1, 0.1])


def attributes(random, n, number=4):
    return [levels(f"a{i}", random.integers(0, 3, n), "xyz") for i in range(number)]


def test_a_planted_slice_is_found_and_its_p_is_fishers():
    random = np.random.default_rng(8)
    n = 3000
    parts = attributes(random, n)
    bad = (parts[0].codes == 1) & (parts[2].codes == 2)
    error = random.random(n) < np.where(bad, 0.3, 0.1)
    found = find_slices(error, parts, np.arange(n), SEED, permutations=200)
    best = found.slices[0]
    assert best.levels == (("a0", "y"), ("a2", "z"))
    table = [[error[bad].sum(), (~error[bad]).sum()], [error[~bad].sum(), (~error[~bad]).sum()]]
    assert best.p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-6)
    assert best.p_adjusted == pytest.approx(1 / 201)
    assert found == find_slices(error, parts, np.arange(n), SEED, permutations=200)


def test_where_nothing_is_planted_little_is_found():
    random = np.random.default_rng(9)
    flagged = SimpleNamespace(single=0, clustered=0)
    for run in range(60):
        parts = attributes(random, 600, 3)
        error = random.random(600) < 0.2
        seed = Seed(evaluation=str(run), metric="null")
        flagged.single += (
            find_slices(error, parts, np.arange(600), seed, permutations=99).slices[0].p_adjusted <= 0.05
        )
        pairs = np.repeat(random.random(300) < 0.2, 2)
        doubled = [levels(p.name, np.repeat(p.codes[:300], 2), p.names) for p in parts]
        found = find_slices(pairs, doubled, np.repeat(np.arange(300), 2), seed)
        assert found.method == "linearised-by-patient-holm"
        flagged.clustered += found.slices[0].p_adjusted <= 0.05
    assert flagged.single <= 8
    assert flagged.clustered <= 8


def test_slices_count_every_combination_once():
    random = np.random.default_rng(10)
    parts = attributes(random, 500, 3)
    error = random.random(500) < 0.3
    found = find_slices(error, parts, np.arange(500), SEED, minimum=5, permutations=50, most=1000)
    expected = 0
    for way in (1, 2, 3):
        for chosen in itertools.combinations(range(3), way):
            for values in itertools.product(range(3), repeat=way):
                inside = np.all([parts[i].codes == v for i, v in zip(chosen, values, strict=True)], axis=0)
                expected += 5 <= inside.sum() <= 495
    assert found.searched == expected
    for each in found.slices:
        assert each.rate == pytest.approx(each.errors / each.n)
    with pytest.raises(ScoringError, match="one to three"):
        find_slices(error, parts, np.arange(500), SEED, ways=4)
