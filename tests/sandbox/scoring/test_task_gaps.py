"""Gaps between groups in tasks other than a binary one: planted gaps, oracles of influences and resamples, the page."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from sandbox.evidence.gap_arithmetic import gap_contradictions
from sandbox.outcome import results
from sandbox.plan.metric_catalogue import GAP_METRICS
from sandbox.report import gap_figure, gap_findings, glossary
from sandbox.scoring.agreement import agreement_weights, kappa_influence
from sandbox.scoring.agreement_of_measurements import concordance_influence, root_mean_square_influence
from sandbox.scoring.bootstrap import Seed, patient_weights
from sandbox.scoring.class_auroc import mean_auroc_influence
from sandbox.scoring.class_outcomes import macro_auroc
from sandbox.scoring.detection import curves
from sandbox.scoring.detection.compared import finding_outcomes
from sandbox.scoring.detection.marks import CaseMarks, make_marks
from sandbox.scoring.outcomes import Outcome
from sandbox.scoring.scale import Scale
from sandbox.scoring.score import score
from tests.sandbox.scoring import task_tables

TASKS = ("multiclass", "multilabel", "ordinal", "measurement", "segmentation", "detection")


def scored(kind, *, plan=None, **more):
    table, plan_of = (getattr(task_tables, f"{kind}_{part}") for part in ("table", "plan"))
    return score(table(**more), plan_of(**(plan or {})), "evaluation-1")


def by_sex(table, women, men):
    """The women of one table and the men of another, which have the same cases."""
    sex = np.array(table["sex"].to_pylist())
    assert sex.tolist() == women["sex"].to_pylist() == men["sex"].to_pylist()
    rows = np.where(sex == "F", np.arange(sex.size), sex.size + np.arange(sex.size))
    return pa.concat_tables([women, men]).take(rows)


WORSE = {
    "multiclass": ({"strength": 2.5}, {"strength": 0.3}, "macro_auroc"),
    "ordinal": ({"noise": 0.4}, {"noise": 1.8}, "quadratic_kappa"),
    "measurement": ({"noise": 1.0}, {"noise": 9.0}, "concordance_correlation"),
    "segmentation": ({"dice": 0.9}, {"dice": 0.7}, "mean_dice"),
    "detection": ({"found": 0.95}, {"found": 0.4}, "froc_sensitivity"),
}


@pytest.mark.parametrize("kind", WORSE)
def test_a_planted_gap_is_shown_and_a_wide_margin_does_not_hide_it(kind):
    good, bad, metric = WORSE[kind]
    make = getattr(task_tables, f"{kind}_table")
    women, men = make(**good), make(**bad)
    plan = getattr(task_tables, f"{kind}_plan")(bias={"margin": 0.02})
    found = score(by_sex(women, women, men), plan, "evaluation-1")
    bias = found.analysis().bias
    family = next(each for each in bias.families if each.metric == metric)
    assert (family.verdict, family.margin) == ("gap_shown", 0.02)
    gaps = [gap for each in bias.strata if each.metric == metric for gap in each.gaps]
    assert all((gap.value > 0) == (gap.group.name == "F") for gap in gaps)
    assert {each.metric for each in bias.families} <= set(GAP_METRICS[kind])
    assert all(each.shrinkage is not None for each in bias.strata if each.metric == metric)
    assert all(each.heterogeneity.p < 0.05 for each in bias.strata if each.metric == metric)
    assert "gap" in gap_findings.gap_line(found.analysis()).lower()


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("more", [{}, {"failed": 0.1}, {"per_patient": 3, "failed": 0.05}])
def test_what_a_dossier_recomputes_of_gaps_holds(kind, more):
    found = scored(kind, **more)
    for analysis in found.analyses:
        assert analysis.bias is not None
        assert {each.metric for each in analysis.bias.families} >= set(GAP_METRICS[kind]) - {"expected_cost"}
        assert list(gap_contradictions(analysis, "here")) == []
        for stratum in analysis.bias.strata:
            for gap in stratum.gaps:
                numbers = [each for each in dataclasses.asdict(gap).values() if isinstance(each, float)]
                assert np.isfinite(numbers).all()
                assert gap.simultaneous_low <= gap.low <= gap.value <= gap.high <= gap.simultaneous_high
                assert stratum.metric == "failure_rate" or stratum.chance.percentile_95 > 0
    assert results.from_json(results.to_json(found)) == found


@pytest.mark.parametrize("kind", TASKS)
def test_a_changed_gap_is_a_contradiction(kind):
    analysis = scored(kind).analysis()
    bias = analysis.bias
    row = next(each for each in bias.strata if each.gaps and each.metric != "failure_rate")
    side = dataclasses.replace(row.gaps[0].group, value=row.gaps[0].group.value + 0.01)
    changed = dataclasses.replace(row, gaps=(dataclasses.replace(row.gaps[0], group=side), *row.gaps[1:]))
    strata = tuple(changed if each is row else each for each in bias.strata)
    other = dataclasses.replace(analysis, bias=dataclasses.replace(bias, strata=strata))
    assert any(row.metric in text for text in gap_contradictions(other, "here"))


@pytest.mark.parametrize("kind", TASKS)
def test_every_method_is_described_and_the_figure_drawn(kind):
    found = scored(kind)
    unknown = {use.identifier for use in glossary.methods_used(found) if use.method is None}
    assert unknown <= {"none"}
    assert [name for name, metric in glossary.metrics_used(found) if metric is None] == []
    metrics = tuple((metric, None) for metric in (*gap_findings.PANELS[kind], "failure_rate"))
    drawn = gap_figure.gap_plot(found.analysis().bias, metrics, "gaps-0")
    assert "sex" in drawn
    assert gap_findings.gap_line(found.analysis())


def test_a_metric_with_a_unit_takes_only_a_margin_of_its_own():
    shares = scored("segmentation", plan={"bias": {"margin": 0.9}})
    margins = {each.metric: each.margin for each in shares.analysis().bias.families}
    assert (margins["mean_dice"], margins["mean_hd95"]) == (0.9, None)
    own = scored("segmentation", plan={"bias": {"margins": {"mean_hd95": 30.0}}})
    families = {each.metric: each for each in own.analysis().bias.families}
    assert (families["mean_hd95"].margin, families["mean_hd95"].verdict) == (30.0, "within_margin")
    assert families["mean_dice"].margin is None


def test_gaps_do_not_depend_on_the_order_of_rows_nor_on_copies_of_a_patients_cases():
    plan, rows = task_tables.ordinal_plan(), task_tables.ordinal_table()
    found = score(rows, plan, "e").analysis().bias
    shuffled = (
        score(rows.take(np.random.default_rng(0).permutation(rows.num_rows)), plan, "e").analysis().bias
    )
    assert shuffled == found
    twice = rows.take(np.repeat(np.arange(rows.num_rows), 2))
    twice = twice.set_column(0, "case_id", [[f"c{i:05}" for i in range(twice.num_rows)]])
    copied = score(twice, plan, "e").analysis().bias
    for one, two in zip(found.strata, copied.strata, strict=True):
        for a, b in zip(one.gaps, two.gaps, strict=True):
            assert b.value == pytest.approx(a.value)
            assert b.statistic == pytest.approx(a.statistic, rel=0.03, abs=1e-9)


def derivative(statistic, n):
    """Influence of each case by a small weight more, over the number of cases."""
    step = 1e-5
    found = []
    for index in range(n):
        ahead, behind = np.ones(n), np.ones(n)
        ahead[index] += step
        behind[index] -= step
        found.append((statistic(ahead) - statistic(behind)) / (2 * step))
    return np.array(found)


def test_influences_are_the_derivatives_of_weighted_statistics():
    random = np.random.default_rng(1)
    n = 60
    x = random.normal(5, 2, n)
    y = x + random.normal(0.3, 1, n)

    def concordance(w):
        mx, my = np.average(x, weights=w), np.average(y, weights=w)
        above = 2 * np.average((x - mx) * (y - my), weights=w)
        below = np.average((x - mx) ** 2, weights=w) + np.average((y - my) ** 2, weights=w) + (mx - my) ** 2
        return above / below

    value, influence = concordance_influence(x, y)
    assert value == pytest.approx(concordance(np.ones(n)))
    assert influence == pytest.approx(derivative(concordance, n), abs=1e-7)
    value, influence = root_mean_square_influence(x, y)

    def root(w):
        return np.sqrt(np.average((x - y) ** 2, weights=w))

    assert value == pytest.approx(root(np.ones(n)))
    assert influence == pytest.approx(derivative(root, n), abs=1e-7)

    row, column, weights = (
        random.integers(0, 4, n),
        random.integers(0, 4, n),
        agreement_weights(4, 4, "quadratic"),
    )

    def kappa(w):
        shares = np.zeros((4, 4))
        np.add.at(shares, (row, column), w / w.sum())
        expected = shares.sum(axis=1) @ weights @ shares.sum(axis=0)
        return ((weights * shares).sum() - expected) / (1 - expected)

    value, influence = kappa_influence(row, column, weights)
    assert value == pytest.approx(kappa(np.ones(n)))
    assert influence == pytest.approx(derivative(kappa, n), abs=1e-7)

    truth, ranked = random.integers(0, 3, n), random.integers(0, 8, (n, 3)).astype(float)

    def macro(w):
        total = 0.0
        for label in range(3):
            own = truth == label
            wins = (ranked[own, label][:, None] > ranked[~own, label]) + 0.5 * (
                ranked[own, label][:, None] == ranked[~own, label]
            )
            total += (w[own] @ wins @ w[~own]) / (w[own].sum() * w[~own].sum())
        return total / 3

    values, influence = mean_auroc_influence(ranked, [truth == label for label in range(3)])
    assert np.mean(values) == pytest.approx(macro(np.ones(n)))
    assert influence == pytest.approx(derivative(macro, n), abs=1e-7)
    part = macro_auroc(ranked, [truth == label for label in range(3)])(np.arange(n))
    assert part.value == pytest.approx(macro(np.ones(n)))


def test_resamples_of_a_group_are_the_figures_of_the_repeated_cases():
    random = np.random.default_rng(3)
    cases = [
        CaseMarks(ratings=random.integers(0, 6, 3).astype(float),
                  matched=np.array([0 if lesions else -1, -1, -1]), lesions=int(lesions))
        for lesions in random.integers(0, 2, 40)
    ]  # fmt: skip
    patient = np.arange(40) // 2
    seed, figure = (
        Seed(evaluation="e", metric="w"),
        lambda marks, counts: curves.sensitivity_at(marks, counts, 1.0),
    )
    outcome: Outcome = finding_outcomes(
        cases, patient, np.ones(40, dtype=bool), [("froc_sensitivity", "1", figure)], seed, 200
    )[0]
    chosen = np.arange(7, 29)
    part = outcome.statistic(chosen)
    weights = next(patient_weights(20, seed, 200, 200))
    for row in range(0, 200, 17):
        repeated = np.repeat(chosen, weights[row].astype(int)[patient[chosen]])
        marks = make_marks([cases[index] for index in repeated], np.arange(repeated.size))
        assert part.drawn[row] == pytest.approx(figure(marks, marks.total())[0])


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, np.inf), (-np.inf, np.inf)])
def test_scales_go_there_and_back(low, high):
    scale = Scale(low=low, high=high, n=50)
    values = np.array([0.1, 0.5, 0.93])
    assert scale.backward(scale.forward(values)) == pytest.approx(values)
    for value in values:
        ahead, behind = scale.forward(np.array([value + 1e-6, value - 1e-6]))
        assert scale.slope(value) == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)
    assert np.isfinite(scale.forward(np.array([0.0, 1.0]))).all()
