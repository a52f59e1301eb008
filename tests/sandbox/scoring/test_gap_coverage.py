"""Short simulations without any gap: what chance gives is what is foretold, and false gaps stay rare.

Expected figures for twenty groups with one sensitivity of 0.90: the project's statistics reference, section 5
(mean of highest minus lowest, its 95th percentile, share of hold-outs in which an unadjusted test flags).
"""

import numpy as np
import pytest

from tests.sandbox.scoring import group_worlds
from tests.sandbox.scoring.group_worlds import family, gaps, pick

RUNS = 120


@pytest.fixture
def only(monkeypatch):
    """Compare one metric, for speed."""
    whole = group_worlds.outcomes

    def restrict(metric):
        monkeypatch.setattr(
            group_worlds,
            "outcomes",
            lambda *a, **k: tuple(each for each in whole(*a, **k) if each.metric == metric),
        )

    return restrict


@pytest.mark.parametrize(
    ("n", "expected", "percentile"), [(20, 0.235, 0.300), (50, 0.156, 0.200), (100, 0.112, 0.150)]
)
def test_twenty_equal_groups(only, n, expected, percentile):
    only("sensitivity")
    random = np.random.default_rng(n)
    group = np.repeat(np.arange(20), n)
    flags, spreads, chances = np.zeros(3), [], []
    for run in range(RUNS):
        values = (random.random(20 * n) < 0.9) * 0.8 + 0.1
        stratum = pick(gaps(np.ones(20 * n), values, group, evaluation=f"run-{run}"), "sensitivity")
        flags += [
            min(gap.p for gap in stratum.gaps) <= 0.05,
            min(gap.p_holm for gap in stratum.gaps) <= 0.05,
            any(gap.verdict == "gap_shown" for gap in stratum.gaps),
        ]
        spreads.append(stratum.chance.spread)
        chances.append((stratum.chance.spread_expected, stratum.chance.spread_percentile_95))
    assert np.mean(spreads) == pytest.approx(expected, rel=0.06)
    # Of 20 cases a rate moves in steps of 0.05, and so does the percentile.
    assert np.mean(chances, axis=0) == pytest.approx((expected, percentile), rel=0.08)
    raw, holm, shown = flags / RUNS
    assert 0.45 <= raw <= 0.78
    assert holm <= 0.14
    assert shown <= 0.10


@pytest.mark.parametrize("metric", ["auroc", "sensitivity", "calibration_in_the_large"])
@pytest.mark.parametrize("shared", [False, True])
def test_clustered_groups_without_a_gap(only, metric, shared):
    only(metric)
    random = np.random.default_rng(11)
    patient = np.repeat(np.arange(120), 4)
    covered, shown, below = [], 0, 0
    for run in range(RUNS):
        reference = random.random(480) < 0.4
        own = random.normal(0, np.sqrt(0.5), 120)[patient]
        values = 1 / (1 + np.exp(-(own + random.normal(1.5 * reference - 0.75, np.sqrt(0.5)))))
        group = random.integers(0, 5, 480) if shared else random.integers(0, 5, 120)[patient]
        bias = gaps(reference, values, group, patient, evaluation=f"run-{run}")
        stratum = pick(bias, metric)
        covered += [gap.low <= 0 <= gap.high for gap in stratum.gaps]
        shown += family(bias, metric).verdict == "gap_shown"
        below += stratum.chance.largest <= stratum.chance.percentile_95
    assert 0.92 <= np.mean(covered) <= 0.98
    assert shown / RUNS <= 0.10
    assert 0.89 <= below / RUNS <= 0.995


def test_small_groups_ranked_nearly_perfectly(only):
    only("auroc")
    random = np.random.default_rng(5)
    group = np.repeat(np.arange(8), 20)
    reference = np.tile(np.arange(20) < 10, 8)
    covered, shown, below = [], 0, 0
    for run in range(RUNS):
        values = 1 / (1 + np.exp(-random.normal(2.33 * reference - 1.2, 1)))
        stratum = pick(gaps(reference, values, group, evaluation=f"run-{run}"), "auroc")
        covered += [gap.low <= 0 <= gap.high for gap in stratum.gaps]
        shown += any(gap.verdict == "gap_shown" for gap in stratum.gaps)
        below += stratum.chance.largest <= stratum.chance.percentile_95
    assert 0.92 <= np.mean(covered) <= 0.99
    assert shown / RUNS <= 0.10
    assert 0.88 <= below / RUNS <= 0.995


def test_a_gap_that_is_there_is_found_and_covered(only):
    only("sensitivity")
    random = np.random.default_rng(6)
    group = np.repeat(np.arange(4), 150)
    found, covered = 0, 0
    for run in range(RUNS):
        values = (random.random(600) < np.where(group == 0, 0.65, 0.88)) * 0.8 + 0.1
        gap = pick(gaps(np.ones(600), values, group, evaluation=f"run-{run}"), "sensitivity").gaps[0]
        found += gap.verdict == "gap_shown"
        covered += gap.simultaneous_low <= 0.65 - 0.88 <= gap.simultaneous_high
    assert found / RUNS >= 0.95
    assert covered / RUNS >= 0.95
