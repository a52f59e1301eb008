"""Every estimate against an independent implementation: scikit-learn, statsmodels, or the formula in full."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

from sandbox.scoring import bootstrap, calibration, precision_recall, proportions, roc
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import make_cases
from sandbox.scoring.operating_points import at_threshold


def sample(n=400, patients=None, seed=1, levels=1001):
    """Scores with ties, and where asked patients with several, correlated cases of both kinds."""
    random = np.random.default_rng(seed)
    patient = random.integers(0, patients, n) if patients else np.arange(n)
    effect = random.normal(0, 0.8, patient.max() + 1)[patient]
    reference = (random.normal(0, 1, n) + effect > 0.6).astype(int)
    logit = 1.3 * reference - 0.8 + random.normal(0, 1, n) + effect
    score = np.round((levels - 1) / (1 + np.exp(-logit))) / (levels - 1)
    return reference, score, patient


def brute_pairs(reference, score):
    positive, negative = score[reference == 1], score[reference == 0]
    return (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)


@pytest.mark.parametrize("levels", [4, 21, 1001])
def test_auroc_and_average_precision_equal_scikit_learn(levels):
    reference, score, _ = sample(levels=levels)
    cases = make_cases(reference, score)
    assert roc.auroc_value(reference, score) == pytest.approx(
        metrics.roc_auc_score(reference, score), abs=1e-14
    )
    assert precision_recall.average_precision(cases, 0.95).value == pytest.approx(
        metrics.average_precision_score(reference, score), abs=1e-14
    )


def test_delong_variance_equals_its_definition():
    reference, score, _ = sample(150, levels=11)
    pairs = brute_pairs(reference, score)
    v10, v01 = pairs.mean(axis=1), pairs.mean(axis=0)
    variance = v10.var(ddof=1) / v10.size + v01.var(ddof=1) / v01.size
    value = pairs.mean()
    found = roc.auroc(make_cases(reference, score), 0.95)
    centre, half = (
        math.log(value / (1 - value)),
        1.959963984540054 * math.sqrt(variance) / (value * (1 - value)),
    )
    expected = [1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1)]
    assert found.method == "delong-logit"
    assert [found.low, found.high] == pytest.approx(expected, abs=1e-12)


def test_clustered_variance_equals_obuchowski_1997_written_out():
    reference, score, patient = sample(120, patients=35, levels=11)
    pairs = brute_pairs(reference, score)
    positives, negatives = pairs.shape
    value = pairs.mean()
    v10, v01 = pairs.mean(axis=1), pairs.mean(axis=0)
    s10 = s01 = s11 = 0.0
    everyone = np.unique(patient)
    with_positive = np.unique(patient[reference == 1]).size
    with_negative = np.unique(patient[reference == 0]).size
    for who in everyone:
        mine10 = v10[patient[reference == 1] == who]
        mine01 = v01[patient[reference == 0] == who]
        x, y = mine10.sum() - mine10.size * value, mine01.sum() - mine01.size * value
        s10 += x * x
        s01 += y * y
        s11 += x * y
    s10 *= with_positive / ((with_positive - 1) * positives)
    s01 *= with_negative / ((with_negative - 1) * negatives)
    s11 *= everyone.size / (everyone.size - 1)
    variance = s10 / positives + s01 / negatives + 2 * s11 / (positives * negatives)
    cases = make_cases(reference, score, patient)
    wins_positive, wins_negative = roc.win_shares(cases)
    found = roc.pair_variance(
        (wins_positive - value) / positives,
        (wins_negative - value) / negatives,
        cases.patient[cases.reference],
        cases.patient[~cases.reference],
    )
    assert found == pytest.approx(variance, rel=1e-12)
    assert roc.auroc(cases, 0.95).method == "delong-logit-clustered"


@pytest.mark.parametrize("patients", [None, 60])
def test_bootstrap_spread_agrees_with_the_closed_forms(patients):
    reference, score, patient = sample(400, patients=patients)
    cases = make_cases(reference, score, patient)
    for estimate, drawn in (
        (roc.auroc(cases, 0.95), bootstrap.aurocs(cases, Seed(evaluation="e", metric="auroc"), 1500)),
        (
            precision_recall.average_precision(cases, 0.95),
            bootstrap.average_precisions(cases, Seed(evaluation="e", metric="ap"), 1500),
        ),
    ):
        slope = estimate.value * (1 - estimate.value)
        width = math.log(estimate.high / (1 - estimate.high)) - math.log(estimate.low / (1 - estimate.low))
        error = width / 2 / 1.959963984540054 * slope
        assert drawn.std() == pytest.approx(error, rel=0.12)


def test_bootstrap_statistics_equal_scikit_learn_on_the_same_resample():
    reference, score, patient = sample(200, patients=40, levels=11)
    patient = np.unique(patient, return_inverse=True)[1]
    cases = make_cases(reference, score, patient)
    seed = Seed(evaluation="e", metric="m")
    weights = [np.bincount(row, minlength=40) for row in seed.generator().integers(0, 40, size=(5, 40))]
    drawn = bootstrap.aurocs(cases, seed, 5), bootstrap.average_precisions(cases, seed, 5)
    sensitivity, specificity = bootstrap.rates(cases, 0.5, seed, 5)
    for index, weight in enumerate(weights):
        by_case = weight[cases.patient].astype(float)
        arguments = {"sample_weight": by_case}
        assert drawn[0][index] == pytest.approx(
            metrics.roc_auc_score(cases.reference, cases.score, **arguments)
        )
        assert drawn[1][index] == pytest.approx(
            metrics.average_precision_score(cases.reference, cases.score, **arguments)
        )
        called = cases.score >= 0.5
        assert sensitivity[index] == pytest.approx(metrics.recall_score(cases.reference, called, **arguments))
        assert specificity[index] == pytest.approx(
            metrics.recall_score(~cases.reference, ~called, **arguments)
        )


def test_bootstrap_does_not_depend_on_its_blocks():
    reference, score, patient = sample(200, patients=40, levels=11)
    cases = make_cases(reference, score, patient)
    seed = Seed(evaluation="e", metric="m")
    column = cases.reference.astype(np.int64)
    for who in (cases.patient, np.arange(200), np.arange(200) % 199):
        whole = np.concatenate(list(bootstrap.replicate_counts(who, column, 2, seed, 50)))
        pieces = np.concatenate(list(bootstrap.replicate_counts(who, column, 2, seed, 50, block=1)))
        assert (whole == pieces).all()


@pytest.mark.parametrize(("name", "theirs"), [("wilson", "wilson"), ("clopper-pearson", "beta")])
def test_proportion_intervals_equal_statsmodels(name, theirs):
    for n in (1, 2, 10, 57):
        for x in range(n + 1):
            expected = proportion_confint(x, n, 0.1, theirs)
            found = proportions.proportion_interval(x, n, 0.9, name)
            assert [float(limit) for limit in found] == pytest.approx(list(expected), abs=1e-9)


def test_rates_equal_scikit_learn():
    reference, score, _ = sample(300)
    point = at_threshold(make_cases(reference, score), "half", 0.5, level=0.95, method="wilson")
    found = {estimate.metric: estimate.value for estimate in point.estimates}
    called = score >= 0.5
    ratios = metrics.class_likelihood_ratios(reference, called)
    assert (point.tn, point.fp, point.fn, point.tp) == tuple(
        metrics.confusion_matrix(reference, called).ravel()
    )
    assert found == pytest.approx(
        {
            "sensitivity": metrics.recall_score(reference, called),
            "specificity": metrics.recall_score(1 - reference, ~called),
            "ppv": metrics.precision_score(reference, called),
            "npv": metrics.precision_score(1 - reference, ~called),
            "lr_positive": ratios[0],
            "lr_negative": ratios[1],
            "f1": metrics.f1_score(reference, called),
            "balanced_accuracy": metrics.balanced_accuracy_score(reference, called),
            "mcc": metrics.matthews_corrcoef(reference, called),
        }
    )


@pytest.mark.parametrize("patients", [None, 80])
def test_rate_intervals_agree_with_the_bootstrap(patients):
    """Closed forms against a patient bootstrap of the confusion table."""
    reference, score, patient = sample(600, patients=patients, seed=3)
    cases = make_cases(reference, score, patient)
    point = at_threshold(cases, "half", 0.5, level=0.95, method="wilson")
    cell = 2 * cases.reference + (cases.score >= 0.5)
    seed = Seed(evaluation="e", metric="table")
    counts = np.concatenate(list(bootstrap.replicate_counts(cases.patient, cell, 4, seed, 4000)))
    tn, fp, fn, tp = counts.T
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    drawn = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "mcc": (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        "lr_positive": sensitivity / (1 - specificity),
        "lr_negative": (1 - sensitivity) / specificity,
    }
    for estimate in point.estimates:
        low, high = bootstrap.percentile_interval(drawn[estimate.metric], 0.95)
        assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.15), estimate.metric
        assert [estimate.low, estimate.high] == pytest.approx([low, high], abs=0.25 * (high - low)), (
            estimate.metric
        )


def test_likelihood_ratio_interval_is_simels_formula():
    reference = np.repeat([1, 0], [100, 100])
    score = np.repeat([1, 0, 1, 0], [80, 20, 27, 73])
    point = at_threshold(make_cases(reference, score), "x", 1, level=0.95, method="wilson")
    ratio = next(estimate for estimate in point.estimates if estimate.metric == "lr_positive")
    half = 1.959963984540054 * math.sqrt(1 / 80 - 1 / 100 + 1 / 27 - 1 / 100)
    assert [ratio.low, ratio.high] == pytest.approx([80 / 27 * math.exp(-half), 80 / 27 * math.exp(half)])


@pytest.mark.parametrize("patients", [None, 50])
def test_calibration_equals_statsmodels(patients):
    reference, score, patient = sample(400, patients=patients)
    cases = make_cases(reference, score, patient)
    clip = 0.0005
    logit = np.log(np.clip(score, clip, 1 - clip) / (1 - np.clip(score, clip, 1 - clip)))
    kind = {"cov_type": "cluster", "cov_kwds": {"groups": patient, "use_correction": False}}
    with_slope = sm.GLM(reference, sm.add_constant(logit), family=sm.families.Binomial()).fit(**kind)
    in_large = sm.GLM(reference, np.ones(400), offset=logit, family=sm.families.Binomial()).fit(**kind)
    k = np.unique(patient).size
    for found, fit, index in (
        (calibration.slope(cases, 0.95, clip), with_slope, 1),
        (calibration.intercept(cases, 0.95, clip), in_large, 0),
    ):
        assert found.value == pytest.approx(fit.params[index], abs=1e-7)
        error = (found.high - found.low) / 2 / 1.959963984540054
        assert error == pytest.approx(fit.bse[index] * math.sqrt(k / (k - 1)), rel=1e-6)


def test_brier_and_calibration_error():
    reference, score, _ = sample(400)
    cases = make_cases(reference, score)
    assert calibration.brier(cases, 0.95).value == pytest.approx(metrics.brier_score_loss(reference, score))
    found = calibration.expected_calibration_error(cases, 0.95, Seed(evaluation="e", metric="ece"), 500)
    number = np.minimum((score * 10 + 1e-9).astype(int), 9)
    expected = sum(
        (number == b).mean() * abs(score[number == b].mean() - reference[number == b].mean())
        for b in np.unique(number)
    )
    assert found.value == pytest.approx(expected)
    assert found.low < found.high
    curve = calibration.calibration_curve(cases, 0.95)
    assert sum(bin_.n for bin_ in curve.bins) == 400


def test_newcombe_5_solves_its_equation():
    # At 1 the equation reduces to (1-t) m n = z^2 t [1 + N*((1-t)/(2-t) + t/(1+t))].
    low, high = roc.newcombe_5(1.0, 10, 10, 0.95)
    z2, star = 1.959963984540054**2, 9.0
    right = z2 * low * (1 + star * ((1 - low) / (2 - low) + low / (1 + low)))
    assert ((1 - low) * 100, high) == (pytest.approx(right, rel=1e-9), 1.0)
    mirrored = roc.newcombe_5(0.0, 10, 10, 0.95)
    assert mirrored == pytest.approx((0.0, 1 - low))


def test_effective_size_equals_its_formula():
    _, score, patient = sample(300, patients=70)
    success = score >= 0.5
    n, everyone, p = success.size, np.unique(patient), success.mean()
    residual = [(success[patient == who] - p).sum() for who in everyone]
    k = everyone.size
    variance = k / (k - 1) * np.square(residual).sum() / n**2
    correction = (stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, k - 1)) ** 2
    codes = np.unique(patient, return_inverse=True)[1]
    found = proportions.effective_size(success, codes, 0.95)
    assert found == pytest.approx(p * (1 - p) / variance * correction, rel=1e-12)
    assert found < n
    # Without a difference between outcomes the patients are what is left.
    assert proportions.effective_size(np.ones(n, dtype=bool), codes, 0.95) == k
    # The curve's many thresholds at once give what each gives alone.
    order = np.argsort(-score, kind="stable")
    counts = np.array([(score >= t).sum() for t in (0.9, 0.5, 0.2)])
    alone = [proportions.effective_size(score >= t, codes, 0.95) for t in (0.9, 0.5, 0.2)]
    assert proportions.effective_sizes(codes[order], counts, 0.95) == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("patients", [None, 60])
def test_roc_curve_has_the_corners_and_a_band_around_them(patients):
    reference, score, patient = sample(300, patients=patients)
    curve = roc.roc_curve(make_cases(reference, score, patient), 0.95)
    rate, sensitivity, _ = metrics.roc_curve(reference, score, drop_intermediate=True)
    x, y = np.array(curve.false_positive_rate), np.array(curve.sensitivity)
    assert np.interp(rate, x, y)[[0, -1]] == pytest.approx([sensitivity[rate == 0].max(), 1.0])
    assert float(np.trapezoid(y, x)) == pytest.approx(metrics.roc_auc_score(reference, score))
    assert x.size <= rate.size
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)
    low, high = np.array(curve.band_low), np.array(curve.band_high)
    assert ((low <= y + 1e-12) & (y <= high + 1e-12)).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert high[0] > 0.0
    assert low[-1] < 1.0


def test_a_long_curve_is_thinned():
    random = np.random.default_rng(0)
    reference = random.random(20_000) < 0.3
    cases = make_cases(reference, random.normal(reference, 1.0))
    curve = roc.roc_curve(cases, 0.95)
    assert len(curve.sensitivity) <= roc.MAXIMUM_CORNERS + 2
    area = float(np.trapezoid(curve.sensitivity, curve.false_positive_rate))
    assert area == pytest.approx(roc.auroc(cases, 0.95).value, abs=1e-4)
    recall = precision_recall.precision_recall_curve(cases).recall
    assert len(recall) <= roc.MAXIMUM_CORNERS + 2
    assert recall[-1] == 1.0
