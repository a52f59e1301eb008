"""What is said before a run about what a release of it will not hold."""

from types import SimpleNamespace

import pyarrow as pa

from sandbox.institution.policy import load_policy
from sandbox.plan.protocol import Protocol
from sandbox.release.foresight import foresee
from tests.sandbox.disclosure.test_screen import protocol
from tests.sandbox.release.examined import change_policy


def hold_out(small):
    sites = ["rare"] * small + ["common"] * (100 - small)
    cases = pa.table({
        "case_id": [f"c{i}" for i in range(100)],
        "patient_key": [f"p{i}" for i in range(100)],
        "site": sites,
        "sex": ["F", "M"] * 50,
    })  # fmt: skip
    return SimpleNamespace(cases=cases), pa.table({"case_id": cases["case_id"], "finding": [0, 1] * 50})


def test_a_group_of_too_few_patients_is_named_when_its_numbers_are_asked_for(site):
    change_policy(site, release={"fields": ["*=*/auroc/value"]})
    policy = load_policy(site.policy_path)
    (sentence,) = foresee(policy, protocol(), *hold_out(small=9), told=[])
    assert "site=rare" in sentence
    assert "site=common" not in sentence
    assert not any(character.isdigit() for character in sentence)
    assert not any("site=rare," in each for each in foresee(policy, protocol(), *hold_out(small=10), told=[]))


def test_groups_that_nobody_asks_for_are_not_worth_a_word(site):
    assert foresee(load_policy(site.policy_path), protocol(), *hold_out(small=3), told=[]) == ()


def test_what_was_told_of_other_submissions_is_said(site):
    told = [SimpleNamespace(evaluation="e-1"), SimpleNamespace(evaluation="e-1")]
    (sentence,) = foresee(load_policy(site.policy_path), protocol(), *hold_out(small=50), told=told)
    assert "1 other evaluation" in sentence


def test_tasks_of_which_only_verdicts_leave_say_so(site):
    plan = Protocol.model_validate(
        {
            "proctor": "protocol/1", "name": "m", "title": "M",
            "task": {"kind": "measurement", "target": "volume", "unit": "image"},
            "output": {"value": {"minimum": 0, "maximum": 10, "levels": 101, "unit": "ml"}},
        }
    )  # fmt: skip
    (sentence,) = foresee(load_policy(site.policy_path), plan, *hold_out(small=50), told=[])
    assert "only verdicts" in sentence
