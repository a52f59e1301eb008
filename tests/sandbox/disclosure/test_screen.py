"""The rules over scored cases: what passes, what is withheld, and that the audit's facts are true."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from sandbox.disclosure.audit import audit
from sandbox.disclosure.counted import count
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.screen import plan, protocol_mark, screen
from sandbox.plan.protocol import Protocol
from sandbox.reuse.bits import cost
from sandbox.scoring.score import score

RULES = DisclosureRules()
EVERY_METRIC = ("auroc", "sensitivity", "specificity", "ppv", "npv", "failure_rate")


def protocol(**changes):
    document = {
        "proctor": "protocol/1",
        "name": "test",
        "title": "Test",
        "task": {"kind": "binary", "target": "finding", "unit": "image"},
        "operating_points": [{"name": "half", "threshold": 0.5}, {"name": "high", "threshold": 0.7}],
        "strata": [{"attribute": "sex"}, {"attribute": "site"}, {"cross": ["sex", "site"]}],
        "intervals": {"bootstrap_replicates": 200},
        "acceptance": [
            {"name": "ranks", "metric": "auroc", "bound": "lower", "at_least": 0.6},
            {
                "name": "finds",
                "metric": "sensitivity",
                "operating_point": "half",
                "bound": "lower",
                "at_least": 0.5,
            },
            {"name": "answers", "metric": "failure_rate", "bound": "upper", "at_most": 0.05},
        ],
    }
    return Protocol.model_validate_json(json.dumps(document | changes), strict=True)


def table(n=400, seed=1, share=0.45, per_patient=1, rare=6, failed=()):
    random = np.random.default_rng(seed)
    reference = (random.random(n) < share).astype(int)
    values = np.round(np.clip(random.normal(0.4 + 0.25 * reference, 0.2), 0, 1), 3).tolist()
    codes = [None] * n
    for index in failed:
        values[index], codes[index] = None, "timeout"
    site = np.where(np.arange(n) < rare, "small", np.where(random.random(n) < 0.5, "north", "south"))
    return pa.table(
        {
            "case_id": [f"case-{index:05d}" for index in range(n)],
            "patient_key": [f"patient-{index // per_patient:05d}" for index in range(n)],
            "reference": pa.array(reference.tolist(), pa.int8()),
            "score": pa.array(values, pa.float64()),
            "failure": pa.array(codes, pa.string()),
            "sex": pa.array(random.choice(["F", "M"], n).tolist(), pa.string()),
            "site": pa.array(site.tolist(), pa.string()),
        }
    )


def screened(rules=RULES, selection=None, plan_changes=None, **changes):
    results = score(table(**changes), protocol(**(plan_changes or {})), "e")
    return results, screen(results, rules, scope="s", selection=selection)


def value(found, ending):
    (field,) = [field for field in found.fields if field.path.endswith(ending)]
    return field.value


@pytest.mark.parametrize("failures", ["worst_case", "excluded"])
@pytest.mark.parametrize(("per_patient", "extreme"), [(1, "withheld"), (2, "released")])
def test_what_a_field_tells_is_true(failures, per_patient, extreme):
    rules = DisclosureRules(
        label_free="rules",
        extreme_rates=extreme,
        metrics=("auroc", "sensitivity", "ppv", "npv", "specificity", "failure_rate"),
    )
    results, found = screened(
        rules, plan_changes={"failures": failures}, per_patient=per_patient, failed=range(3, 40, 3)
    )
    truth = count(results, "s", protocol_mark(results.protocol_digest)).values
    assert all(constraint.holds(truth) for constraint in found.structure)
    for field in found.fields:
        for constraint in field.constraints:
            assert constraint.holds(truth), (field.path, constraint)


def test_the_cost_before_the_run_is_the_cost_after_it():
    results, found = screened(failed=(1, 2))
    groups = [f"{item.attribute}={item.level}" for item in results.composition]
    planned = plan(protocol(), groups, results.flow.cases, RULES, scope="s")
    assert [field.path for field in planned] == [field.path for field in found.fields]
    assert cost(planned) == cost(found.fields)
    assert all(math.isclose(field.bits, math.log2(field.levels)) for field in planned)


def test_small_groups_and_small_cells_are_withheld():
    _, found = screened()
    assert value(found, "/all/auroc/value") is not None
    assert value(found, "site=small/auroc/value") is None
    assert value(found, "/site=small/patients") is None
    sentences = {verdict.rule: verdict.sentence for verdict in found.verdicts if not verdict.passed}
    assert "patients" in sentences
    assert not any(
        character.isdigit() for rule in ("patients", "cells") for character in sentences.get(rule, "")
    )


def test_what_would_give_a_withheld_number_back_is_withheld_too():
    results, found = screened()
    shown = {level: value(found, f"/site={level}/patients") for level in ("north", "small", "south")}
    assert shown["small"] is None
    assert list(shown.values()).count(None) == 2
    (other,) = [level for level, text in shown.items() if text is None and level != "small"]
    sizes = {item.level: item.patients for item in results.composition if item.attribute == "site"}
    assert sizes[other] == min(size for level, size in sizes.items() if level != "small")


def test_values_stand_on_their_grids():
    _, found = screened()
    for field in found.released:
        if field.grid is not None:
            steps = float(field.value) / float(field.grid)
            assert math.isclose(steps, round(steps), abs_tol=1e-9)
            assert "constraints" not in field.public


def test_all_or_nothing_is_withheld_unless_the_switch_says_so():
    perfect = table(rare=0)
    perfect = perfect.set_column(3, "score", pa.array([float(r) for r in perfect["reference"].to_pylist()]))
    results = score(perfect, protocol(), "e")
    strict = screen(results, RULES, scope="s")
    open_rules = DisclosureRules(extreme_rates="released")
    loose = screen(results, open_rules, scope="s")
    assert value(strict, "/half/all/sensitivity/value") is None
    assert (
        value(loose, "/half/all/sensitivity/value") == "1.00"
        or value(loose, "/half/all/sensitivity/value") == "1.0"
    )
    assert not any("/half" in cell for cell in loose.protected if cell.endswith("/fn") and "/all/" in cell)
    (verdict,) = [v for v in strict.verdicts if v.field.endswith("/half/all/sensitivity/value")]
    assert (verdict.rule, verdict.passed) == ("extreme_rates", False)


def test_label_free_numbers_are_not_even_named_by_default():
    _, found = screened(failed=range(30))
    assert not any("failure" in field.path for field in found.fields)
    _, told = screened(DisclosureRules(label_free="rules"), failed=range(30))
    assert value(told, "/all/failures/timeout") == "30"
    assert value(told, "/all/failures/crashed") is None


def test_only_what_is_asked_for_is_told_and_paid():
    _, found = screened(selection=lambda path: path.endswith(("/verdict", "/all/auroc/value")))
    assert [field.path.rsplit("/", 2)[-2:] for field in found.fields][-1] == ["auroc", "value"]
    assert cost(found.fields) == math.log2(4) + math.log2(102)


def test_the_numbers_over_all_cases_pass_the_audit_of_the_default_policy():
    _, found = screened(selection=lambda path: "=" not in path)
    assert audit([], found.constraints, protected=found.protected, minimum_width=RULES.minimum_width).safe


def test_exact_numbers_of_everything_do_not():
    rules = DisclosureRules(
        minimum_cell=1, count_base=1, interval_base=1, rate_grids=("0.001",), score_grid="0.001"
    )
    _, found = screened(rules)
    told = audit([], found.constraints, protected=found.protected, minimum_width=RULES.minimum_width)
    assert len(told.refused) > 20


def test_the_same_numbers_again_tell_nothing_new():
    _, found = screened(selection=lambda path: "=" not in path)
    once = audit([], found.constraints, protected=found.protected, minimum_width=4)
    twice = audit(found.constraints, found.constraints, protected=found.protected, minimum_width=4)
    assert once.findings == twice.findings
