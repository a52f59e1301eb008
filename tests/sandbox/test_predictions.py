"""Answers reduced to the levels of the output schema: hidden low bits do not survive."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.asking.predictions import Prediction, columns, level, read, typed, values, write
from sandbox.errors import PredictionError
from sandbox.plan.output_schema import GradesOutput, ScoreOutput

OUTPUT = ScoreOutput(minimum=-1.0, maximum=3.0, levels=101).numbers[0]


@given(st.floats(-1.0, 3.0))
def test_a_level_stands_for_a_score_at_most_half_a_step_away(score):
    kept = values(pa.array([level(score, OUTPUT)]), OUTPUT)[0].as_py()
    assert abs(kept - score) <= 0.02 + 1e-12


@given(st.floats(-1.0, 3.0), st.floats(-1.0, 3.0))
def test_order_is_kept(one, other):
    if one <= other:
        assert level(one, OUTPUT) <= level(other, OUTPUT)


@given(st.integers(0, 100), st.floats(-0.019, 0.019))
def test_low_bits_vanish(chosen, hidden):
    score = min(3.0, max(-1.0, -1.0 + chosen * 0.04 + hidden))
    assert level(score, OUTPUT) == chosen


@pytest.mark.parametrize("score", [-1.0001, 3.0001, float("nan"), float("inf")])
def test_a_score_outside_the_range_is_a_defect_here(score):
    with pytest.raises(PredictionError):
        level(score, OUTPUT)


def test_equal_predictions_give_equal_bytes_whatever_their_order(tmp_path):
    made = [
        Prediction(
            case_id=f"c{number}",
            levels=(number, 2) if number % 3 else None,
            failure=None if number % 3 else "timeout",
        )
        for number in range(20)
    ]
    write(made, tmp_path / "a.parquet")
    write(reversed(made), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read(tmp_path / "a.parquet")["failure"].to_pylist()[0] == "timeout"


def test_what_is_not_predictions_is_told(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(PredictionError, match=r"x\.parquet"):
        read(tmp_path / "x.parquet")


def test_an_answer_of_several_numbers_comes_back_by_number(tmp_path):
    numbers = GradesOutput(names=("low", "middle", "high"), probability_levels=5).numbers
    answer = {"grade": 2.0, "low": 0.1, "middle": 0.3, "high": 0.9}
    made = [
        Prediction(case_id="b", levels=typed(answer, numbers), failure=None),
        Prediction(case_id="a", levels=None, failure="timeout"),
    ]
    write(made, tmp_path / "x.parquet")
    found = [column.to_pylist() for column in columns(read(tmp_path / "x.parquet"), numbers)]
    assert found == [[None, 2.0], [None, 0.0], [None, 0.25], [None, 1.0]]
    with pytest.raises(PredictionError, match="another output schema"):
        columns(read(tmp_path / "x.parquet"), numbers[:2])
