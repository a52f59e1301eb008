"""Masks and findings in answers: the agreed form, and nothing else, within the agreed number."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from holdout.mask_runs import decode, encode, from_numbers
from runners.answers import answer_ranges, parse_answer
from runners.failures import CaseFailed, FailureCode

FORM = answer_ranges({"output": {"mask": {"runs": 12}}})


def read(mask):
    line = json.dumps({"case": "a", "answer": {"mask": mask}}).encode()
    return parse_answer(line, "a", FORM).values["mask"]


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 4))))
def test_what_is_read_is_the_mask(mask):
    runs = encode(mask)
    numbers = read({"shape": list(mask.shape), "runs": list(runs.lengths)})
    assert np.array_equal(decode(from_numbers(numbers)), mask)


def test_the_one_line_of_the_worker_page():
    for m in (np.zeros((3, 4), bool), np.ones((3, 4), bool), np.eye(3, 4, dtype=bool)):
        edges = [0, *(np.flatnonzero(np.diff(m.ravel())) + 1), m.size]
        runs = [0] * int(m.flat[0]) + np.diff(edges).tolist()
        assert tuple(runs) == encode(m).lengths


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        ([[0, 1]], FailureCode.GARBAGE),
        ({"runs": [6]}, FailureCode.GARBAGE),
        ({"shape": [2, 3], "runs": [6], "more": 1}, FailureCode.GARBAGE),
        ({"shape": [2, 3], "runs": [6.0]}, FailureCode.GARBAGE),
        ({"shape": [2, True], "runs": [2]}, FailureCode.GARBAGE),
        ({"shape": "23", "runs": [6]}, FailureCode.GARBAGE),
        ({"shape": [2, 3], "runs": []}, FailureCode.OUT_OF_RANGE),
        ({"shape": [], "runs": [1]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [2, 3], "runs": [5]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [2, 3], "runs": [-1, 7]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [2, 3], "runs": [3, 0, 3]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [6], "runs": [6]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [-2, -3], "runs": [6]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [65536, 65536], "runs": [2**32]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [65535, 65535], "runs": [65535**2]}, FailureCode.OUT_OF_RANGE),
        ({"shape": [1, 13], "runs": [1] * 13}, FailureCode.OUT_OF_RANGE),
    ],
)
def test_what_is_no_mask_fails_the_case(mask, code):
    with pytest.raises(CaseFailed) as failed:
        read(mask)
    assert failed.value.code == code


FINDINGS = answer_ranges({"output": {"findings": {"most": 2, "minimum": 0, "maximum": 1}}})


def read_findings(findings):
    line = json.dumps({"case": "a", "answer": {"findings": findings}}).encode()
    return parse_answer(line, "a", FINDINGS).values["findings"]


def test_findings_come_as_one_list():
    assert read_findings({"boxes": [], "scores": []}) == ()
    found = read_findings({"boxes": [0, 0, 1, 1, 2.5, 3, 4, 5], "scores": [0.5, 1]})
    assert found == (0, 0, 1, 1, 0.5, 2.5, 3, 4, 5, 1)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([[0, 0, 1, 1, 0.5]], FailureCode.GARBAGE),
        ({"boxes": [0, 0, 1, 1]}, FailureCode.GARBAGE),
        ({"boxes": [0, 0, 1], "scores": [0.5]}, FailureCode.GARBAGE),
        ({"boxes": [0, 0, 1, True], "scores": [0.5]}, FailureCode.GARBAGE),
        ({"boxes": [0, 0, 1, "1"], "scores": [0.5]}, FailureCode.GARBAGE),
        ({"boxes": [[0, 0, 1, 1]], "scores": [0.5]}, FailureCode.GARBAGE),
        ({"boxes": [0, 0, 1, 1] * 3, "scores": [0.5] * 3}, FailureCode.OUT_OF_RANGE),
        ({"boxes": [0, 0, 0, 1], "scores": [0.5]}, FailureCode.OUT_OF_RANGE),
        ({"boxes": [-1, 0, 1, 1], "scores": [0.5]}, FailureCode.OUT_OF_RANGE),
        ({"boxes": [0, 0, 1, 1e6], "scores": [0.5]}, FailureCode.OUT_OF_RANGE),
        ({"boxes": [0, 0, 1, 1], "scores": [1.5]}, FailureCode.OUT_OF_RANGE),
    ],
)
def test_what_are_no_findings_fails_the_case(findings, code):
    with pytest.raises(CaseFailed) as failed:
        read_findings(findings)
    assert failed.value.code == code


VOLUME = {
    form: answer_ranges({"output": {"findings": {"most": 2, "minimum": 0, "maximum": 1, "form": form}}})
    for form in ("points_in_volume", "boxes_in_volume")
}


def read_in_volume(form, findings):
    line = json.dumps({"case": "a", "answer": {"findings": findings}}).encode()
    return parse_answer(line, "a", VOLUME[form]).values["findings"]


def test_findings_in_a_volume_have_places_in_the_patient():
    assert read_in_volume("points_in_volume", {"points": [], "scores": []}) == ()
    found = read_in_volume("points_in_volume", {"points": [-1, 2.5, -300, 4, 5, 6], "scores": [0.5, 1]})
    assert found == (-1, 2.5, -300, 0.5, 4, 5, 6, 1)
    found = read_in_volume("boxes_in_volume", {"boxes": [-3, -2, -1, 0, 0, 0.5], "scores": [0.25]})
    assert found == (-3, -2, -1, 0, 0, 0.5, 0.25)


@pytest.mark.parametrize(
    ("form", "findings", "code"),
    [
        ("points_in_volume", {"boxes": [0, 0, 1, 1], "scores": [0.5]}, FailureCode.GARBAGE),
        ("boxes_in_volume", {"points": [0, 0, 1], "scores": [0.5]}, FailureCode.GARBAGE),
        ("boxes_in_volume", {"boxes": [0, 0, 1, 1], "scores": [0.5]}, FailureCode.GARBAGE),
        ("points_in_volume", {"points": [0, 0], "scores": [0.5]}, FailureCode.GARBAGE),
        ("points_in_volume", {"points": [[0, 0, 1]], "scores": [0.5]}, FailureCode.GARBAGE),
        ("points_in_volume", {"points": [0, 0, None], "scores": [0.5]}, FailureCode.GARBAGE),
        ("points_in_volume", {"points": [0, 0, 1] * 3, "scores": [0.5] * 3}, FailureCode.OUT_OF_RANGE),
        ("points_in_volume", {"points": [0, 0, -65536], "scores": [0.5]}, FailureCode.OUT_OF_RANGE),
        ("points_in_volume", {"points": [0, 0, 1], "scores": [-0.5]}, FailureCode.OUT_OF_RANGE),
        ("boxes_in_volume", {"boxes": [0, 0, 0, 1, 1, 0], "scores": [0.5]}, FailureCode.OUT_OF_RANGE),
    ],
)
def test_what_are_no_findings_in_a_volume_fails_the_case(form, findings, code):
    with pytest.raises(CaseFailed) as failed:
        read_in_volume(form, findings)
    assert failed.value.code == code


def test_an_unknown_form_of_findings_is_no_task():
    with pytest.raises(ValueError, match="form must be one of"):
        answer_ranges({"output": {"findings": {"most": 2, "minimum": 0, "maximum": 1, "form": "lines"}}})
