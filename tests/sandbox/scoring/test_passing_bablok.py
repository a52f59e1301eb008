"""Passing and Bablok's line against a brute force over all pairs, and what must not change it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sandbox.scoring import passing_bablok as module
from sandbox.scoring.passing_bablok import passing_bablok
from sandbox.scoring.score import score
from tests.sandbox.scoring import task_tables

WHOLE = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=25)


def brute(x, y, level):
    """Every slope in a list, sorted; ranks as the paper counts them."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    moves = [(x[j] - x[i], y[j] - y[i]) for i, j in pairs]
    slopes = sorted(abs(dy / dx) if dx else math.inf for dx, dy in moves if dx or dy)
    balance = sum(np.sign(dx * dy) for dx, dy in moves)
    n, count = len(x), len(slopes)
    if (
        not slopes
        or balance <= 0
        or not math.isfinite(slope := (slopes[(count - 1) // 2] + slopes[count // 2]) / 2)
    ):
        return None
    reach = stats.norm.ppf((1 + level) / 2) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    first = round((count - reach) / 2)
    limits = (slopes[first - 1], slopes[count - first]) if first >= 1 else (math.nan, math.nan)
    return slope, *limits, np.median(y - slope * x)


@given(WHOLE, st.floats(0.5, 0.99))
def test_it_is_the_brute_force_with_ties_and_upright_pairs(points, level):
    x, y = np.array(points, dtype=float).T
    expected, line = brute(x, y, level), passing_bablok(x, y, level)
    if expected is None:
        assert math.isnan(line.slope)
        return
    found = (line.slope, line.slope_low, line.slope_high, line.intercept)
    assert found == pytest.approx(expected, nan_ok=True)


def test_blocks_and_a_misleading_sample_change_nothing(monkeypatch):
    random = np.random.default_rng(2)
    x = random.normal(80, 10, 300)
    y = 1.2 * x + random.normal(0, 5, 300)
    whole = passing_bablok(x, y, 0.95)
    assert (whole.slope, whole.slope_low) == pytest.approx(brute(x, y, 0.95)[:2])
    monkeypatch.setattr(module, "_BLOCK", 700)
    monkeypatch.setattr(module, "_SAMPLE", 20)
    assert passing_bablok(x, y, 0.95) == whole


@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(-50, 50))
def test_changing_places_units_and_zeros(seed, unit, zero):
    random = np.random.default_rng(seed)
    x = random.normal(50, 10, 40)
    y = 0.9 * x + random.normal(0, 3, 40)
    line, turned = passing_bablok(x, y, 0.95), passing_bablok(y, x, 0.95)
    # An even number of slopes has two middle ones, whose mean and inverse are not quite the same.
    assert turned.slope == pytest.approx(1 / line.slope, rel=5e-3)
    assert (turned.slope_low, turned.slope_high) == pytest.approx((1 / line.slope_high, 1 / line.slope_low))
    moved = passing_bablok(unit * x + zero, unit * y + zero, 0.95)
    assert moved.slope == pytest.approx(line.slope)
    assert moved.slope_low == pytest.approx(line.slope_low)


def test_the_interval_covers_the_true_slope():
    random = np.random.default_rng(7)
    inside = 0
    for _ in range(400):
        true = random.normal(100, 20, 60)
        x, y = true + random.normal(0, 4, 60), 1.1 * true + random.normal(0, 4.4, 60)
        line = passing_bablok(x, y, 0.95)
        inside += line.slope_low <= 1.1 <= line.slope_high
    assert 0.92 <= inside / 400 <= 0.98


def test_what_results_say_of_it():
    plan = task_tables.measurement_plan()
    found = {
        e.metric: e for e in score(task_tables.measurement_table(slope=1.1), plan, "e").analysis().estimates
    }
    slope = found["passing_bablok_slope"]
    assert slope.low < 1.1 < slope.high
    assert slope.value == pytest.approx(found["deming_slope"].value, abs=0.1)
    clustered = score(task_tables.measurement_table(per_patient=2), plan, "e").analysis().estimates
    alone = next(each for each in clustered if each.metric == "passing_bablok_slope")
    assert (alone.low, alone.status) == (None, "ok")
    assert "several cases" in alone.reason
    falling = score(task_tables.measurement_table(slope=-1.0), plan, "e").analysis().estimates
    assert next(each for each in falling if each.metric == "passing_bablok_slope").status == "undefined"
