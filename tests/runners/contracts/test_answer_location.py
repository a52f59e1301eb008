"""Where the answer is: what may be declared, and what is read there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.answers import NumberRange
from runners.contracts.answer_location import located_answer, parse_location
from runners.errors import ContractRefused
from runners.failures import CaseFailed, FailureCode, RefusalCode

ONE = {"score": NumberRange(minimum=0, maximum=1)}
TWO = ONE | {"risk": NumberRange(minimum=0, maximum=10)}


def read(text, content, ranges=ONE, case="c1"):
    location = parse_location(text)
    contents = dict.fromkeys(location.files_of(case, ranges), content.encode())
    return located_answer(contents, location, case, ranges)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "answer",
        "answer.txt",
        "/answer.json",
        "../answer.json",
        "a/../b.json",
        ".hidden.json",
        "answer.json#score",
        "answer.json#/a~2b",
        "answer.csv",
        "answer.csv#score",
        "answer.csv#=score",
        "{other}.json",
        "answer.json#/{x}",
        "a\n.json",
        "a.json\n",
        "*.json",
        "*/mask.nii",
        "mask*.nii",
        "mask.nii#0",
        "mask.nii#x",
        "mask.nii#123456",
        "mask.tif",
        ".nii.gz",
    ],
)
def test_places_that_cannot_be_declared(text):
    with pytest.raises(ContractRefused):
        parse_location(text)


@pytest.mark.parametrize(
    ("place", "content", "score"),
    [
        ("a.json", "0.25", 0.25),
        ("a.json", "1", 1.0),
        ("sub/a.json#/s", '{"s": 0.5}', 0.5),
        ("a.json#/s/1/p", '{"s": [0, {"p": 0.5}]}', 0.5),
        ("a.json#/a~1b/m~0n", '{"a/b": {"m~n": 0.5}}', 0.5),
        ("a.json#/", '{"": 0.5}', 0.5),
        ("a.json#/{case}", '{"c1": 0.5, "c10": 0.1}', 0.5),
        ("a.json", '{"score": 0.5}', 0.5),
        ("a.json#/x", '{"x": 0.5, "y": NaN}', 0.5),
        ("a.csv#id=p", "id,p\nc0,0.1\nc1,0.5\n", 0.5),
        ("a.csv#id=p", "\ufeffp,id\r\n0.5,c1\r\n", 0.5),
        ("a.csv#id=p", 'id,note,p\nc1,"a,b",5e-1\n', 0.5),
    ],
)
def test_numbers_at_their_places(place, content, score):
    assert read(place, content).values == {"score": score}


def test_several_numbers_and_refusals():
    assert read("a.json", '{"risk": 3, "score": 1}', TWO).values == {"score": 1.0, "risk": 3.0}
    assert read("a.json", '{"refused": "poor_quality"}').refusal is RefusalCode.POOR_QUALITY


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("a.json#/{output}", '{"risk": 3, "score": 1, "more": [NaN]}'),
        ("a.json#/classes/{output}/p", '{"classes": {"score": {"p": 1}, "risk": {"p": 3}}, "top": "risk"}'),
        ("a.json#/{case}/{output}", '{"c1": {"score": 1, "risk": 3}}'),
        ("a.csv#id=p_{output}", "id,p_score,p_risk,note\nc1,1,3,x\n"),
    ],
)
def test_each_number_may_have_a_place_of_its_own(place, content):
    assert read(place, content, TWO).values == {"score": 1.0, "risk": 3.0}


def test_each_number_may_have_a_file_of_its_own():
    named = {"grade 1/2": ONE["score"], "b": ONE["score"]}
    location = parse_location("out/{output}.json#/{output}")
    assert location.files_of("c1", named) == ("out/grade_1_2.json", "out/b.json")
    contents = {"out/grade_1_2.json": b'{"grade 1/2": 0.25}', "out/b.json": b'{"b": 1}'}
    assert located_answer(contents, location, "c1", named).values == {"grade 1/2": 0.25, "b": 1.0}
    contents.pop("out/b.json")
    with pytest.raises(CaseFailed) as caught:
        located_answer(contents, location, "c1", named)
    assert caught.value.code is FailureCode.OUTPUT_MISSING


def test_a_refusal_may_stand_in_a_number_s_place():
    answer = read("a.json#/{output}", '{"risk": 3, "score": {"refused": "poor_quality"}}', TWO)
    assert answer.refusal is RefusalCode.POOR_QUALITY


@pytest.mark.parametrize(
    ("place", "content", "code"),
    [
        ("a.json", "", FailureCode.GARBAGE),
        ("a.json", "[" * 100_000, FailureCode.GARBAGE),
        ("a.json", "9" * 5_000, FailureCode.GARBAGE),
        ("a.json", "1e999", FailureCode.GARBAGE),
        ("a.json", "true", FailureCode.GARBAGE),
        ("a.json", "null", FailureCode.GARBAGE),
        ("a.json", "NaN", FailureCode.GARBAGE),
        ("a.json", '"0.5"', FailureCode.GARBAGE),
        ("a.json", "[0.5]", FailureCode.GARBAGE),
        ("a.json", '{"score": 0.5, "more": 1}', FailureCode.GARBAGE),
        ("a.json", '{"refused": "excuse"}', FailureCode.GARBAGE),
        ("a.json#/{output}", '{"score": "1"}', FailureCode.GARBAGE),
        ("a.json#/{output}", '{"score": 2}', FailureCode.OUT_OF_RANGE),
        ("a.json#/{output}", "{}", FailureCode.OUTPUT_MISSING),
        ("a.json", '{"refused": []}', FailureCode.GARBAGE),
        ("a.json#/s", '{"s": 1, "s": 0}', FailureCode.GARBAGE),
        ("a.json", "2", FailureCode.OUT_OF_RANGE),
        ("a.json", "-0.0001", FailureCode.OUT_OF_RANGE),
        ("a.json#/s", "{}", FailureCode.OUTPUT_MISSING),
        ("a.json#/0", "0.5", FailureCode.OUTPUT_MISSING),
        ("a.json#/01", "[0, 0.5]", FailureCode.OUTPUT_MISSING),
        ("a.json#/-1", "[0, 0.5]", FailureCode.OUTPUT_MISSING),
        ("a.csv#id=p", "", FailureCode.GARBAGE),
        ("a.csv#id=p", "id,id,p\nc1,c1,0.5\n", FailureCode.GARBAGE),
        ("a.csv#id=p", "id,p\nc1,0.5\nc1,0.6\n", FailureCode.GARBAGE),
        ("a.csv#id=p", "id,p\nc1,\n", FailureCode.GARBAGE),
        ("a.csv#id=p", "id,p\nc1,1_0\n", FailureCode.GARBAGE),
        ("a.csv#id=p", "id,p\nc1,nan\n", FailureCode.OUT_OF_RANGE),
        ("a.csv#id=p", "id,p\nc1,inf\n", FailureCode.OUT_OF_RANGE),
        ("a.csv#id=p", "id,p\nc10,0.5\n", FailureCode.OUTPUT_MISSING),
        ("a.csv#id=p", "id,p\nc1\n", FailureCode.OUTPUT_MISSING),
    ],
)
def test_everything_else_is_a_failure_of_the_case(place, content, code):
    with pytest.raises(CaseFailed) as caught:
        read(place, content)
    assert caught.value.code is code


@given(content=st.binary(max_size=200), place=st.sampled_from(["a.json", "a.json#/s/0", "a.csv#id=p"]))
def test_any_bytes_are_an_answer_or_a_failure(content, place):
    try:
        location = parse_location(place)
        answer = located_answer({location.file_of("c1"): content}, location, "c1", ONE)
    except CaseFailed:
        return
    assert answer.refusal is not None or 0 <= answer.values["score"] <= 1


@pytest.mark.parametrize(
    ("text", "file", "value"),
    [
        ("mask.nii.gz", "mask.nii.gz", None),
        ("{case}/mask.mha#3", "c1/mask.mha", 3),
        ("images/lesion/*.mha", "images/lesion/*.mha", None),
        ("*.png", "*.png", None),
        ("seg.dcm#12", "seg.dcm", 12),
    ],
)
def test_places_of_masks(text, file, value):
    location = parse_location(text)
    assert (location.is_mask, location.file_of("c1"), location.value) == (True, file, value)
    assert str(location) == text
    assert not parse_location("a.json#/1").is_mask
