"""Gaps between groups: oracles, what must hold always, small groups, verdicts."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from sandbox.outcome import results
from sandbox.scoring import roc
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import make_cases
from sandbox.scoring.differences import newcombe
from sandbox.scoring.multiplicity import family_p, holm, largest_statistics, spread_of
from sandbox.scoring.proportions import effective_size
from sandbox.scoring.score import score
from sandbox.scoring.shrinkage import intraclass_correlation, shrink_rates
from sandbox.scoring.sides import effective_size as effective_size_of_side
from tests.sandbox.scoring.group_worlds import family, gaps, pick
from tests.sandbox.scoring.test_score import protocol as score_protocol
from tests.sandbox.scoring.test_score import table


def world(seed=1, n=900, groups=4, **more):
    random = np.random.default_rng(seed)
    reference = random.random(n) < 0.4
    values = 1 / (1 + np.exp(-random.normal(1.6 * reference - 0.8, 1)))
    return reference, values, random.integers(0, groups, n)


@given(st.integers(1, 200), st.integers(1, 200), st.data(), st.floats(0.6, 0.995))
def test_newcombe_agrees_with_statsmodels(n1, n2, data, level):
    x1, x2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    oracle = confint_proportions_2indep(x1, n1, x2, n2, method="newcomb", alpha=1 - level)
    assert newcombe(x1, n1, x2, n2, level) == pytest.approx(oracle, abs=1e-9)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=30))
def test_holm_agrees_with_statsmodels_and_stays_below_bonferroni(p):
    adjusted = holm(p)
    assert adjusted == pytest.approx(multipletests(p, method="holm")[1])
    assert all(a <= min(1, len(p) * b) + 1e-12 for a, b in zip(adjusted, p, strict=True))


def test_rates_of_independent_cases_agree_with_statsmodels_and_pearson():
    reference, values, group = world()
    stratum = pick(gaps(reference, values, group), "sensitivity")
    called = values >= 0.5
    table_ = [
        [np.sum(called[reference & (group == g)]), np.sum(~called[reference & (group == g)])]
        for g in range(4)
    ]
    pearson = stats.chi2_contingency(np.array(table_), correction=False)
    assert stratum.heterogeneity.statistic == pytest.approx(pearson.statistic)
    assert stratum.heterogeneity.p == pytest.approx(pearson.pvalue)
    for gap in stratum.gaps:
        k, n = [gap.group.successes, gap.against.successes], [gap.group.n, gap.against.n]
        z, p = proportions_ztest(k, n)
        assert (gap.statistic, gap.p) == pytest.approx((z, p))
        oracle = confint_proportions_2indep(k[0], n[0], k[1], n[1], method="newcomb")
        assert (gap.low, gap.high) == pytest.approx(oracle)
        assert sum(n) == reference.sum()


def test_auroc_gap_is_the_unpaired_delong_of_its_sides():
    reference, values, group = world(groups=2)
    gap = pick(gaps(reference, values, group), "auroc").gaps[0]
    sides, variances = [], []
    for g in (int(gap.group.name), int(gap.against.name)):
        inside = group == g
        cases = make_cases(reference[inside], values[inside])
        found = roc.auroc(cases, 0.95)
        wins_positive, wins_negative = roc.win_shares(cases)
        variance = wins_positive.var(ddof=1) / cases.positives + wins_negative.var(ddof=1) / cases.negatives
        sides.append(found)
        variances.append(variance / (found.value * (1 - found.value)) ** 2)
    a, b = sides
    logits = np.log([a.value / (1 - a.value), b.value / (1 - b.value)])
    assert gap.statistic == pytest.approx((logits[0] - logits[1]) / np.sqrt(sum(variances)))
    low = np.hypot(a.value - a.low, b.high - b.value)
    assert gap.low == pytest.approx(a.value - b.value - low)
    assert gap.value == pytest.approx(a.value - b.value)


def test_calibration_gap_agrees_with_welch():
    reference, values, group = world(groups=2)
    gap = pick(gaps(reference, values, group), "calibration_in_the_large").gaps[0]
    excess = reference - values
    first, second = (excess[group == int(side.name)] for side in (gap.group, gap.against))
    assert gap.p == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue)


def test_two_levels_make_one_gap_and_a_reference_level_is_what_others_are_held_against():
    reference, values, group = world(groups=3)
    two = pick(gaps(reference, values, group == 0), "auroc")
    assert len(two.gaps) == 1
    assert two.gaps[0].against.name in ("00", "01")
    strata = [{"attribute": "group", "reference": "01"}]
    held = pick(gaps(reference, values, group, strata=strata), "sensitivity")
    assert [(gap.group.name, gap.against.name) for gap in held.gaps] == [("00", "01"), ("02", "01")]
    missing = gaps(reference, values, group, strata=[{"attribute": "group", "reference": "09"}])
    assert not missing.families
    assert {s.reason for s in missing.strata} == {"The reference level 09 does not occur."}


def test_copies_of_a_patients_case_change_no_statistic():
    reference, values, group = world(n=400, groups=3)
    once = gaps(reference, values, group)
    twice = gaps(*(np.repeat(x, 2) for x in (reference, values, group)), np.repeat(np.arange(400), 2))
    for metric in ("sensitivity", "auroc", "calibration_in_the_large"):
        for a, b in zip(pick(once, metric).gaps, pick(twice, metric).gaps, strict=True):
            assert b.statistic == pytest.approx(a.statistic, rel=0.02)
            assert (b.low, b.high) == pytest.approx((a.low, a.high), abs=0.01)


def test_cases_of_a_patient_in_two_groups_narrow_their_gap():
    random = np.random.default_rng(4)
    patient = np.repeat(np.arange(300), 2)
    group = np.tile([0, 1], 300)
    reference = np.repeat(random.random(300) < 0.5, 2)
    own = np.repeat(random.normal(0, 1.5, 300), 2)
    values = 1 / (1 + np.exp(-(own + random.normal(1.0 * reference, 0.5))))
    paired = gaps(reference, values, group, patient)
    apart = gaps(reference, values, group)
    for metric in ("sensitivity", "auroc"):
        a, b = pick(paired, metric).gaps[0], pick(apart, metric).gaps[0]
        assert a.value == b.value
        assert a.high - a.low < 0.8 * (b.high - b.low)
        assert abs(a.statistic) > abs(b.statistic)


def test_small_levels_are_counted_and_left_out_with_a_reason():
    reference, values, group = world(n=300, groups=3)
    group[:4] = 7
    stratum = pick(gaps(reference, values, group), "sensitivity")
    left = stratum.left_out[0]
    assert (left.level, left.n) == ("07", int(reference[:4].sum()))
    assert left.reason.startswith("Too few for a comparison: ")
    assert [gap.group.name for gap in stratum.gaps] == ["00", "01", "02"]
    assert "07" in {each.level for each in stratum.shrinkage.levels}


def test_a_single_level_or_no_positive_gives_reasons_not_numbers():
    reference, values, _ = world(n=80)
    alone = gaps(reference, values, np.zeros(80, dtype=int))
    assert {s.reason for s in alone.strata} == {"There is only one level."}
    none = gaps(np.zeros(80), values, np.arange(80) % 2)
    assert pick(none, "auroc").reason == "There is only one level." or pick(none, "auroc").reason
    assert not pick(none, "sensitivity").gaps
    assert pick(none, "specificity").gaps


@pytest.mark.filterwarnings("error")
def test_perfect_and_failed_groups_have_finite_numbers():
    reference, values, group = world(n=240, groups=3)
    values = np.where(group == 0, np.where(reference, 0.9, 0.1), values)
    failed = (group == 1) & (np.arange(240) % 3 == 0)
    for rule in ("worst_case", "excluded"):
        bias = gaps(reference, values, group, failed=failed, rule=rule)
        for stratum in bias.strata:
            for gap in stratum.gaps:
                numbers = [v for v in dataclasses.asdict(gap).values() if isinstance(v, float)]
                assert np.isfinite(numbers).all()
                assert gap.simultaneous_low <= gap.low <= gap.value <= gap.high <= gap.simultaneous_high
        worst = pick(bias, "failure_rate").gaps[1]
        assert worst.verdict == "gap_shown"


def test_verdicts_follow_the_margin():
    random = np.random.default_rng(8)
    n = 12_000
    reference, group = random.random(n) < 0.5, random.integers(0, 2, n)
    values = np.where(random.random(n) < np.where(group == 0, 0.90, 0.87), reference, ~reference) * 0.8 + 0.1
    for margin, verdict in ((0.08, "within_margin"), (0.02, "gap_shown"), (None, "gap_shown")):
        changes = {} if margin is None else {"bias": {"margin": margin}}
        bias = gaps(reference, values, group, **changes)
        assert family(bias, "sensitivity").verdict == verdict
    assert pick(gaps(reference, values, group, bias={"margin": 0.02}), "auroc").gaps[0].beyond_margin is False
    few = gaps(reference[:200], values[:200], group[:200], bias={"margin": 0.05})
    assert family(few, "sensitivity").verdict == "cannot_tell"


def test_equalised_odds_is_the_larger_of_its_two_gaps():
    bias = gaps(*world())
    for each in bias.equalised_odds:
        pair = [
            next(gap for gap in pick(bias, metric).gaps if gap.group.name == each.level)
            for metric in ("sensitivity", "specificity")
        ]
        assert each.gap == max(abs(gap.value) for gap in pair)
    assert len(bias.equalised_odds) == 4


def test_max_t_gives_nothing_away_for_the_same_stratum_twice():
    reference, values, group = world()
    once = gaps(reference, values, group, intervals={"bootstrap_replicates": 2000})
    twice = gaps(
        reference, values, {"group": group, "again": group}, intervals={"bootstrap_replicates": 2000}
    )
    for metric in ("sensitivity", "auroc"):
        assert family(twice, metric).comparisons == 2 * family(once, metric).comparisons
        assert family(twice, metric).critical == pytest.approx(family(once, metric).critical, abs=0.02)


def test_max_t_of_independent_statistics_is_that_of_sidak():
    random = np.random.default_rng(2)
    for patients in (4000, 30_000):
        spread = spread_of(random.standard_normal((patients, 8)), Seed(evaluation="e", metric="m"))
        largest = largest_statistics([spread], Seed(evaluation="e", metric="w"), 4000)[0]
        sidak = stats.norm.isf((1 - 0.95 ** (1 / 8)) / 2)
        assert np.quantile(largest, 0.95) == pytest.approx(sidak, abs=0.12)
        assert family_p([0.0, 50.0], largest) == [1.0, 1 / 4001]


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_effective_size_of_a_side_is_that_of_the_strata(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 60))
    patient, success = random.integers(0, max(2, n // 2), n), random.random(n) < 0.7
    k, sizes = (np.bincount(patient, weights=w) for w in (success, np.ones(n)))
    present, p = int(np.count_nonzero(sizes)), success.mean()
    variance = float((((k - p * sizes) / n) ** 2).sum()) * present / max(1, present - 1)
    assert effective_size_of_side(p, n, present, variance, 0.9) == pytest.approx(
        effective_size(success, patient, 0.9)
    )


def test_shrunk_values_lie_between_raw_and_mean_and_follow_the_data():
    n = np.array([20.0, 50.0, 200.0, 1000.0])
    equal = shrink_rates(list("abcd"), [20, 50, 200, 1000], np.full(4, 0.8), n, 0.95)
    assert equal.spread == 0
    assert {each.weight for each in equal.levels} == {0.0}
    p = np.array([0.5, 0.7, 0.9, 0.8])
    found = shrink_rates(list("abcd"), [20, 50, 200, 1000], p, n, 0.95)
    assert [each.weight for each in found.levels] == sorted(each.weight for each in found.levels)
    for each in found.levels:
        assert min(each.raw, found.mean) <= each.shrunk <= max(each.raw, found.mean)
        assert each.low <= each.shrunk <= each.high


def test_intraclass_correlation_is_recovered():
    random = np.random.default_rng(3)
    p = random.beta(8, 2, 3000)
    k = random.binomial(30, p).astype(float)
    assert intraclass_correlation(k, np.full(3000, 30.0)) == pytest.approx(1 / 11, abs=0.01)


def test_equal_inputs_give_equal_bytes_in_any_row_order():
    rows = table(failed=(3, 9))
    plan = score_protocol(bias={"margin": 0.1})
    first = score(rows, plan, "evaluation-1")
    shuffled = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    assert results.to_json(score(shuffled, plan, "evaluation-1")) == results.to_json(first)
    bias = first.analysis().bias
    assert {f.metric for f in bias.families} == {
        "auroc",
        "failure_rate",
        "sensitivity",
        "specificity",
        "ppv",
        "npv",
        "calibration_in_the_large",
    }
    other = score(rows, plan, "evaluation-2").analysis().bias
    assert [f.critical for f in other.families] != [f.critical for f in bias.families]


def test_results_written_before_gaps_are_read():
    old = results.to_dict(score(table(60), score_protocol(strata=[]), "e"))
    for analysis in old["analyses"]:
        assert analysis.pop("bias") is None
    from sandbox.canonical import canonical_json

    assert results.from_json(canonical_json(old)).analysis().bias is None
