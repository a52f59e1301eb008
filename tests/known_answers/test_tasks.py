"""Known answers of tasks with classes, labels, grades, measurements, and of triage; each value names its source."""

import itertools
import math

import numpy as np
import pytest
import sklearn.metrics
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from sandbox.plan.analysis_section import PartialRange, Queue
from sandbox.scoring.agreement import agreement_weights, kappa
from sandbox.scoring.agreement_of_measurements import statistics_of, sums_by_patient
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import make_cases
from sandbox.scoring.class_auroc import hand_till_auroc, macro_auroc, micro_auroc
from sandbox.scoring.estimates import Basis
from sandbox.scoring.intended_use import net_benefit, predictive_values
from sandbox.scoring.measurement import limit_factors, lin_interval
from sandbox.scoring.partial_auroc import partial_auroc
from sandbox.scoring.queue_simulation import simulate, waits_alarms_first, waits_in_order
from sandbox.scoring.queue_waiting import mean_waits

# Bland and Altman 1986, Lancet 1:307, table 1: peak expiratory flow (l/min), first readings by the large Wright meter
# and the mini meter.
WRIGHT = np.array([494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427.0])
MINI = np.array([512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451.0])


def basis(n, patients=None):
    return Basis(n=n, positives=None, patients=patients or n, level=0.95)


def ratings(table):
    rows, columns = np.nonzero(table)
    counts = table[rows, columns]
    return np.repeat(rows, counts), np.repeat(columns, counts)


TABLES = (
    np.array([[44, 5, 1], [7, 20, 3], [9, 5, 6]]),
    np.array([[20, 5], [10, 15]]),
    np.array([[50, 8, 2, 0, 0], [6, 30, 9, 1, 0], [1, 8, 25, 7, 1], [0, 1, 6, 18, 4], [0, 0, 1, 3, 12]]),
)


@pytest.mark.parametrize("table", TABLES, ids=["three", "two", "five"])
@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_kappa_and_its_non_null_standard_error_are_statsmodels(table, weights):
    """statsmodels' ``cohens_kappa``: kappa and Fleiss, Cohen and Everitt's non-null standard error."""
    one, other = ratings(table)
    size, n = table.shape[0], int(table.sum())
    found = kappa("k", one, other, np.arange(n), agreement_weights(size, size, weights), basis(n))
    oracle = cohens_kappa(table, wt=None if weights == "none" else weights)
    assert found.value == pytest.approx(oracle.kappa, abs=1e-12)
    half = stats.norm.ppf(0.975) * oracle.std_kappa
    assert (found.low, found.high) == pytest.approx((oracle.kappa - half, oracle.kappa + half), abs=1e-12)


def test_kappa_of_a_table_by_hand():
    """po = 35/50, pe = (25 x 30 + 25 x 20)/2500 = 0.5: kappa 0.4."""
    one, other = ratings(np.array([[20, 5], [10, 15]]))
    found = kappa("k", one, other, np.arange(50), agreement_weights(2, 2, "none"), basis(50))
    assert found.value == pytest.approx(0.4, abs=1e-12)


@pytest.fixture(scope="module")
def classes():
    generator = np.random.default_rng(11)
    truth = generator.choice(4, 240, p=[0.5, 0.25, 0.15, 0.1])
    answers = generator.dirichlet(np.ones(4), 240) + 0.6 * np.eye(4)[truth]
    return truth, answers / answers.sum(axis=1, keepdims=True)


def test_aurocs_of_classes_are_scikit_learns(classes):
    """``roc_auc_score``: one against the rest, macro and micro; one against one is Hand and Till's M."""
    truth, answers = classes
    names, patient = ("a", "b", "c", "d"), np.arange(truth.size)
    macro = macro_auroc(answers, truth, patient, names, basis(truth.size))
    micro = micro_auroc(answers, truth, patient, basis(truth.size))
    pairs = hand_till_auroc(answers, truth, patient, names, basis(truth.size))
    oracle = sklearn.metrics.roc_auc_score
    assert macro.value == pytest.approx(oracle(truth, answers, multi_class="ovr", average="macro"), abs=1e-12)
    assert micro.value == pytest.approx(oracle(truth, answers, multi_class="ovr", average="micro"), abs=1e-12)
    assert pairs.value == pytest.approx(oracle(truth, answers, multi_class="ovo", average="macro"), abs=1e-12)


