"""Whether site or scanner can be told from the score: against scipy, brute force and planted shortcuts."""

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from sandbox.evidence.stress_arithmetic import stress_contradictions
from sandbox.outcome.stress_results import from_json, to_json
from sandbox.outcome.stress_step import SCHEMA
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import resolved_test
from sandbox.report.stress_findings import shortcut_line, stress_line
from sandbox.scoring.stress import shortcuts
from sandbox.scoring.stress.score import score_stress
from sandbox.scoring.stress.shortcuts import find_shortcuts
from sandbox.stress.registry import find


def protocol(names=("scanner",), replicates=2000, smallest=5):
    given = Protocol.model_validate(
        {
            "proctor": "protocol/1",
            "name": "shortcuts",
            "title": "Shortcuts",
            "task": {"kind": "binary", "target": "opacity", "unit": "image"},
            "intervals": {"bootstrap_replicates": replicates},
            "minimum": {"patients": smallest},
            "stress": {
                "patients": 20,
                "perturbations": [{"name": "dr_gamma"}],
                "shortcuts": list(names),
                "margins": {"auroc": 0.05},
            },
        }
    )
    return given.with_stress_tests((resolved_test(find("dr_gamma"), (1,)),))


def world(n=400, shift=0.0, seed=1, cases=1, scanners=3):
    """``shift`` is what the scores of scanner S0 have too much, in either class; every patient has one scanner."""
    numbers = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n), cases)
    truth = (np.arange(n) % 2 == 0)[patient]
    scanner = numbers.integers(0, scanners, n)[patient]
    own = numbers.normal(size=n)[patient]
    score = truth + own + 0.1 * numbers.normal(size=patient.size) + shift * (scanner == 0)
    return pa.table(
        {
            "case_id": [f"c{i:05d}" for i in range(patient.size)],
            "patient_key": [f"p{i:05d}" for i in patient],
            "reference": pa.array(truth.astype(int).tolist(), pa.int8()),
            "scanner": [f"S{i}" for i in scanner],
            "site": [f"{'north' if i % 2 else 'south'}" for i in patient],
            "score": score,
            "failure": pa.nulls(patient.size, pa.string()),
        }
    )


def test_a_planted_shift_is_told_in_both_classes_and_no_shift_is_not():
    (found,) = find_shortcuts(world(shift=1.5), protocol(), "e-1")
    assert (found.verdict, found.shown) == ("outside", True)
    assert {group.positive for group in found.groups if group.level == "S0" and group.shown} == {True, False}
    assert "S0 against the others" in found.reason
    (nothing,) = find_shortcuts(world(), protocol(), "e-1")
    assert not nothing.shown
    assert not any(group.shown for group in nothing.groups)
    assert nothing.verdict == "cannot_tell"


def test_groups_are_compared_as_mann_and_whitney_compare_them():
    table = world(n=90, shift=0.4, scanners=4)
    (found,) = find_shortcuts(table, protocol(), "e-1")
    frame = table.to_pydict()
    assert len(found.groups) == 8
    for group in found.groups:
        rows = [i for i, truth in enumerate(frame["reference"]) if bool(truth) == group.positive]
        inside = [frame["score"][i] for i in rows if frame["scanner"][i] == group.level]
        others = [frame["score"][i] for i in rows if frame["scanner"][i] != group.level]
        u = stats.mannwhitneyu(inside, others).statistic
        assert group.auroc.value == pytest.approx(u / (len(inside) * len(others)))
        assert (group.patients, group.others) == (len(inside), len(others))


def test_all_groups_together_are_kruskal_and_wallis_by_permutation():
    """With one class, p agrees with scipy's chi-square form (60 patients in three groups, mid-sized H)."""
    table = world(n=120, shift=0.35, seed=5)
    table = table.filter(pa.compute.equal(table["reference"], 1))
    (found,) = find_shortcuts(table, protocol(replicates=20_000), "e-1")
    frame = table.to_pydict()
    samples = [
        [score for score, name in zip(frame["score"], frame["scanner"], strict=True) if name == each]
        for each in ("S0", "S1", "S2")
    ]
    expected = stats.kruskal(*samples).pvalue
    assert 0.01 < expected < 0.6
    assert found.p == pytest.approx(expected, abs=0.02)
    assert found.adjusted_p == found.p


def test_permutation_and_its_normal_form_agree(monkeypatch):
    names = ("scanner", "site")
    table = world(n=300, shift=0.5)
    permuted = find_shortcuts(table, protocol(names, replicates=20_000), "e-1")
    monkeypatch.setattr(shortcuts, "MOST_PERMUTED", 10)
    normal = find_shortcuts(table, protocol(names, replicates=20_000), "e-1")
    for one, other in zip(permuted, normal, strict=True):
        assert one.p == pytest.approx(other.p, abs=0.02)
        for a, b in zip(one.groups, other.groups, strict=True):
            assert a.chance_high == pytest.approx(b.chance_high, abs=0.01)
            assert a.adjusted_p == pytest.approx(b.adjusted_p, abs=0.03)


