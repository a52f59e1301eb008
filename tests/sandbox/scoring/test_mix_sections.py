"""The protocol's sections case_mix, population, slices and reference_error: mistakes, numbers, digests."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

from sandbox.errors import ProtocolError
from sandbox.evidence.arithmetic import contradictions
from sandbox.outcome.results import from_json, to_json
from sandbox.plan.protocol import load_protocol
from sandbox.scoring.readers.misclassified import (
    Counts,
    corrected_auroc,
    corrected_rate,
    worst_aurocs,
    worst_rates,
)
from sandbox.scoring.score import score
from tests.sandbox.scoring.test_score import protocol

SECTIONS = {
    "case_mix": {"by": ["size"]},
    "population": {"size": {"small": 0.8, "large": 0.2}, "sex": {"F": 0.5, "M": 0.45, "X": 0.05}},
    "slices": {"attributes": ["maker", "sex", "size"], "depth": 3},
    "reference_error": {"false_negative_rate": [0.02, 0.1], "false_positive_rate": [0, 0.05]},
}
PLAN = """\
proctor: protocol/1
name: test
title: Test
task: {kind: binary, target: finding, unit: image}
operating_points: [{name: half, threshold: 0.5}]
strata:
  - {attribute: sex}
  - {attribute: age, bands: [0, 40, 80]}
