"""What must hold for any data: invariances of the estimates."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sandbox.scoring import association, precision_recall, proportions, roc
from sandbox.scoring.acceptance import compare
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import make_cases
from sandbox.scoring.estimates import Basis, estimate
from sandbox.scoring.operating_points import at_threshold
from sandbox.scoring.strata import Levels

settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("quick")


@st.composite
def cases_of(draw, minimum=4, patients=False):
    n = draw(st.integers(minimum, 60))
    seed = draw(st.integers(0, 2**32 - 1))
    levels = draw(st.sampled_from([2, 5, 1000]))
    random = np.random.default_rng(seed)
    reference = random.random(n) < 0.5
    assume(reference.any() and not reference.all())
    score = random.integers(0, levels, n) / levels
    patient = random.integers(0, max(2, n // 2), n) if patients else np.arange(n)
    return reference, score, patient


def limits(found):
    return np.array([found.value, found.low, found.high])


@given(cases_of(patients=True))
def test_rank_metrics_do_not_change_under_a_rising_transform(data):
    reference, score, patient = data
    before, after = (
        make_cases(reference, score, patient),
        make_cases(reference, np.exp(3 * score) - 7, patient),
    )
    assert roc.auroc(before, 0.95) == roc.auroc(after, 0.95)
    assert precision_recall.average_precision(before, 0.95) == precision_recall.average_precision(after, 0.95)


@given(cases_of(patients=True), st.randoms(use_true_random=False))
def test_order_of_the_cases_does_not_matter(data, random):
    reference, score, patient = data
    order = list(range(score.size))
    random.shuffle(order)
    first, second = (
        make_cases(reference, score, patient),
        make_cases(reference[order], score[order], patient[order]),
    )
    assert np.allclose(limits(roc.auroc(first, 0.95)), limits(roc.auroc(second, 0.95)), atol=1e-12)
    a, b = (at_threshold(c, "x", 0.5, level=0.95, method="wilson") for c in (first, second))
    assert (a.tp, a.fp, a.fn, a.tn) == (b.tp, b.fp, b.fn, b.tn)
    assert a.estimates[:4] == b.estimates[:4]


@given(cases_of(patients=True))
def test_turning_the_score_around_turns_the_auroc_around(data):
    reference, score, patient = data
    found = limits(roc.auroc(make_cases(reference, score, patient), 0.95))
    turned = limits(roc.auroc(make_cases(reference, -score, patient), 0.95))
    relabelled = limits(roc.auroc(make_cases(~reference, score, patient), 0.95))
    assert np.allclose(found, 1 - turned[[0, 2, 1]], atol=1e-9)
    assert np.allclose(found, 1 - relabelled[[0, 2, 1]], atol=1e-9)


@given(cases_of(), st.integers(2, 4))
def test_copies_of_a_patients_case_add_no_certainty(data, copies):
    reference, score, patient = data
    once = make_cases(reference, score, patient)
    many = make_cases(np.repeat(reference, copies), np.repeat(score, copies), np.repeat(patient, copies))
    assert np.allclose(limits(roc.auroc(once, 0.95)), limits(roc.auroc(many, 0.95)), atol=1e-9)
    for a, b in zip(
        at_threshold(once, "x", 0.5, level=0.95, method="wilson").estimates[:4],
        at_threshold(many, "x", 0.5, level=0.95, method="wilson").estimates[:4],
        strict=True,
    ):
        assert (a.value is None) == (b.value is None)
        if a.value is not None and a.n > 2:
            assert np.isclose(a.value, b.value)
            assert a.high - a.low <= b.high - b.low + 1e-9


@given(cases_of(patients=True))
def test_limits_hold_the_value_and_stay_in_range(data):
    reference, score, patient = data
    cases = make_cases(reference, score, patient)
    point = at_threshold(cases, "x", 0.5, level=0.95, method="clopper-pearson")
    everything = (roc.auroc(cases, 0.95), precision_recall.average_precision(cases, 0.95), *point.estimates)
    for found in everything:
        assert (
            (found.status == "undefined")
            == (found.value is None)
            == (found.reason is not None and found.value is None)
        )
        if found.value is not None:
            low = -1.0 if found.metric == "mcc" else 0.0
            assert found.low is not None
            assert low <= found.low <= found.value + 1e-12
            if not found.metric.startswith("lr_"):
                assert found.value - 1e-12 <= found.high <= 1.0


@given(cases_of(patients=True))
def test_one_level_leaves_the_auroc_as_it_is(data):
    reference, score, patient = data
    cases = make_cases(reference, score, patient)
    levels = Levels(name="a", names=("only",), codes=np.zeros(cases.n, dtype=np.int64))
    found = association.associate(
        cases, levels, level=0.95, method="wilson", seed=Seed(evaluation="e", metric="m")
    )
    assert np.isclose(found.conditional.value, found.pooled.value)
    assert np.allclose(limits(found.conditional)[1:], limits(found.pooled)[1:], atol=1e-9)
    assert abs(found.drop.value) < 1e-12
    assert found.attribute_auroc.value == 0.5
    assert not found.flagged
    assert not found.drop_shown


@given(st.integers(1, 200), st.data(), st.floats(0.5, 0.99))
def test_the_exact_interval_holds_the_score_interval_at_the_ends(n, data, level):
    x = data.draw(st.integers(0, n))
    for method in ("wilson", "clopper-pearson"):
        low, high = proportions.proportion_interval(x, n, level, method)
        mirrored = proportions.proportion_interval(n - x, n, level, method)
        assert 0 <= low <= x / n <= high <= 1
        assert np.allclose((low, high), (1 - mirrored[1], 1 - mirrored[0]), atol=1e-9)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_verdicts_are_one_of_three_and_mirror_each_other(a, b, c, limit):
    low, value, high = sorted((a, b, c))
    basis = Basis(n=10, positives=5, patients=10, level=0.95)
    found = estimate("auroc", value, (low, high), basis, "m")
    turned = estimate("auroc", -value, (-high, -low), basis, "m")
    lower, _ = compare(found, "lower", "at_least", limit)
    upper, _ = compare(turned, "upper", "at_most", -limit)
    assert lower == upper
    assert lower == ("met" if low >= limit else "not_met" if high < limit else "cannot_tell")