@pytest.mark.parametrize("estimator", [macro_auroc, hand_till_auroc])
def test_the_interval_of_a_mean_auroc_is_that_of_the_bootstrap(classes, estimator):
    """Standard error against 300 resamples of cases, made here."""
    truth, answers = classes
    names, n = ("a", "b", "c", "d"), truth.size
    found = estimator(answers, truth, np.arange(n), names, basis(n))
    generator = np.random.default_rng(1)
    kind = "ovr" if estimator is macro_auroc else "ovo"
    drawn = []
    for _ in range(300):
        chosen = generator.integers(0, n, n)
        drawn.append(sklearn.metrics.roc_auc_score(truth[chosen], answers[chosen], multi_class=kind))
    logit = math.log(found.high / (1 - found.high)) - math.log(found.low / (1 - found.low))
    error = logit / (2 * stats.norm.ppf(0.975)) * found.value * (1 - found.value)
    assert error == pytest.approx(np.std(drawn, ddof=1), rel=0.15)


@pytest.mark.parametrize("limit", [0.05, 0.1, 0.3, 1.0])
def test_the_corrected_partial_auroc_is_scikit_learns(limit):
    """``roc_auc_score(max_fpr=...)`` is McClish's standardised area."""
    generator = np.random.default_rng(2)
    truth = generator.random(200) < 0.4
    score = np.round(truth + generator.normal(0, 1, 200), 1)
    part = PartialRange(name="p", axis="false_positive_rate", low=0.0, high=limit)
    _, found = partial_auroc(make_cases(truth, score), part, 0.95, Seed(evaluation="e", metric="m"), 200)
    oracle = sklearn.metrics.roc_auc_score(truth, score, max_fpr=None if limit == 1 else limit)
    assert found.value == pytest.approx(oracle, abs=1e-12)


def test_a_partial_area_by_sensitivity_is_the_mirrored_one():
    """Swapping the classes and the sign of the score exchanges the axes (brute force)."""
    generator = np.random.default_rng(3)
    truth = generator.random(150) < 0.5
    score = np.round(truth + generator.normal(0, 1, 150), 1)
    seed = Seed(evaluation="e", metric="m")
    right = PartialRange(name="p", axis="sensitivity", low=0.8, high=1.0)
    upper = PartialRange(name="p", axis="false_positive_rate", low=0.0, high=0.2)
    by_sensitivity, _ = partial_auroc(make_cases(truth, score), right, 0.95, seed, 200)
    mirrored, _ = partial_auroc(make_cases(~truth, -score), upper, 0.95, seed, 200)
    assert by_sensitivity.value == pytest.approx(mirrored.value, abs=1e-12)


def test_bland_and_altmans_peak_flow_meters():
    """Bland and Altman 1986: mean difference -2.1 l/min, SD 38.8; with 2 SD the printed limits are -79.7 and 75.5."""
    sums = sums_by_patient(MINI, WRIGHT, np.arange(17)).sum(axis=0)
    found = statistics_of(sums, coverage_z=2.0, error_variance_ratio=1.0)
    assert float(found["bias"]) == pytest.approx(-2.1, abs=0.05)
    assert float(found["standard_deviation_of_differences"]) == pytest.approx(38.8, abs=0.05)
    # The paper rounds mean and SD before it adds them.
    assert float(found["lower_limit_of_agreement"]) == pytest.approx(-79.7, abs=0.15)
    assert float(found["upper_limit_of_agreement"]) == pytest.approx(75.5, abs=0.15)


def test_exact_limits_cover_and_come_near_bland_and_altmans():
    """The approximate standard error of a limit is sqrt(3 s^2 / n) (Bland and Altman 1986): close for large n."""
    near, far = limit_factors(1000, 1.959964, 0.95)
    half = 1.959964 * math.sqrt(1 / 1000 + 1.959964**2 / (2 * 999))
    assert (near, far) == pytest.approx((1.959964 - half, 1.959964 + half), abs=0.01)
    generator = np.random.default_rng(4)
    near, far = limit_factors(12, 1.959964, 0.95)
    drawn = generator.normal(0, 1, (20_000, 12))
    mean, deviation = drawn.mean(axis=1), drawn.std(axis=1, ddof=1)
    covered = np.mean((mean + near * deviation <= 1.959964) & (mean + far * deviation >= 1.959964))
    assert covered == pytest.approx(0.95, abs=0.006)