"""


def world(n=800, per_patient=1):
    """Maker B sees more small findings, which are harder; maker and sex make no difference of their own."""
    random = np.random.default_rng(4)
    reference = random.random(n) < 0.4
    small = random.random(n) < 0.5
    maker = np.where(random.random(n) < np.where(small, 0.7, 0.3), "B", "A")
    shift = np.where(small, 1.2, 2.8)
    return pa.table(
        {
            "case_id": [f"c{i:05d}" for i in range(n)],
            "patient_key": [f"p{i // per_patient}" for i in range(n)],
            "reference": pa.array(reference.astype(int), pa.int8()),
            "score": np.round(1 / (1 + np.exp(-random.normal(shift * reference - 1.1, 1))), 3),
            "failure": pa.nulls(n, pa.string()),
            "maker": maker.tolist(),
            "sex": random.choice(["F", "M"], n).tolist(),
            "size": np.where(small, "small", "large").tolist(),
        }
    )


def scored(table, **sections):
    strata = [{"attribute": "maker", "reference": "A"}, {"attribute": "sex"}, {"attribute": "size"}]
    return score(table, protocol(strata=strata, **sections), "ev-1")


@pytest.fixture(scope="module")
def results():
    return scored(world(), **SECTIONS)


def load(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(PLAN + text, encoding="utf-8")
    return load_protocol(path)


def test_absent_sections_leave_the_digest_as_it_was(tmp_path):
    plain = load(tmp_path, "")
    assert not set(SECTIONS) & set(plain.document)
    assert load(tmp_path, "case_mix: {by: [age]}\n").digest != plain.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case_mix: {by: [size]}\n", "is not an attribute that strata declare (sex, age)."),
        ("case_mix: {by: [sex, sex]}\n", "is named twice."),
        ("case_mix: {by: [sex, age]}\n", "there is no group to compare."),
        ("population:\n  sex: {F: 0.5, M: 0.4}\n", "the shares add up to 0.9, not to 1."),
        ("population:\n  age: {young: 1}\n", "is not a band of age"),
        ("slices: {attributes: [sex], operating_point: other}\n", "is not a declared threshold (half)."),
        (
            "reference_error: {false_negative_rate: [0.2, 0.1], false_positive_rate: [0, 0]}\n",
            "must give the lowest rate first.",
        ),
        ("reference_error: {false_negative_rate: [0, 0.5], false_positive_rate: [0, 0]}\n", "less than 0.5"),
    ],
)
def test_a_mistake_names_its_line(tmp_path, text, message):
    with pytest.raises(ProtocolError) as found:
        load(tmp_path, text)
    assert message in str(found.value)
    assert any(f"p.yaml:{line}" in str(found.value) for line in range(9, 12))


def test_a_task_without_a_binary_target_has_none_of_them(tmp_path):
    text = PLAN.replace("kind: binary", "kind: multiclass").replace(
        "operating_points: [{name: half, threshold: 0.5}]", "output: {classes: {names: [a, b]}}"
    )
    path = tmp_path / "p.yaml"
    path.write_text(text + "case_mix: {by: [age]}\n", encoding="utf-8")
    with pytest.raises(ProtocolError, match="does not go with a multiclass task"):
        load_protocol(path)


def test_results_survive_the_file(results):
    assert from_json(to_json(results)) == results


def test_order_of_rows_does_not_matter(results):
    table = world()
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows))
    assert to_json(scored(shuffled, **SECTIONS)) == to_json(results)


def test_a_gap_that_is_case_mix_goes_away_within_strata(results):
    mix = results.analysis().case_mix
    first = next(c for c in mix.comparisons if (c.attribute, c.metric) == ("maker", "sensitivity"))
    a, b = first.groups
    assert b.crude - a.crude < -0.1
    assert abs(b.standardised - a.standardised) < 0.05
    assert b.difference_low < 0 < b.difference_high
    assert a.against is None
    assert b.against == "A"


def test_pooling_equals_statsmodels(results):
    for each in results.analysis().case_mix.comparisons:
        if each.attribute != "maker":
            continue
        a, b = each.groups
        tables = [
            np.array([[y.successes, y.n - y.successes], [x.successes, x.n - x.successes]])
            for x, y in zip(a.cells, b.cells, strict=True)
        ]
        oracle = StratifiedTable(tables)
        assert b.odds_ratio == pytest.approx(oracle.oddsratio_pooled, rel=1e-9)
        assert (b.odds_ratio_low, b.odds_ratio_high) == pytest.approx(
            oracle.oddsratio_pooled_confint(), rel=1e-9
        )
        assert b.p == pytest.approx(oracle.test_null_odds(correction=False).pvalue, rel=1e-9)
        assert b.breslow_day_p == pytest.approx(oracle.test_equal_odds(adjust=True).pvalue, rel=1e-6)


def test_a_level_without_overlap_is_not_adjusted():
    table = world()
    maker = [
        "C" if size == "small" and i % 3 == 0 else m
        for i, (m, size) in enumerate(zip(*(table[c].to_pylist() for c in ("maker", "size")), strict=True))
    ]
    found = scored(table.set_column(table.schema.get_field_index("maker"), "maker", [maker]), **SECTIONS)
    for each in found.analysis().case_mix.comparisons:
        if each.attribute == "maker":
            only_small = next(group for group in each.groups if group.level == "C")
            assert only_small.standardised is None
            assert "not adjustable" in only_small.reason


def test_weights_meet_the_population_and_change_the_rates_by_hand(results):
    found = results.analysis().population
    assert found.lacking == ("sex=X",)
    assert not found.converged
    assert found.effective < found.cases
    # Size alone: the reweighted sensitivity is the mixture of the rates of both sizes by weight.
    table = world()
    alone = scored(table, population={"size": {"small": 0.8, "large": 0.2}}).analysis().population
    assert alone.converged
    truth, called, size = (
        table["reference"].to_numpy() == 1,
        table["score"].to_numpy() >= 0.5,
        np.asarray(table["size"].to_pylist()),
    )
    weights = np.where(size == "small", 0.8 / (size == "small").mean(), 0.2 / (size == "large").mean())
    wanted = (weights * (truth & called)).sum() / (weights * truth).sum()
    value = next(each for each in alone.estimates if each.metric == "sensitivity")
    assert value.value == pytest.approx(wanted, rel=1e-9)
    assert value.low < value.value < value.high < value.crude


def test_a_population_that_shares_nothing_is_told_and_not_made_up():
    found = scored(world(), population={"sex": {"X": 1.0}}).analysis().population
    assert found.effective is None
    assert found.estimates == ()
    assert "Not reweighted" in found.reason


def test_slices_find_the_hard_ones_and_are_labelled(results):
    found = results.analysis().slices
    assert found.label.startswith("exploratory")
    assert found.slices[0].levels == (("size", "small"),)
    assert found.slices[0].p_adjusted < 0.01
    misses = scored(world(), slices={"attributes": ["maker", "size"], "errors": "misses"}).analysis().slices
    assert misses.cases == results.flow.positives


def truth_behind(counts, miss, alarm):
    """Expected table of labels when a true table is read by a reference with these error rates."""
    sick_called, sick_rest, well_called, well_rest = counts
    return Counts(
        tp=round((1 - miss) * sick_called + alarm * well_called),
        fn=round((1 - miss) * sick_rest + alarm * well_rest),
        fp=round(miss * sick_called + (1 - alarm) * well_called),
        tn=round(miss * sick_rest + (1 - alarm) * well_rest),
    )


def test_stated_errors_are_undone():
    # 8000 of 10000 sick and 6000 of 90000 healthy are called; the reference misses 10 % and invents 5 %.
    seen = truth_behind((8000, 2000, 6000, 84000), 0.1, 0.05)
    wanted = {"sensitivity": 0.8, "specificity": 84 / 90, "ppv": 8 / 14, "npv": 84 / 86}
    for metric, value in wanted.items():
        assert corrected_rate(seen, metric, 0.1, 0.05) == pytest.approx(value, abs=1e-4)
    assert corrected_rate(Counts(tp=1, fp=99, fn=0, tn=900), "ppv", 0.0, 0.05) is None


def test_auroc_is_corrected_as_a_mixture():
    # Two true classes of known AUROC, labels mixed by hand: the correction gives the true AUROC back.
    grid = np.arange(200)
    sick, well = grid + 40.5, grid.astype(float)
    prevalence, miss, alarm = 0.3, 0.1, 0.05
    true = (sick[:, None] > well).mean()
    share = prevalence * (1 - miss) + (1 - prevalence) * alarm
    positive = prevalence * (1 - miss) / share
    negative = (1 - prevalence) * (1 - alarm) / (1 - share)
    seen = sum(
        p * n * ((a[:, None] > b).mean() + (a[:, None] == b).mean() / 2)
        for p, a in ((positive, sick), (1 - positive, well))
        for n, b in ((negative, well), (1 - negative, sick))
    )
    assert seen < true
    assert corrected_auroc(float(seen), share, miss, alarm) == pytest.approx(true, abs=1e-12)


def test_the_worst_case_is_that_of_all_ways_to_change_the_labels():
    called = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1], dtype=bool)
    label = np.array([1, 1, 0, 1, 1, 0, 0, 0, 0], dtype=bool)
    ranks = np.array([7.0, 8, 6, 3, 9, 1, 2, 4, 5])
    counts = Counts(
        tp=int((called & label).sum()),
        fp=int((called & ~label).sum()),
        fn=int((~called & label).sum()),
        tn=int((~called & ~label).sum()),
    )
    seen: dict[str, list[float]] = {}
    for positive in itertools.chain.from_iterable(
        itertools.combinations(np.flatnonzero(label), k) for k in (0, 1, 2)
    ):
        for negative in itertools.chain.from_iterable(
            itertools.combinations(np.flatnonzero(~label), k) for k in (0, 1)
        ):
            truth = label.copy()
            truth[list(positive)] = False
            truth[list(negative)] = True
            seen.setdefault("sensitivity", []).append((called & truth).sum() / truth.sum())
            seen.setdefault("specificity", []).append((~called & ~truth).sum() / (~truth).sum())
            seen.setdefault("ppv", []).append((called & truth).sum() / called.sum())
            seen.setdefault("npv", []).append((~called & ~truth).sum() / (~called).sum())
            wins = (ranks[truth][:, None] > ranks[~truth]).mean()
            seen.setdefault("auroc", []).append(wins)
    for metric in ("sensitivity", "specificity", "ppv", "npv"):
        assert worst_rates(counts, metric, 2, 1) == pytest.approx((min(seen[metric]), max(seen[metric])))
    assert worst_aurocs(ranks, label, 2, 1) == pytest.approx((min(seen["auroc"]), max(seen["auroc"])))


def test_no_stated_error_leaves_the_values(results):
    none = {"false_negative_rate": [0, 0], "false_positive_rate": [0, 0]}
    bands = scored(world(), reference_error=none).analysis().reference_error.bands
    for band in bands:
        assert (band.low, band.high) == pytest.approx((band.seen, band.seen))
        assert (band.worst_low, band.worst_high) == pytest.approx((band.seen, band.seen))
    stated = results.analysis().reference_error
    assert stated.bands[0].metric == "auroc"
    assert all(band.worst_low <= band.seen <= band.worst_high for band in stated.bands)


@pytest.mark.parametrize("lost", ["all", "positives"])
def test_analyses_without_cases_or_classes_say_so(lost):
    table = world(120)
    failed = np.ones(120, dtype=bool) if lost == "all" else table["reference"].to_numpy() == 1
    scores = pa.array(
        [None if gone else each for gone, each in zip(failed, table["score"].to_pylist(), strict=True)]
    )
    codes = pa.array(["timeout" if gone else None for gone in failed], pa.string())
    table = table.set_column(table.schema.get_field_index("score"), "score", scores.cast(pa.float64()))
    table = table.set_column(table.schema.get_field_index("failure"), "failure", codes)
    found = scored(table, **SECTIONS)
    assert contradictions(found) == []
    answered = found.analysis("excluded")
    assert "need positive and negative labels" in answered.reference_error.reason
    assert answered.case_mix.comparisons == () or lost == "positives"
    assert (answered.population.effective is None) == (lost == "all")
