"""Planning of stressed asks: deterministic, and without anything in it that tells a container truth or patient."""

import itertools
from collections import Counter

import pyarrow as pa
import pytest

from holdout.uids import keyed_token
from sandbox.asking.asks import Ask, in_order
from sandbox.asking.stress_plan import make_plan
from sandbox.errors import EvaluationRefusedError
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import resolved_test
from sandbox.stress.registry import find

RUN, OTHER_RUN, HOLDOUT = b"r" * 32, b"s" * 32, b"h" * 32
TESTS = (
    ("dr_gamma", (1, 5)),
    ("side_marker_on_positives", (3,)),
    ("header_of_another_patient", (1,)),
    ("repeat_fresh_container", (1,)),
    ("repeat_other_batch", (1,)),
)


def protocol(patients=20, tests=TESTS):
    given = Protocol.model_validate(
        {
            "proctor": "protocol/1",
            "name": "stressed",
            "title": "Stressed",
            "task": {"kind": "binary", "target": "opacity", "unit": "image"},
            "stress": {"patients": patients, "perturbations": [{"name": name} for name, _ in tests]},
        }
    )
    return given.with_stress_tests(tuple(resolved_test(find(name), chosen) for name, chosen in tests))


def hold_out(patients=60, positives=15):
    """Three cases a patient; a positive patient has one positive case, every tenth case has no truth."""
    rows = [
        (f"p{p:03d}", f"c{p:03d}-{i}", int(p < positives and i == 1))
        for p in range(patients)
        for i in range(3)
    ]
    cases = pa.table({"case_id": [row[1] for row in rows], "patient_key": [row[0] for row in rows]})
    labels = [None if index % 10 == 0 else row[2] for index, row in enumerate(rows)]
    return cases, pa.table({"case_id": [row[1] for row in rows], "opacity": pa.array(labels, pa.int8())})


def plan(run=RUN, holdout=HOLDOUT, given=None, tables=None, batches=False):
    cases, reference = tables or hold_out()
    return make_plan(cases, reference, given or protocol(), run_key=run, sample_key=holdout, batches=batches)


def truth_of(tables):
    _cases, reference = tables
    return dict(zip(reference["case_id"].to_pylist(), reference["opacity"].to_pylist(), strict=True))


def test_equal_keys_give_equal_plans_and_another_run_the_same_sample_under_other_names():
    first = plan()
    assert plan() == first
    other = plan(run=OTHER_RUN)
    assert other.sample == first.sample
    assert not {ask.token for ask in other.asks} & {ask.token for ask in first.asks}
    places = {(ask.case_id, ask.perturbation, ask.severity): number for number, ask in enumerate(first.asks)}
    assert [places[ask.case_id, ask.perturbation, ask.severity] for ask in other.asks] != sorted(
        places.values()
    )
    assert plan(holdout=OTHER_RUN).sample != first.sample


def test_the_sample_is_balanced_labelled_and_one_case_a_patient():
    tables = hold_out()
    sample = plan(tables=tables).sample
    truth = truth_of(tables)
    assert Counter(truth[case] for case in sample) == {0: 10, 1: 10}
    assert len({case.partition("-")[0] for case in sample}) == 20


def test_a_class_that_is_short_is_made_up_for_by_the_other():
    tables = hold_out(positives=4)
    truth = truth_of(tables)
    assert Counter(truth[case] for case in plan(tables=tables).sample)[0] >= 16
    assert len(plan(given=protocol(patients=5000)).sample) == 60


def test_every_perturbation_is_put_to_every_sampled_case_whatever_its_truth():
    found = plan()
    asked = Counter((ask.perturbation, ask.severity) for ask in found.asks)
    assert asked == dict.fromkeys(
        [
            ("clean", 1),
            ("dr_gamma", 1),
            ("dr_gamma", 5),
            ("side_marker_on_positives", 3),
            ("header_of_another_patient", 1),
            ("repeat_fresh_container", 1),
        ],
        20,
    )
    for name in ("clean", "side_marker_on_positives"):
        assert sorted(ask.case_id for ask in found.asks if ask.perturbation == name) == list(found.sample)


def test_another_batch_is_asked_only_where_there_are_batches():
    assert "repeat_other_batch" in {ask.perturbation for ask in plan(batches=True).asks}


def test_each_ask_has_a_name_and_a_key_of_its_own_like_those_of_clean_cases():
    asks = plan().asks
    assert len({ask.token for ask in asks}) == len({ask.key for ask in asks}) == len(asks)
    assert {len(ask.token) for ask in asks} == {len(keyed_token(RUN, "pseudonym", "c001-1"))}


def test_the_order_mixes_perturbations_and_cases_and_clean_ones_among_them():
    asks = plan().asks
    assert Counter(ask.session for ask in asks) == {"main": 100, "fresh": 20}
    same = sum(a.perturbation == b.perturbation for a, b in itertools.pairwise(asks))
    assert same < len(asks) / 2
    cases = hold_out()[0]["case_id"].to_pylist()
    clean = [Ask(token=keyed_token(RUN, "pseudonym", case), case_id=case) for case in cases]
    mixed = in_order([*clean, *asks], RUN)
    assert [ask for ask in mixed if ask.stressed] == list(asks)
    runs = sum(a.stressed != b.stressed for a, b in itertools.pairwise(mixed))
    # Wald and Wolfowitz 1940: 2mn / (m + n) runs are expected of m and n things in random order.
    expected = 2 * len(clean) * len(asks) / len(mixed)
    assert abs(runs - expected) < 4 * (expected / 2) ** 0.5


def test_donors_are_other_patients_of_the_same_class():
    tables = hold_out()
    truth = truth_of(tables)
    asks = [ask for ask in plan(tables=tables).asks if ask.perturbation == "header_of_another_patient"]
    for ask in asks:
        assert truth[ask.donor] == truth[ask.case_id]
        assert ask.donor.partition("-")[0] != ask.case_id.partition("-")[0]
    assert len({ask.donor for ask in asks}) == len(asks)
    assert {ask.donor for ask in plan().asks if ask.perturbation != "header_of_another_patient"} == {None}


def test_markers_are_swapped_with_patients_of_the_other_class():
    tables = hold_out()
    truth = truth_of(tables)
    tests = (("corners_swapped", (1,)),)
    asks = plan(given=protocol(tests=tests), tables=tables).asks
    swapped = [ask for ask in asks if ask.perturbation == "corners_swapped"]
    assert len(swapped) == 20
    assert all(truth[ask.donor] != truth[ask.case_id] for ask in swapped)


def test_a_registry_that_means_something_else_by_now_is_refused():
    registered = protocol()
    tests = tuple(
        test.model_copy(update={"labels": ("1.2 gamma", "2.5 gamma")}) if test.name == "dr_gamma" else test
        for test in registered.stress.tests
    )
    with pytest.raises(EvaluationRefusedError, match="dr_gamma is not the one"):
        plan(given=registered.with_stress_tests(tests))
