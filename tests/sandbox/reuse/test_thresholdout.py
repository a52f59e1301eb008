"""Thresholdout: agreement, noise, budget and the secret state."""

import json
import random
from fractions import Fraction

import numpy as np
import pytest

from sandbox.reuse.errors import ReuseError
from sandbox.reuse.thresholdout import ThresholdoutSettings, begin, thresholdout, thresholdout_state

QUIET = ThresholdoutSettings(rate=Fraction(1, 10_000), budget=2)


def ask(state, value, declared, settings=QUIET, seed=1):
    return thresholdout(
        state, holdout_value=value, declared=declared, settings=settings, source=random.Random(seed)
    )


def test_agreement_tells_the_declared_value_and_costs_no_budget():
    state, answer = ask(begin(QUIET), 0.81, 0.8123)
    assert (answer.agrees, answer.value) == (True, 0.8123)
    assert (state.budget_left, state.queries) == (2, 1)


def test_disagreement_tells_a_noisy_value_on_the_grid_until_the_budget_is_spent():
    state = begin(QUIET)
    for left in (1, 0):
        state, answer = ask(state, 0.714, 0.9)
        assert (answer.agrees, answer.value) == (False, 0.71)
        assert state.budget_left == left
    after, answer = ask(state, 0.9, 0.9)
    assert (answer.value, after) == (None, state)


def test_the_threshold_keeps_its_noise_until_it_is_crossed():
    settings = ThresholdoutSettings(rate=Fraction(1, 50), budget=5)
    state, _ = ask(begin(settings), 0.5, 0.5, settings)
    again, _ = ask(state, 0.5, 0.5, settings, seed=2)
    assert state.shift is not None
    assert again.shift == state.shift
    crossed, _ = ask(state, 1.0, 0.0, settings)
    assert crossed.shift is None
    assert thresholdout_state(json.loads(json.dumps(state.to_plain()))) == state


def test_the_variant_for_auc_puts_no_noise_on_the_threshold():
    settings = ThresholdoutSettings(
        variant="auc", threshold=Fraction(2, 100), rate=Fraction(3, 100), budget=5
    )
    state, _ = ask(begin(settings), 0.8, 0.8, settings)
    assert Fraction(state.shift) == 0


@pytest.mark.parametrize("variant", ["dwork", "auc"])
def test_chance_of_agreement_and_size_of_noise_are_those_of_the_method(variant):
    """At gap = T the answer is a fair coin, by symmetry; the noise has the scale s."""
    settings = ThresholdoutSettings(
        variant=variant, threshold=Fraction(1, 20), rate=Fraction(1, 50), budget=10**6, grid=Fraction(1, 1000)
    )
    source, values, agreed = random.Random(4), [], 0
    for _ in range(1500):
        _, answer = thresholdout(
            begin(settings), holdout_value=0.55, declared=0.5, settings=settings, source=source
        )
        agreed += answer.agrees
        values += [] if answer.agrees else [answer.value - 0.55]
    assert abs(agreed - 750) < 4 * np.sqrt(1500) / 2
    spread = np.std(values)
    expected = 0.02 * (np.sqrt(2) if variant == "dwork" else 1)
    assert abs(spread / expected - 1) < 0.15


def test_the_source_is_cryptographic_unless_one_is_given():
    settings = ThresholdoutSettings(rate=Fraction(1, 50), budget=10**6, grid=Fraction(1, 1000))
    answers = {
        thresholdout(begin(settings), holdout_value=0.9, declared=0.1, settings=settings)[1].value
        for _ in range(30)
    }
    assert len(answers) > 5


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ReuseError, match="between 0 and 1"):
        ask(begin(QUIET), 1.4, 0.5)
    with pytest.raises(ReuseError, match="budget"):
        begin(ThresholdoutSettings(budget=0))
    with pytest.raises(ReuseError, match="cannot be made again"):
        thresholdout_state({"budget_left": 3, "shift": "x"})
