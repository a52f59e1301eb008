"""Parsing of answers: what is accepted is exactly what the contract says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.answers import NumberRange, answer_ranges, parse_answer, parse_object
from runners.failures import CaseFailed, FailureCode, RefusalCode

RANGES = {"score": NumberRange(minimum=0, maximum=1)}


def code_of(line, ranges=RANGES):
    with pytest.raises(CaseFailed) as caught:
        parse_answer(line, "a", ranges)
    return caught.value.code


@given(st.floats(min_value=0, max_value=1), st.text(max_size=20))
def test_every_honest_answer_is_read_as_it_is(score, case):
    line = json.dumps({"case": case, "answer": {"score": score}}).encode()
    assert parse_answer(line, case, RANGES).values == {"score": score}


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_have_the_agreed_shape(line):
    try:
        value = parse_object(line)
    except CaseFailed as failure:
        value, code = None, failure.code
    if value is None:
        assert code is FailureCode.GARBAGE
    else:
        assert value == json.loads(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_refused_with_a_code(value):
    for line in (value, {"case": "a", "answer": value}, {"case": value, "answer": {"score": 1}}):
        answer = code = None
        try:
            answer = parse_answer(json.dumps(line).encode(), "a", RANGES)
        except CaseFailed as failure:
            code = failure.code
        if answer is None:
            assert code in (FailureCode.GARBAGE, FailureCode.WRONG_CASE, FailureCode.OUT_OF_RANGE)
        else:
            assert 0 <= answer.values["score"] <= 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"case": "a", "answer": {"score": 1, "score": 0}}', FailureCode.GARBAGE),
        (b'{"case": "a", "case": "b", "answer": {"score": 1}}', FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": NaN}}', FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": -Infinity}}', FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": 1e400}}', FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": ' + b"9" * 5000 + b"}}", FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": 1}, "note": 1}', FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {}}', FailureCode.GARBAGE),
        (b'{"case": "a"}', FailureCode.GARBAGE),
        (b'{"case": "a", "refused": ["not_supported"]}', FailureCode.GARBAGE),
        (b'{"case": "a", "refused": "because"}', FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": 1}} {}', FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": 1}}\xff', FailureCode.GARBAGE),
        (b'\xef\xbb\xbf{"case": "a", "answer": {"score": 1}}', FailureCode.GARBAGE),
        (b"[" * 3000, FailureCode.GARBAGE),
        (b'{"case": "a", "answer": {"score": -0.0001}}', FailureCode.OUT_OF_RANGE),
        (b'{"case": "b", "answer": {"score": 9}}', FailureCode.WRONG_CASE),
    ],
)
def test_what_is_not_an_answer(line, code):
    assert code_of(line) is code


def test_refusals_are_a_closed_list():
    for code in RefusalCode:
        answer = parse_answer(json.dumps({"case": "a", "refused": code}).encode(), "a", RANGES)
        assert answer.refusal is code
        assert answer.values is None


def test_every_failure_has_a_sentence():
    assert all(code.sentence.endswith(".") for code in FailureCode)


@pytest.mark.parametrize("output", [None, {}, {"score": {"minimum": 1, "maximum": 1}}])
def test_a_task_must_say_what_an_answer_is(output):
    with pytest.raises(ValueError, match=r"output|minimum"):
        answer_ranges({"output": output})
