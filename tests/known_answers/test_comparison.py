"""Two submissions on the same cases: published values, oracles, what must hold always."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from sandbox.errors import ScoringError
from sandbox.scoring.comparison.paired import compare_aurocs, compare_rates, inferiority, mcnemar, tango


def test_mcnemar_of_fagerland_2013():
    # M. W. Fagerland, S. Lydersen, P. Laake, BMC Med Res Methodol 2013;13:91, airway hyper-responsiveness
    # before and after stem cell transplantation: 1 and 7 discordant pairs; exact 0.0703, mid-p 0.0391.
    exact, mid = mcnemar(1, 7)
    assert (round(exact, 4), round(mid, 4)) == (0.0703, 0.0391)


def test_tango_of_fagerland_2014():
    # The same authors, Stat Med 2014;33:2850, same data of 21 pairs: -0.286, Tango -0.517 to -0.026.
    low, high = tango(1, 7, 21, 0.95)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


def test_tango_has_width_without_a_discordant_pair():
    # Closed form z^2 / (n + z^2): 54 pairs without a difference give 0.066 to both sides.
    low, high = tango(0, 0, 54, 0.95)
    assert (round(low, 3), round(high, 3)) == (-0.066, 0.066)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_statsmodels(b, c):
    exact, mid = mcnemar(b, c)
    assert exact == pytest.approx(statsmodels_mcnemar([[5, b], [c, 5]], exact=True).pvalue)
    assert mid <= exact + 1e-12


@given(st.integers(0, 25), st.integers(0, 25), st.integers(1, 40))
def test_tango_is_where_the_constrained_likelihood_puts_it(b, c, equal):
    n = b + c + equal
    low, high = tango(b, c, n, 0.95)
    assert -1 <= low <= (b - c) / n <= high <= 1
    assert tango(c, b, n, 0.95) == pytest.approx((-high, -low), abs=1e-8)
    for limit in (low, high):

        def minus_log(q, delta=limit):
            cells = np.array([q + delta, q, 1 - 2 * q - delta])
            return -float((np.array([b, c, equal]) * np.log(np.maximum(cells, 1e-300))).sum())

        ends = max(0.0, -limit), (1 - limit) / 2
        q = optimize.minimize_scalar(minus_log, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
        variance = 2 * q + limit - limit**2
        assert ((b - c) / n - limit) ** 2 * n == pytest.approx(3.841459 * variance, rel=1e-3, abs=1e-5)


def worlds(seed, n=80):
    random = np.random.default_rng(seed)
    truth = np.arange(n) < n // 3
    shared = random.normal(truth * 1.0, 1)
    return (
        truth,
        np.round(shared + random.normal(0, 0.5, n), 1),
        np.round(shared + random.normal(0, 0.9, n), 1),
    )


@given(st.integers(0, 10_000))
def test_paired_delong_agrees_with_its_definition(seed):
    truth, first, second = worlds(seed)
    kernel = [
        (s[truth][:, None] > s[~truth]) + 0.5 * (s[truth][:, None] == s[~truth]) for s in (first, second)
    ]
    s10 = np.cov([k.mean(axis=1) for k in kernel]) / truth.sum()
    s01 = np.cov([k.mean(axis=0) for k in kernel]) / (~truth).sum()
    contrast = np.array([1, -1])
    found = compare_aurocs(truth, first, second)
    value = kernel[0].mean() - kernel[1].mean()
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.statistic == pytest.approx(value / np.sqrt(contrast @ (s10 + s01) @ contrast))
    turned = compare_aurocs(truth, second, first)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_copies_of_cases_add_nothing():
    truth, first, second = worlds(3)
    once = compare_aurocs(truth, first, second)
    twice = compare_aurocs(*(np.repeat(x, 2) for x in (truth, first, second)), np.repeat(np.arange(80), 2))
    assert twice.statistic == pytest.approx(once.statistic, rel=0.02)
    assert compare_aurocs(*(np.repeat(x, 2) for x in (truth, first, second))).p < once.p
    rates = compare_rates(first > 0.5, second > 0.5)
    again = compare_rates(*(np.repeat(x > 0.5, 2) for x in (first, second)), np.repeat(np.arange(80), 2))
    assert again.value == rates.value
    assert (again.low, again.high) == pytest.approx((rates.low, rates.high), abs=0.02)


def test_non_inferiority_is_read_off_the_interval():
    truth = np.ones(400, dtype=bool)
    same = compare_rates(truth, truth)
    assert inferiority(same, 0.05) == "non_inferior"
    worse = compare_rates(np.arange(400) < 300, truth)
    assert inferiority(worse, 0.05) == "inferior"
    assert inferiority(compare_rates(truth, np.arange(400) < 300), 0.05) == "superior"
    assert inferiority(compare_rates(truth[:20], truth[:20]), 0.05) == "cannot_tell"
    with pytest.raises(ScoringError, match="above 0"):
        inferiority(same, 0.0)


def test_the_same_scores_show_no_variation_and_no_interval():
    truth, first, _ = worlds(1)
    found = compare_aurocs(truth, first, first)
    assert (found.value, found.low, found.p) == (0.0, None, None)
    assert inferiority(found, 0.05) == "cannot_tell"


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ScoringError, match="differ in length"):
        compare_aurocs([0, 1, 1], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [1, 2])
    with pytest.raises(ScoringError, match="positive and a negative"):
        compare_aurocs([1, 1], [0.1, 0.2], [0.1, 0.2])
    with pytest.raises(ScoringError, match="same cases"):
        compare_rates([1, 0], [1])
