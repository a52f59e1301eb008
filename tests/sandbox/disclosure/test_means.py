"""Means of a segmentation: when they leave, and what nobody can read from them, whatever else is known."""

import itertools
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.disclosure import means
from sandbox.disclosure.audit import audit
from sandbox.disclosure.errors import DisclosureError
from sandbox.disclosure.means import Mean, mean_of, tell_mean
from sandbox.disclosure.outline import Slot
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.screen import plan, protocol_mark, screen, why_verdicts_only
from sandbox.disclosure.withholding import Links, keep_safe
from sandbox.plan.metric_catalogue import METRICS
from sandbox.reuse.bits import cost
from sandbox.scoring.score import score
from tests.sandbox.scoring.task_tables import (
    measurement_plan,
    measurement_table,
    segmentation_plan,
    segmentation_table,
)

RULES = DisclosureRules(metrics=("mean_dice", "mean_iou", "mean_nsd"))
SECRET = b"a secret of the institution"


def scored(n=400, *, dice=0.8, values=None, acceptance=(), failures="worst_case", **more):
    table = segmentation_table(n, dice=dice, **more)
    if values is not None:
        for name in ("answer:dice", "answer:iou", "answer:nsd"):
            column = pa.array(values, pa.float64())
            table = table.set_column(table.column_names.index(name), name, column)
    return score(table, segmentation_plan(acceptance=acceptance, failures=failures), "e")


def screened(results, rules=RULES, *, secret=SECRET, scope="s", selection=None):
    return screen(results, rules, scope=scope, secret=secret, selection=selection)


def told(found):
    return {"/".join(each.path.split("/")[2:]): each.value for each in found.fields}


def truths(results):
    head = f"s/{protocol_mark(results.protocol_digest)}"
    return {
        cell: value for name in means.MEANS for cell, value in mean_of(results, name, head).values.items()
    }


def slot(name="mean_dice", part="value"):
    return Slot(path=f"s/p/all/{name}/{part}", kind="mean", levels=2, family="mean", name=name, part=part)