def test_concordance_and_icc_by_their_definitions():
    """Lin's coefficient with n as denominator, ICC by two-way analysis of variance, both written out here."""
    generator = np.random.default_rng(5)
    x = generator.normal(50, 10, 60)
    y = 0.9 * x + 6 + generator.normal(0, 4, 60)
    found = statistics_of(
        sums_by_patient(x, y, np.arange(60)).sum(axis=0), coverage_z=1.96, error_variance_ratio=1.0
    )
    covariance = np.cov(x, y, ddof=0)
    concordance = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (x.mean() - y.mean()) ** 2)
    assert float(found["concordance_correlation"]) == pytest.approx(concordance, abs=1e-12)
    both = np.column_stack((x, y))
    rows = 2 * both.mean(axis=1).var(ddof=1)
    columns = 60 * both.mean(axis=0).var(ddof=1)
    rest = both - both.mean(axis=1, keepdims=True) - both.mean(axis=0) + both.mean()
    error = (rest**2).sum() / 59
    assert float(found["icc_c1"]) == pytest.approx((rows - error) / (rows + error), abs=1e-10)
    absolute = (rows - error) / (rows + error + 2 * (columns - error) / 60)
    assert float(found["icc_a1"]) == pytest.approx(absolute, abs=1e-10)


def test_deming_is_the_total_least_squares_line_at_ratio_one():
    """Orthogonal regression: the first principal axis (numpy's eigenvectors)."""
    generator = np.random.default_rng(6)
    truth = generator.normal(0, 10, 80)
    x, y = truth + generator.normal(0, 2, 80), 1.2 * truth + 3 + generator.normal(0, 2, 80)
    found = statistics_of(
        sums_by_patient(x, y, np.arange(80)).sum(axis=0), coverage_z=1.96, error_variance_ratio=1.0
    )
    _, vectors = np.linalg.eigh(np.cov(x, y))
    slope = vectors[1, 1] / vectors[0, 1]
    assert float(found["deming_slope"]) == pytest.approx(slope, abs=1e-10)
    assert float(found["deming_intercept"]) == pytest.approx(y.mean() - slope * x.mean(), abs=1e-9)


def test_deming_becomes_ordinary_least_squares_when_the_reference_has_no_error():
    """As the error of the reference vanishes, Deming's slope tends to that of scipy's ``linregress``."""
    found = statistics_of(
        sums_by_patient(MINI, WRIGHT, np.arange(17)).sum(axis=0), coverage_z=1.96, error_variance_ratio=1e-8
    )
    assert float(found["deming_slope"]) == pytest.approx(stats.linregress(MINI, WRIGHT).slope, rel=1e-6)


def test_lins_interval_covers():
    """Coverage of the Fisher-z interval on bivariate normal pairs with a known concordance."""
    generator = np.random.default_rng(7)
    truth = 2 * 0.9 * 1.0 * 1.1 / (1.0 + 1.21 + 0.04)
    inside = 0
    for _ in range(1500):
        pairs = generator.multivariate_normal([0, 0.2], [[1.0, 0.99], [0.99, 1.21]], 40)
        low, high = lin_interval(pairs[:, 0], pairs[:, 1], 0.95)
        inside += low <= truth <= high
    assert inside / 1500 == pytest.approx(0.95, abs=0.02)


def test_predictive_values_at_a_prevalence():
    """Bayes by hand: Se 0.9, Sp 0.9 at 1 % give PPV 0.0833 and NPV 0.99888."""
    truth = np.repeat([True, False], [100, 100])
    called = np.concatenate((np.repeat([True, False], [90, 10]), np.repeat([True, False], [10, 90])))
    cases = make_cases(truth, called.astype(float))
    positive, negative = predictive_values(cases, cases.score >= 0.5, 0.01, 0.95)
    assert positive.value == pytest.approx(0.009 / (0.009 + 0.099), abs=1e-12)
    assert negative.value == pytest.approx(0.891 / (0.891 + 0.001), abs=1e-12)
    # Mercaldo, Lau and Zhou's variance of logit PPV: (1 - Se)/(Se n1) + Sp/((1 - Sp) n0).
    half = stats.norm.ppf(0.975) * math.sqrt(0.1 / 90 + 0.9 / 10)
    logit = math.log(positive.value / (1 - positive.value))
    assert positive.low == pytest.approx(1 / (1 + math.exp(half - logit)), abs=1e-12)


