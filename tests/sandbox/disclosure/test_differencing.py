"""Versions and calls that differ by a few patients."""

import numpy as np
import pytest

from sandbox.disclosure.differencing import differ_by_few, version_differences
from sandbox.disclosure.errors import DisclosureError

OLD = {f"p{index}": "digest" for index in range(100)}


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (lambda new: None, False),
        (lambda new: new.pop("p0"), True),
        (lambda new: new.update(q="digest"), True),
        (lambda new: new.update(p3="another label"), True),
        (lambda new: [new.pop(f"p{index}") for index in range(9)], True),
        (lambda new: [new.pop(f"p{index}") for index in range(10)], False),
        # Ten come and one leaves: the one is alone in its direction.
        (lambda new: (new.update({f"q{index}": "d" for index in range(10)}), new.pop("p0")), True),
    ],
)
def test_a_version_differs_by_enough_patients_in_each_direction_or_by_none(change, refused):
    new = dict(OLD)
    change(new)
    (found,) = version_differences({"1": OLD}, new, minimum=10)
    assert found.refused == refused
    assert not any(character.isdigit() for character in found.sentence.replace("Against 1:", ""))


def test_every_earlier_version_is_compared():
    far = {f"r{index}": "digest" for index in range(50)}
    near = dict(list(OLD.items())[1:])
    assert [item.refused for item in version_differences({"1": far, "2": near}, OLD, minimum=10)] == [
        False,
        True,
    ]


def test_calls_that_differ_in_a_few_patients_count_patients_and_not_images():
    patients = np.repeat([f"p{index}" for index in range(100)], 5)
    calls = (np.arange(500) < 200).astype(int)
    few, many, failed = calls.copy(), calls.copy(), calls.copy()
    few[200:225] = 1
    many[200:250] = 1
    failed[450:455] = -1
    told = [differ_by_few(new, calls, patients, minimum=10) for new in (calls, few, many, failed)]
    assert told == [False, True, False, True]
    # Nine patients' calls come and one's goes: the one is hidden among ten. Of eight and one it is not.
    both, fewer = calls.copy(), calls.copy()
    both[200:245], both[:5] = 1, 0
    fewer[200:240], fewer[:5] = 1, 0
    assert [differ_by_few(each, calls, patients, minimum=10) for each in (both, fewer)] == [False, True]
    with pytest.raises(DisclosureError, match="different cases"):
        differ_by_few(calls[:10], calls, patients, minimum=10)
