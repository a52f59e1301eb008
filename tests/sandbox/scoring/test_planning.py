"""What a hold-out can support: against simulation and brute force."""

import math

import numpy as np
import pytest
from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring import roc
from sandbox.scoring.cases import make_cases
from sandbox.scoring.planning.detectable_gap import auroc_gap, rate_gap, rate_power
from sandbox.scoring.planning.learning_curve import fit_learning_curve
from sandbox.scoring.planning.precision import (
    auroc_variance,
    auroc_width,
    cases_for_bound,
    chance_of_clearing,
    expected_width,
    positives_for_auroc_bound,
)
from sandbox.scoring.planning.support import Conjecture, Counts, support
from sandbox.scoring.proportions import wilson


def test_expected_width_by_simulation():
    drawn = np.random.default_rng(1).binomial(60, 0.9, 20_000)
    low, high = wilson(drawn, np.full(drawn.size, 60.0), 0.95)
    assert expected_width(0.9, 60) == pytest.approx(float((high - low).mean()), abs=5e-4)
    assert expected_width(0.9, 0.4) is None


@pytest.mark.parametrize(("value", "margin"), [(0.9, 0.8), (0.95, 0.85), (0.7, 0.6)])
def test_cases_for_a_bound_are_enough_from_there_on(value, margin):
    n = cases_for_bound(value, margin, 0.8)
    assert chance_of_clearing(value, margin, n - 1) < 0.8
    assert all(chance_of_clearing(value, margin, n + more) >= 0.8 for more in range(60))
    with pytest.raises(ScoringError, match="above the margin"):
        cases_for_bound(margin, value, 0.8)


def test_hanley_mcneil_variance_is_that_of_exponential_scores():
    # P(S+ > S-) = rate / (1 + rate) for exponential scores with means rate and 1.
    random = np.random.default_rng(2)
    value, m, n = 0.85, 30, 50
    over = random.exponential(value / (1 - value), (4000, m))
    under = random.exponential(1.0, (4000, n))
    aurocs = [(a[:, None] > b).mean() for a, b in zip(over, under, strict=True)]
    assert np.mean(aurocs) == pytest.approx(value, abs=0.003)
    assert auroc_variance(value, m, n) == pytest.approx(np.var(aurocs), rel=0.08)


def test_obuchowski_variance_is_a_careful_one_for_binormal_scores():
    random = np.random.default_rng(3)
    value, m, n = 0.85, 40, 40
    over = random.normal(stats.norm.ppf(value) * math.sqrt(2), 1, (4000, m))
    aurocs = [(a[:, None] > b).mean() for a, b in zip(over, random.normal(size=(4000, n)), strict=True)]
    assert 1.0 < auroc_variance(value, m, n, "obuchowski") / np.var(aurocs) < 1.5


def test_expected_auroc_width_is_what_scoring_gives():
    random = np.random.default_rng(4)
    widths = []
    for _ in range(300):
        score = np.concatenate((random.exponential(0.85 / 0.15, 40), random.exponential(1.0, 80)))
        found = roc.auroc(make_cases(np.arange(120) < 40, score), 0.95)
        widths.append(found.high - found.low)
    assert auroc_width(0.85, 40, 80) == pytest.approx(np.mean(widths), rel=0.08)
    needed = positives_for_auroc_bound(0.85, 0.8, 0.8, 2.0)
    assert needed > positives_for_auroc_bound(0.9, 0.8, 0.8, 2.0)


def test_the_detectable_gap_has_its_power_in_simulation():
    gap = rate_gap(0.9, 80, 300)
    assert rate_power(0.9, gap, 80, 300) == pytest.approx(0.8, abs=1e-3)
    random = np.random.default_rng(5)
    x, y = random.binomial(80, 0.9 - gap, 8000) / 80, random.binomial(300, 0.9, 8000) / 300
    pooled = (80 * x + 300 * y) / 380
    z = (y - x) / np.sqrt(pooled * (1 - pooled) * (1 / 80 + 1 / 300))
    assert (z > 1.96).mean() == pytest.approx(0.8, abs=0.04)
    assert rate_gap(0.9, 80, 300, comparisons=10) > gap
    assert rate_gap(0.5, 2, 300) is None
    assert auroc_gap(0.85, 60, 60, 200, 200) > auroc_gap(0.85, 200, 200, 200, 200)
    assert auroc_gap(0.85, 2, 2, 200, 200) is None


def test_a_learning_curve_is_found_again():
    n = np.array([50, 100, 200, 400, 800, 1600])
    exact = 0.92 - 1.5 * n**-0.5
    found = fit_learning_curve(n, exact, [3200, 10_000])
    assert (found.limit, found.b, found.c) == pytest.approx((0.92, 1.5, -0.5), abs=1e-3)
    assert found.predictions[0].value == pytest.approx(0.92 - 1.5 * 3200**-0.5, abs=1e-4)
    assert found.predictions[1].value is None
    noisy = exact + np.random.default_rng(6).normal(0, 0.003, n.size)
    first = fit_learning_curve(n, noisy, [3200]).predictions[0]
    assert first.low < 0.92 - 1.5 * 3200**-0.5 < first.high
    with pytest.raises(ScoringError, match="five points"):
        fit_learning_curve(n[:4], exact[:4], [100])


def test_support_says_what_cannot_be_shown():
    whole = Counts(stratum=None, level=None, positives=100, negatives=400, patients=250)
    groups = [
        Counts(stratum="sex", level="F", positives=50, negatives=200, patients=125),
        Counts(stratum="site", level="tiny", positives=1, negatives=3, patients=2),
    ]
    found = support(whole, groups, Conjecture(margin=0.75, auroc_margin=0.8))
    assert found.overall.design_effect == pytest.approx(1.5)
    assert found.groups[0].sensitivity_gap < 0.5
    assert found.groups[1].auroc_gap is None
    assert found.groups[1].auroc_width is None
    assert [bound.metric for bound in found.bounds] == ["sensitivity", "specificity", "auroc"]
    assert found.comparisons == 2
