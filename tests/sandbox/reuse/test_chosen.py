"""A protocol may ask for the same or less than the policy gives, and a request for less than the protocol."""

import pytest

from sandbox.plan.release_section import AskedRelease
from sandbox.reuse.chosen import check_request, choose
from sandbox.reuse.errors import ReuseRefusedError
from sandbox.reuse.mechanisms import CHEAPEST_FIRST
from sandbox.reuse.rules import ReuseRules

RULES = ReuseRules()


def asked(**parts):
    return AskedRelease.model_validate(parts)


def test_without_a_section_the_policys_default_answers():
    chosen = choose(None, ReuseRules(mechanism="claim"))
    assert (chosen.mechanism, chosen.ladder, chosen.thresholdout) == (
        "claim",
        RULES.ladder,
        RULES.thresholdout,
    )


def test_a_mechanism_that_the_policy_does_not_allow_is_refused():
    rules = ReuseRules(mechanisms=("claim", "ladder"), mechanism="ladder")
    assert choose(asked(mechanism="claim"), rules).mechanism == "claim"
    with pytest.raises(ReuseRefusedError, match=r"full, which this institution's policy does not allow"):
        choose(asked(mechanism="full"), rules)


STRICTER = [
    {"mechanism": "ladder", "ladder": {"step": "0.02"}},
    {"mechanism": "ladder", "ladder": {"step": None}},
    {"mechanism": "thresholdout", "thresholdout": {"threshold": "0.05"}},
    {"mechanism": "thresholdout", "thresholdout": {"rate": "0.02", "budget": 3, "grid": "0.05"}},
]
LOOSER = [
    ({"mechanism": "ladder", "ladder": {"step": "0.001"}}, "steps of 0.001"),
    ({"mechanism": "thresholdout", "thresholdout": {"threshold": "0.03"}}, "threshold 0.03"),
    ({"mechanism": "thresholdout", "thresholdout": {"rate": "0.005"}}, "rate 0.005"),
    ({"mechanism": "thresholdout", "thresholdout": {"grid": "0.001"}}, "grid 0.001"),
    ({"mechanism": "thresholdout", "thresholdout": {"budget": 11}}, "budget 11"),
    ({"mechanism": "thresholdout", "thresholdout": {"variant": "auc"}}, "variant auc"),
]


@pytest.mark.parametrize("parts", STRICTER)
def test_parameters_that_tell_less_are_taken_as_registered(parts):
    wanted = asked(**parts)
    chosen = choose(wanted, RULES)
    assert getattr(chosen, parts["mechanism"]) == getattr(wanted, parts["mechanism"])


@pytest.mark.parametrize(("parts", "named"), LOOSER)
def test_parameters_that_tell_more_are_refused_and_named(parts, named):
    with pytest.raises(ReuseRefusedError, match=named):
        choose(asked(**parts), RULES)


def test_the_parameter_free_ladder_is_more_than_a_policy_with_steps():
    rules = ReuseRules.model_validate({"ladder": {"step": "0.05"}})
    with pytest.raises(ReuseRefusedError, match="parameter-free"):
        choose(asked(mechanism="ladder", ladder={"step": None}), rules)
    with pytest.raises(ReuseRefusedError, match=r"0\.05 or more"):
        choose(asked(mechanism="ladder", ladder={"step": "0.04"}), rules)


@pytest.mark.parametrize("settled", CHEAPEST_FIRST)
@pytest.mark.parametrize("wanted", CHEAPEST_FIRST)
def test_a_request_goes_down_never_up(settled, wanted):
    chosen = choose(asked(mechanism=settled), RULES)
    if CHEAPEST_FIRST.index(wanted) <= CHEAPEST_FIRST.index(settled):
        check_request(wanted, chosen, RULES)
        return
    with pytest.raises(ReuseRefusedError, match="tells more"):
        check_request(wanted, chosen, RULES)


def test_a_request_for_what_the_policy_does_not_allow_is_refused():
    rules = ReuseRules(mechanisms=("ladder", "full"))
    with pytest.raises(ReuseRefusedError, match="The request asks for the mechanism claim"):
        check_request("claim", choose(None, rules), rules)
