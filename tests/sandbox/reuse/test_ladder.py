"""The ladder: the rule, its state, and what a loser learns."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.reuse.errors import ReuseError
from sandbox.reuse.ladder import LadderState, fixed_step, ladder_state, parameter_free

STEP = Fraction(1, 20)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_fixed_step_is_the_published_algorithm(losses):
    """Blum and Hardt 2015, figure 1, written out: R = [R_t] rounded to the step when R_t < R - step."""
    state, best = LadderState(), float("inf")
    for index, loss in enumerate(losses):
        state, answer = fixed_step(state, submission=str(index), loss=loss, step=STEP)
        if loss < best - float(STEP):
            best = round(Fraction(loss) / STEP) * 0.05
            assert answer.improved
        assert answer.best == pytest.approx(best)
    assert state.submissions == len(losses)


def test_parameter_free_asks_for_one_standard_error():
    random = np.random.default_rng(3)
    first = (random.random(400) < 0.4).astype(float)
    state, answer = parameter_free(LadderState(), submission="a", losses=first, best_losses=None)
    assert answer.best == pytest.approx(first.mean())
    worse = first.copy()
    worse[np.flatnonzero(first)[:1]] = 0
    # One case better: the difference has mean 1/n and standard error 1/n, and must be larger, not equal.
    same, answer = parameter_free(state, submission="b", losses=worse, best_losses=first)
    assert not answer.improved
    assert same.holder == "a"
    better = first.copy()
    better[np.flatnonzero(first)[:4]] = 0
    # Four cases: mean 4/n, standard error about 2/n.
    state, answer = parameter_free(state, submission="c", losses=better, best_losses=first)
    assert answer.improved
    assert state.holder == "c"


def test_state_survives_its_plain_form():
    state, _ = fixed_step(LadderState(), submission="a", loss=0.3, step=STEP)
    assert ladder_state(json.loads(json.dumps(state.to_plain()))) == state
    for broken in ({"best": "x"}, {"unknown": 1}):
        with pytest.raises(ReuseError, match="state"):
            ladder_state(broken)


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ReuseError, match="between 0 and 1"):
        fixed_step(LadderState(), submission="a", loss=1.2, step=STEP)
    with pytest.raises(ReuseError, match="exactly when"):
        parameter_free(LadderState(best=0.3), submission="a", losses=np.zeros(4), best_losses=None)
