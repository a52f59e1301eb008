"""Multi-reader multi-case analyses: equivalences of the literature, brute force, what must hold always."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.mrmc.algorithm_against_readers import compare_with_readers
from sandbox.scoring.mrmc.covariances import Components, covariance_matrix
from sandbox.scoring.mrmc.design import make_study, reader_aurocs
from sandbox.scoring.mrmc.dorfman_berbaum_metz import analyse_pseudovalues
from sandbox.scoring.mrmc.obuchowski_rockette import analyse, from_components
from sandbox.scoring.mrmc.u_statistics import PLUG_IN, compare_averages, reader_average
from sandbox.scoring.planning.reader_study import Pilot, cases_needed, plan
from sandbox.scoring.roc import auroc_value


def world(seed, treatments=2, readers=4, cases=50, step=0.5):
    random = np.random.default_rng(seed)
    truth = np.arange(cases) < cases * 2 // 5
    scores = truth + random.normal(size=(1, 1, cases)) + random.normal(size=(treatments, 1, cases)) * 0.5
    scores = scores + random.normal(size=(treatments, readers, cases)) * 0.7
    return truth, np.round(scores / step) * step


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 3), st.integers(2, 5))
def test_dbm_gives_the_test_of_obuchowski_rockette_with_jackknife(seed, treatments, readers):
    # Hillis, Obuchowski, Schartz and Berbaum 2005.
    study = make_study(*world(seed, treatments, readers, 40))
    one, other = analyse_pseudovalues(study), analyse(study, covariances="jackknife")
    assert one.statistic == pytest.approx(other.statistic, rel=1e-8)
    assert one.degrees == pytest.approx(other.degrees, rel=1e-8)
    assert one.p == pytest.approx(other.p, rel=1e-8)


def test_differences_of_pseudovalues_and_of_averages_are_those_of_their_tests():
    study = make_study(*world(5, 3, 4, 60))
    one, other = analyse_pseudovalues(study), analyse(study, covariances="jackknife")
    for a, b in zip(one.differences, other.differences, strict=True):
        assert (a.value, a.error, a.degrees, a.low, a.p) == pytest.approx(
            (b.value, b.error, b.degrees, b.low, b.p)
        )
    compared = compare_averages(study)
    for a, b in zip(compared.differences, other.differences, strict=True):
        contrast = [float(i == a.first) - float(i == a.second) for i in range(3)]
        single = reader_average(study, tuple(contrast))
        assert (a.value, a.low, a.p) == (single.value, single.low, single.p)
        assert a.value == pytest.approx(b.value)
    with pytest.raises(ScoringError, match="two treatments"):
        compare_averages(make_study(*world(5, 1, 4, 60)))
    flat = next(
        found for seed in range(60)
        if (found := compare_averages(make_study(*world(seed, 2, 2, 10, step=1.0)))).notes
    )  # fmt: skip
    assert flat.notes == (PLUG_IN,)
    assert flat.differences[0].high >= flat.differences[0].low


def test_jackknife_covariances_by_leaving_out():
    truth, scores = world(3, cases=20)
    study = make_study(truth, scores)
    rows = scores.reshape(-1, 20)
    left = np.array(
        [[auroc_value(np.delete(truth, k), np.delete(row, k)) for k in range(20)] for row in rows]
    )
    expected = np.cov(left, ddof=0) * 19
    assert covariance_matrix(study, reader_aurocs(study), "jackknife") == pytest.approx(expected, abs=1e-12)


def test_delong_covariances_by_their_definition():
    truth, scores = world(4)
    study = make_study(truth, scores)
    rows = scores.reshape(-1, truth.size)
    kernel = [(r[truth][:, None] > r[~truth]) + 0.5 * (r[truth][:, None] == r[~truth]) for r in rows]
    expected = np.cov([k.mean(axis=1) for k in kernel]) / truth.sum()
    expected += np.cov([k.mean(axis=0) for k in kernel]) / (~truth).sum()
    found = covariance_matrix(study, reader_aurocs(study), "delong")
    # Sums by patient allow for both classes in one patient; here each patient is one case.
    assert found == pytest.approx(expected, abs=1e-12)


def test_unbiased_covariances_are_unbiased():
    # The mean of the estimate over many small samples of one population is the covariance over those samples.
    random = np.random.default_rng(1)
    estimates, values = [], []
    for _ in range(3000):
        truth = np.array([True] * 5 + [False] * 6)
        shared = random.normal(size=11)
        scores = np.stack([truth + shared + random.normal(size=11), truth + shared + random.normal(size=11)])
        study = make_study(truth, scores[None])
        aurocs = reader_aurocs(study)
        values.append(aurocs.values[0])
        estimates.append(covariance_matrix(study, aurocs, "unbiased"))
    assert np.mean(estimates, axis=0) == pytest.approx(np.cov(np.array(values).T), rel=0.08)


def test_u_statistic_variance_by_brute_force():
    truth, scores = world(5, treatments=2, readers=3, cases=12)
    study = make_study(truth, scores)
    over, under = scores[:, :, truth], scores[:, :, ~truth]
    kernel = (over[..., None] > under[:, :, None, :]) + 0.5 * (over[..., None] == under[:, :, None, :])
    gap = kernel[0] - kernel[1]
    readers, m, n = gap.shape
    sums = np.zeros((2, 2, 2))
    counts = np.zeros((2, 2, 2))
    cells = list(itertools.product(range(readers), range(m), range(n)))
    for (j, k, o), (a, b, c) in itertools.product(cells, cells):
        where = (int(j == a), int(k == b), int(o == c))
        sums[where] += gap[j, k, o] * gap[a, b, c]
        counts[where] += 1
    moments = sums / counts
    variance = (counts / counts.sum() * moments).sum() - moments[0, 0, 0]
    found = reader_average(study, (1, -1))
    assert found.unbiased == pytest.approx(variance, abs=1e-12)
    assert found.value == pytest.approx(gap.mean(), abs=1e-12)


def test_a_negative_u_statistic_variance_falls_back_and_says_so():
    found = [reader_average(make_study(*world(seed, 2, 2, 10, step=1.0)), (1, -1)) for seed in range(60)]
    negative = [each for each in found if each.unbiased <= 0]
    assert negative
    assert all(each.estimator == "plug-in" and each.variance >= 0 for each in negative)
    assert all(each.p is None or 0 <= each.p <= 1 for each in found)


def test_negative_components_count_as_zero_and_are_told():
    values = np.array([[0.8, 0.82, 0.81], [0.84, 0.85, 0.83]])
    parts = Components(error=0.002, cov1=0.001, cov2=0.0004, cov3=0.0009)
    found = from_components(values, parts)
    assert found.statistic == pytest.approx(found.mean_squares.treatment / found.mean_squares.interaction)
    assert found.degrees == pytest.approx(2)
    assert found.interaction_variance < 0
    assert len(found.notes) == 2


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_monotone_transforms_of_a_reader_change_nothing(seed):
    truth, scores = world(seed)
    turned = scores.copy()
    turned[:, 1] = np.exp(turned[:, 1])
    assert analyse(make_study(truth, turned)) == analyse(make_study(truth, scores))


def test_copies_of_cases_in_one_patient_add_nothing():
    truth, scores = world(6, cases=60)
    once = analyse(make_study(truth, scores)).differences[0]
    twice = analyse(
        make_study(np.repeat(truth, 2), np.repeat(scores, 2, axis=2), np.repeat(np.arange(60), 2))
    )
    assert twice.differences[0].error == pytest.approx(once.error, rel=0.02)
    naive = analyse(make_study(np.repeat(truth, 2), np.repeat(scores, 2, axis=2))).differences[0]
    assert naive.error < once.error * 0.9
    with pytest.raises(ScoringError, match="independent"):
        analyse(
            make_study(np.repeat(truth, 2), np.repeat(scores, 2, axis=2), np.repeat(np.arange(60), 2)),
            covariances="jackknife",
        )


def test_an_algorithm_against_readers_is_one_treatment_of_differences():
    truth, scores = world(7, treatments=2, readers=5)
    found = compare_with_readers(truth, scores[0, 0], scores[1], covariances="jackknife")
    study = make_study(truth, np.concatenate((scores[0, :1], scores[1]))[None])
    left = covariance_matrix(study, reader_aurocs(study), "jackknife")
    gaps = [auroc_value(truth, scores[0, 0]) - auroc_value(truth, row) for row in scores[1]]
    off = [
        left[0, 0] - left[0, i] - left[0, j] + left[i, j] for i, j in itertools.permutations(range(1, 6), 2)
    ]
    variance = np.var(gaps, ddof=1) / 5 + max(0, np.mean(off))
    assert found.value == pytest.approx(np.mean(gaps))
    assert found.error == pytest.approx(np.sqrt(variance))
    ignoring_cases = stats.ttest_1samp(gaps, 0).pvalue
    assert found.p > ignoring_cases


def test_what_a_reader_study_needs_is_said():
    truth, scores = world(8)
    with pytest.raises(ScoringError, match="two readers"):
        compare_with_readers(truth, scores[0, 0], scores[1, :1])
    with pytest.raises(ScoringError, match="missing"):
        make_study(truth, np.where(scores > 2, np.nan, scores))
    with pytest.raises(ScoringError, match="two positive"):
        make_study(np.arange(50) < 1, scores)
    with pytest.raises(ScoringError, match="one it is about cases"):
        analyse(make_study(truth, scores[:, :1]))
    assert analyse(make_study(truth, scores[:, :1]), generalises="cases").degrees is None


def test_power_rises_with_readers_and_cases():
    pilot = Pilot(
        components=Components(error=0.0008, cov1=0.00035, cov2=0.00034, cov3=0.00024),
        interaction_variance=0.0002,
        cases=114,
    )
    powers = [plan(pilot, readers, cases, 0.05).power for readers, cases in ((5, 100), (8, 100), (8, 300))]
    assert powers == sorted(powers)
    needed = cases_needed(pilot, 10, 0.05, 0.8)
    assert needed.power >= 0.8 > plan(pilot, 10, needed.cases - 1, 0.05).power
    assert cases_needed(pilot, 2, 0.01, 0.9) is None
