"""Answers of the mechanisms as fields: their texts and what they cost."""

import math
import random
from fractions import Fraction

from sandbox.reuse.ladder import LadderState, fixed_step
from sandbox.reuse.mechanisms import ladder_field, thresholdout_field
from sandbox.reuse.thresholdout import ThresholdoutSettings, begin, thresholdout

STEP = Fraction(1, 20)


def test_a_ladders_answer_costs_the_grid_and_the_answer_no():
    state, answer = fixed_step(LadderState(), submission="a", loss=0.231, step=STEP)
    field = ladder_field("s", "error", answer, STEP)
    assert (field.path, field.value, field.grid) == ("s/ladder/error", "0.25", "0.05")
    assert field.levels == 22
    _, lost = fixed_step(state, submission="b", loss=0.24, step=STEP)
    assert ladder_field("s", "error", lost, STEP).value == "0.25"


def test_thresholdouts_answer_says_agreement_in_words():
    settings = ThresholdoutSettings(rate=Fraction(1, 10_000), budget=1)
    state, texts = begin(settings), []
    for value in (0.9, 0.5, 0.5):
        state, answer = thresholdout(
            state, holdout_value=value, declared=0.9, settings=settings, source=random.Random(1)
        )
        field = thresholdout_field("s", "auroc", answer, settings.grid)
        texts.append(field.value)
        assert math.isclose(field.bits, math.log2(103))
    assert texts == ["agrees with the declared value", "0.50", "budget spent"]