def test_one_family_holds_its_level_over_all_groups_and_attributes():
    """300 worlds without a shortcut, eight comparisons each: any is shown in about 5 %, not in 34 %."""
    any_shown = [
        any(group.shown for found in find_shortcuts(table, given, "e-1") for group in found.groups)
        for given in [protocol(("scanner", "site"), replicates=200)]
        for table in (world(n=80, seed=seed) for seed in range(300))
    ]
    # Three standard errors of a proportion of 0.05 in 300.
    assert np.mean(any_shown) < 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_a_patient_with_many_cases_counts_once():
    """Ten cases a patient must not turn differences between patients into certainty about the scanner."""
    shown = [
        find_shortcuts(world(n=60, cases=10, seed=seed), protocol(), "e-1")[0].shown for seed in range(40)
    ]
    assert sum(shown) <= 6


def test_a_crossing_a_small_group_and_a_patient_of_several_groups():
    table = world(n=200, cases=2)
    scanner = table["scanner"].to_pylist()
    scanner[0], scanner[1] = "S0", "S1"
    scanner[2:6] = ["rare"] * 4
    table = table.set_column(table.schema.get_field_index("scanner"), "scanner", pa.array(scanner))
    found, crossed = find_shortcuts(table, protocol(("scanner", "scanner x site")), "e-1")
    assert {group.level for group in found.groups} == {"S0", "S1", "S2"}
    assert all(group.patients + group.others == 100 for group in found.groups)
    assert {group.level.count(" x ") for group in crossed.groups} == {1}


def test_of_two_groups_one_comparison_is_made_and_equal_scores_tell_nothing():
    table = world(n=100, scanners=2)
    (found,) = find_shortcuts(table, protocol(), "e-1")
    assert [group.positive for group in found.groups] == [True, False]
    equal = table.set_column(table.schema.get_field_index("score"), "score", pa.array(np.full(100, 0.5)))
    (same,) = find_shortcuts(equal, protocol(), "e-1")
    assert not same.shown
    assert {group.auroc.value for group in same.groups} == {0.5}


def test_the_number_of_cases_a_patient_has_is_not_told_by_rounding():
    """One scanner takes three images a patient, the other one: sums of 0.9 divided by three are not quite 0.9."""
    few, many = world(n=100, scanners=1), world(n=100, cases=3, scanners=1, seed=2)
    table = pa.concat_tables(
        [
            few,
            many.set_column(3, "scanner", pa.array(["S9"] * 300)).set_column(
                1, "patient_key", pa.array([f"q{i // 3}" for i in range(300)])
            ),
        ]
    )
    score = [0.9 if truth else 0.1 for truth in table["reference"].to_pylist()]
    table = table.set_column(table.schema.get_field_index("score"), "score", pa.array(score))
    (found,) = find_shortcuts(table, protocol(), "e-1")
    assert len(found.groups) == 2
    assert not found.shown
    assert {group.auroc.value for group in found.groups} == {0.5}


def test_nothing_to_compare_is_not_applicable():
    (found,) = find_shortcuts(world(n=100, scanners=1), protocol(), "e-1")
    assert (found.verdict, found.groups, found.shown) == ("not_applicable", (), False)
    assert find_shortcuts(world(), protocol(()), "e-1") == ()


def test_equal_input_gives_equal_results_and_order_does_not_matter():
    table = world(n=100, shift=0.5)
    turned = table.take(list(reversed(range(table.num_rows))))
    one, other = (find_shortcuts(each, protocol(), "e-1") for each in (table, table))
    assert one == other
    (back,) = find_shortcuts(turned, protocol(), "e-1")
    for a, b in itertools.zip_longest(one[0].groups, back.groups):
        assert (a.level, a.auroc.value) == (b.level, pytest.approx(a.auroc.value))
        assert a.auroc.value == pytest.approx(b.auroc.value)


def test_without_perturbations_the_results_hold_shortcuts_alone():
    given = Protocol.model_validate(
        {
            "proctor": "protocol/1",
            "name": "alone",
            "title": "Alone",
            "task": {"kind": "binary", "target": "opacity", "unit": "image"},
            "stress": {"shortcuts": ["scanner"]},
        }
    )
    nothing = pa.table({name: pa.array([], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)
    found = score_stress(world(shift=1.5), nothing, given, "e-1")
    assert (found.patients, found.tests, found.ranked) == (0, (), ())
    assert [each.verdict for each in found.shortcuts] == ["outside"]
    assert from_json(to_json(found)) == found
    assert stress_contradictions(found, given.document) == []
    forged = replace(found, shortcuts=(replace(found.shortcuts[0], adjusted_p=0.5),))
    assert len(stress_contradictions(forged, given.document)) == 2
    assert "no perturbation" in stress_line(found)
    assert "tells scanner" in shortcut_line(found)