def test_net_benefit_by_its_definition():
    """Vickers and Elkin 2006: TP/n - FP/n t/(1-t), with 30 true and 20 false positives of 100 at t = 0.2."""
    truth = np.repeat([True, False], [40, 60])
    called = np.concatenate((np.repeat([True, False], [30, 10]), np.repeat([True, False], [20, 40])))
    cases = make_cases(truth, called.astype(float))
    found = net_benefit(cases, cases.score >= 0.5, 0.2, 0.95)
    assert found.value == pytest.approx(0.30 - 0.20 * 0.25, abs=1e-12)


def queue(**changes):
    plain = {
        "operating_point": "x",
        "arrivals_per_hour": 4.0,
        "prevalence": 0.2,
        "diseased": {"mean_minutes": 10.0},
        "non_diseased": {"mean_minutes": 10.0},
    }
    return Queue.model_validate({**plain, **changes})


def test_the_queue_without_a_device_is_m_m_1():
    """M/M/1: mean wait rho / (mu - lambda); with rho = 2/3 and 10 minutes a read it is 20 minutes."""
    assert float(mean_waits(queue(), 0.5, 0.5).without) == pytest.approx(20.0, abs=1e-12)
    # Constant reading times (M/D/1) halve the wait.
    constant = queue(
        diseased={"mean_minutes": 10.0, "variation": 0}, non_diseased={"mean_minutes": 10.0, "variation": 0}
    )
    assert float(mean_waits(constant, 0.5, 0.5).without) == pytest.approx(10.0, abs=1e-12)


def test_a_perfect_device_that_interrupts_is_an_m_m_1_of_alarms():
    """Preemptive resume: alarms see only alarms, rho_a / (mu - lambda_a) (Kleinrock 1976, section 3.4)."""
    found = mean_waits(queue(interrupt=True), 1.0, 1.0)
    rate = 4 / 60 * 0.2
    assert float(found.diseased) == pytest.approx((rate * 10) / (0.1 - rate), abs=1e-12)


@pytest.mark.parametrize(("se", "sp"), list(itertools.product((0.0, 0.4, 1.0), (0.0, 0.7, 1.0))))
def test_waits_are_conserved(se, sp):
    """Kleinrock's conservation law: without interruption the waits weighted by load add up to those in order."""
    plan = queue(diseased={"mean_minutes": 14.0, "variation": 0.5}, non_diseased={"mean_minutes": 9.0})
    found = mean_waits(plan, se, sp)
    loads = (0.2 * 14, 0.8 * 9)
    # A class's load times its wait, over reads that do not depend on the order.
    if se in (0.0, 1.0) and sp in (0.0, 1.0):
        total = loads[0] * found.diseased + loads[1] * found.non_diseased
        assert float(total / sum(loads)) == pytest.approx(float(found.without), rel=1e-12)
    assert np.isfinite(found.saved_diseased)


@pytest.mark.parametrize("interrupt", [False, True])
def test_closed_form_and_simulation_agree(interrupt):
    plan = queue(
        interrupt=interrupt,
        diseased={"mean_minutes": 14.0},
        non_diseased={"mean_minutes": 8.0, "variation": 0.5},
        simulated_cases=200_000,
    )
    closed = mean_waits(plan, 0.9, 0.8)
    saved, added = simulate(plan, 0.9, 0.8, 0.999, Seed(evaluation="e", metric="waits"))
    assert saved.low <= float(closed.saved_diseased) <= saved.high
    assert added.low <= float(closed.added_non_diseased) <= added.high


def test_lindleys_recursion_is_the_loop():
    """Waits in order, by the event loop with no alarm at all."""
    generator = np.random.default_rng(8)
    arrival, reading = np.cumsum(generator.exponential(12, 500)), generator.exponential(10, 500)
    loop = waits_alarms_first(arrival, reading, np.zeros(500, dtype=bool), interrupt=False)
    assert waits_in_order(arrival, reading) == pytest.approx(loop, abs=1e-8)