def mean(values, most=1):
    """A mean as the rules look at it, of patients with one case each unless ``most`` says otherwise."""
    total = sum(map(Fraction, values))
    share = total / len(values)
    numbers = {"sum": total // most, "lack": (len(values) - total) // most}
    patients = len(values) // most
    found = SimpleNamespace(value=share, n=len(values), patients=patients, low=None, high=None)
    return Mean(found=found, value=share, most=most, cells={name: name for name in numbers}, values=numbers)


def test_the_cost_before_the_run_is_the_cost_after_it():
    results = scored(acceptance=({"name": "a", "metric": "mean_dice", "bound": "lower", "at_least": 0.7},))
    found = screened(results)
    planned = plan(segmentation_plan(acceptance=({"name": "a", "metric": "mean_dice", "bound": "lower",
                                                  "at_least": 0.7},)), [], 400, RULES, scope="s")  # fmt: skip
    assert [each.path.split("/")[2:] for each in planned] == [
        each.path.split("/")[2:] for each in found.fields
    ]
    assert cost(planned) == cost(found.fields)
    # Nine numbers on grids of 101, 51, 21, 11 and 6 values or withheld, and two verdicts.
    assert cost(planned) == pytest.approx(9 * np.log2(191) + 2 * 2)
    assert {each.unit for each in found.fields if each.kind == "mean"} == set(means.MEANS.values())


@pytest.mark.parametrize(
    ("n", "step"), [(50, "0.2"), (100, "0.1"), (199, "0.1"), (200, "0.05"), (1000, "0.01")]
)
def test_a_mean_is_told_within_a_step_that_spans_ten_patients(n, step):
    results = scored(n, values=np.linspace(0.4, 1.0, n))
    exact = {each.metric: each for each in results.analysis().estimates}
    for secret in (b"1", b"2", b"3"):
        for each in screened(results, secret=secret).fields:
            if each.kind == "mean":
                assert each.grid == step
                assert abs(float(each.value) - exact[each.path.split("/")[3]].value) < float(step)


def test_interval_ends_are_told_outwards_on_a_grid_that_spans_forty_patients():
    results = scored(1000)
    exact = {each.metric: each for each in results.analysis().estimates}
    for each in screened(results).fields:
        name, part = each.path.split("/")[3:]
        if part != "value":
            assert each.grid == "0.05"
            inside = exact[name].low if part == "low" else exact[name].high
            gap = (inside - float(each.value)) * (1 if part == "low" else -1)
            assert 0 <= gap < 0.1
    assert {value for path, value in told(screened(scored(199))).items() if not path.endswith("value")} == {
        None
    }


def test_the_same_predictions_are_told_by_the_same_number_whoever_asks_and_by_whatever_protocol():
    results = scored()
    again = score(segmentation_table(400), segmentation_plan(minimum={"positives": 4, "negatives": 3, "patients": 3}),
                  "other")  # fmt: skip
    first, second = screened(results), screened(again)
    assert first.fields[0].path != second.fields[0].path
    values = [
        {key: value for key, value in told(each).items() if key.endswith("value")} for each in (first, second)
    ]
    assert values[0] == values[1]
    # A thousand institutions round up as often as the mean lies above its lower step.
    told_by = Counter(
        told(screened(results, secret=str(index).encode()))["all/mean_dice/value"] for index in range(300)
    )
    exact = next(each.value for each in results.analysis().estimates if each.metric == "mean_dice")
    upper = max(told_by, key=float)
    assert told_by[upper] / 300 == pytest.approx(exact / 0.05 % 1, abs=0.1)


def test_without_a_secret_no_mean_is_rounded():
    with pytest.raises(DisclosureError, match="secret"):
        screened(scored(), secret=None)


@pytest.mark.parametrize("failures", ["worst_case", "excluded"])
@pytest.mark.parametrize(("per_patient", "failed"), [(1, 0.0), (3, 0.1)])
def test_what_a_field_tells_is_true(failures, per_patient, failed):
    limits = [
        {"name": f"{metric}-{bound}-{side}-{limit}", "metric": metric, "bound": bound, side: limit}
        for metric in ("mean_dice", "mean_iou")
        for bound in ("value", "lower" if metric == "mean_dice" else "upper")
        for side in ("at_least", "at_most")
        for limit in (0.5, 0.797, 0.9)
    ]
    limits = [
        each
        for each in limits
        if each["bound"] == "value" or ("at_least" in each) == (each["bound"] == "lower")
    ]
    results = scored(900, per_patient=per_patient, failed=failed, failures=failures, acceptance=tuple(limits))
    values = truths(results)
    assert {each.verdict for each in results.acceptance} >= {"met", "not_met"}
    for secret in (b"1", b"2", b"3", b"4"):
        found = screened(results, secret=secret)
        assert [each for each in found.structure if not each.holds(values)] == []
        for field in found.fields:
            assert all(each.holds(values) for each in field.constraints), field.path
        assert len(found.released) > 6


def test_a_sum_stays_free_after_everything_that_is_told_of_it():
    limits = ({"name": "a", "metric": "mean_dice", "bound": "lower", "at_least": 0.7},)
    found = screened(scored(1000, acceptance=limits))
    audited = audit((), found.constraints, protected=found.protected, minimum_width=4, exact=True)
    assert audited.safe
    widths = {
        each.cell.rpartition("/")[2]: each.width for each in audited.findings if "mean_dice" in each.cell
    }
    assert 4 <= widths["sum_in_patients"] <= 20


def test_a_verdict_that_would_narrow_a_sum_takes_the_number_not_the_verdict():
    """The number tells 0.80 to 0.84, and the verdict that the mean is at least 0.8298: some five patients' worth."""
    limit = {"name": "a", "metric": "mean_dice", "bound": "value", "at_least": 0.8298}
    results = scored(500, values=[0.8299] * 500, acceptance=(limit,))
    secrets = (str(index).encode() for index in range(200))
    secret = next(
        each for each in secrets if told(screened(results, secret=each))["all/mean_dice/value"] == "0.82"
    )
    wanted = ("verdict", "all/mean_dice/value")
    found = screened(results, secret=secret, selection=lambda path: path.endswith(wanted))
    kept = keep_safe(found, (), protected=(), minimum_width=4, links=Links()).screened
    left = told(kept)
    assert left == {"verdict": "met", "all/mean_dice/value": told(found)["all/mean_dice/value"]}
    tight = keep_safe(found, (), protected=(), minimum_width=12, links=Links()).screened
    assert told(tight) == {"verdict": "met", "all/mean_dice/value": None}


def reasons(results, rules=RULES):
    return {
        each.field.split("/", 2)[2]: each.rule
        for each in screened(results, rules).verdicts
        if not each.passed
    }


def test_means_over_few_patients_are_withheld():
    for n in (9, 40, 49):
        assert reasons(scored(n, values=[0.5] * n))["all/mean_dice/value"] == "patients"
    assert "all/mean_dice/value" not in reasons(scored(50, values=[0.5] * 50))
    more = RULES.model_copy(update={"minimum_cell": 60})
    assert reasons(scored(50, values=[0.5] * 50), more)["all/mean_dice/value"] == "patients"


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_a_mean_is_withheld_when_it_is_rounded_to_an_extreme_so_that_nobody_knows_whether_it_is_one(extreme):
    """An exact 0 or 1 always is; a mean half a step from it is as often as not, by the same sentence."""
    exact, near = scored(200, values=[extreme] * 200), scored(200, values=[abs(extreme - 0.025)] * 200)
    sentences, withheld = set(), []
    for index in range(60):
        for results in (exact, near):
            found = screened(
                results, secret=str(index).encode(), selection=lambda path: "mean_dice/value" in path
            )
            withheld.append(found.fields[0].value is None)
            sentences |= {each.sentence for each in found.verdicts if not each.passed}
    assert all(withheld[::2])
    assert 15 < sum(withheld[1::2]) < 45
    assert len(sentences) == 1
    opened = RULES.model_copy(update={"extreme_rates": "released"})
    found = screened(exact, opened, selection=lambda path: "mean_dice" in path)
    assert told(found)["all/mean_dice/value"] == f"{extreme:.2f}"
    assert audit((), found.constraints, protected=found.protected, minimum_width=8).safe


def test_a_patient_with_many_cases_makes_the_grid_coarser():
    table = segmentation_table(400)
    patients = ["big"] * 40 + [f"p{index}" for index in range(360)]
    table = table.set_column(table.column_names.index("patient_key"), "patient_key", [patients])
    results = score(table, segmentation_plan(), "e")
    assert results.flow.most_cases == 40
    # Ten such patients would be all cases: no grid is as coarse.
    assert reasons(results)["all/mean_dice/value"] == "patients"
    two = score(segmentation_table(400, per_patient=2), segmentation_plan(), "e")
    assert next(each for each in screened(two).fields if each.kind == "mean").grid == "0.05"
    assert mean_of(two, "mean_dice", "s").worth == 200


def test_results_of_before_the_largest_patient_was_kept_are_taken_at_their_worst():
    results = score(segmentation_table(400, per_patient=2), segmentation_plan(), "e")
    old = replace(results, flow=replace(results.flow, most_cases=None))
    assert mean_of(old, "mean_dice", "s").most == 201
    assert reasons(old)["all/mean_dice/value"] == "patients"


def test_only_means_of_bounded_values_leave_and_only_of_segmentations():
    for name in means.MEANS:
        assert (METRICS["segmentation"][name].low, METRICS["segmentation"][name].high) == (0, 1)
    measured = screen(score(measurement_table(400), measurement_plan(), "e"), DisclosureRules(), scope="s")
    assert measured.fields == ()
    assert "one patient alone" in why_verdicts_only("measurement", RULES)
    assert "one patient alone" in why_verdicts_only("detection", RULES)
    assert why_verdicts_only("segmentation", RULES) is None
    assert "names none" in why_verdicts_only("segmentation", RULES.model_copy(update={"metrics": ("auroc",)}))
    default = screened(scored(), DisclosureRules())
    assert {path.split("/")[1] for path in told(default) if path.startswith("all/")} == {
        "mean_dice",
        "mean_nsd",
    }
    assert not any("sex=" in path for path in told(default))


OFFSETS = [Fraction(2 * index + 1, 200) for index in range(100)]
"""Every offset of a fine grid, in the place of one that a secret makes."""


def told_by_offset(values):
    found, looked_at = [], mean(values)
    with pytest.MonkeyPatch.context() as patch:
        for u in OFFSETS:
            patch.setattr(means, "offset", lambda *_, u=u: u)
            found.append(tell_mean(looked_at, slot(), RULES, scope="s", secret=SECRET).value)
    return found


HUNDREDTHS = st.integers(0, 100).map(lambda number: Fraction(number, 100))


@st.composite
def worlds(draw):
    """Everybody's values, of which all but the first k are known, and the values that these k may have instead."""
    n = draw(st.integers(60, 150))
    k = draw(st.integers(1, 4))
    # From all empty to all right, so that what is withheld as an extreme is among them.
    middle = draw(st.sampled_from((0, 3, 20, 50, 80, 97, 100)))
    rest = [Fraction(min(100, max(0, middle + (13 * index) % 21 - 10)), 100) for index in range(n - k)]
    hidden = [draw(HUNDREDTHS) for _ in range(k)]
    return rest, hidden, [draw(HUNDREDTHS) for _ in range(k)]


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_who_knows_all_other_patients_hardly_tells_two_values_of_the_rest_apart(world):
    """Statement 1 of the module: the distance of what is told in two worlds, over all offsets."""
    rest, hidden, others = world
    first, second = (Counter(told_by_offset([*values, *rest])) for values in (hidden, others))
    distance = (
        sum(abs(first[text] - second[text]) for text in first.keys() | second.keys()) / 2 / len(OFFSETS)
    )
    assert distance <= Fraction(len(hidden), RULES.count_base) + Fraction(1, len(OFFSETS))


@settings(max_examples=10, deadline=None)
@given(worlds())
def test_a_released_mean_never_encloses_the_values_of_few_patients_and_rarely_bounds_them(world):
    """Statement 2, by brute force: which sums of the hidden patients agree with the number told, for some offset."""
    rest, hidden, _ = world
    k = len(hidden)
    possible = [set(told_by_offset([Fraction(number, 10 * k)] * k + rest)) for number in range(10 * k + 1)]
    answers = told_by_offset([*hidden, *rest])
    cut = 0
    for text, often in Counter(answers).items():
        free = [text in texts for texts in possible]
        assert any(free)
        # One stretch that reaches an end of the range: never enclosed from both sides.
        assert free[0] or free[-1]
        assert sum(a != b for a, b in itertools.pairwise(free)) <= 1
        cut += 0 if all(free) else often
    assert Fraction(cut, len(OFFSETS)) <= Fraction(k, RULES.count_base) + Fraction(2, len(OFFSETS))


def test_one_patient_moves_an_end_as_often_as_it_comes_up_in_a_resample():
    n = 150
    values = np.clip(np.random.default_rng(3).normal(0.7, 0.15, n), 0, 1)
    ends = []
    for own in (0.0, 0.5, 1.0):
        values[0] = own
        found = next(
            each for each in scored(n, values=values).analysis().estimates if each.metric == "mean_dice"
        )
        ends.append((found.low, found.value, found.high))
    moved = np.diff(np.array(ends), axis=0) * n
    assert moved[:, 1] == pytest.approx(0.5)
    assert (moved >= 0).all()
    assert (moved <= 0.5 * 7).all()
