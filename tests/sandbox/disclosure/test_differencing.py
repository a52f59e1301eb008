"""Versions and calls that differ by a few patients."""

import numpy as np
import pytest

from sandbox.disclosure.differencing import call_differences, version_differences
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


def test_calls_that_differ_in_a_few_patients_are_refused_however_many_images_they_have():
    patients = np.repeat([f"p{index}" for index in range(100)], 5)
    calls = np.arange(500) < 200
    few, many = calls.copy(), calls.copy()
    few[200:225] = True
    many[200:250] = True
    found = call_differences({"same": calls, "few": few, "many": many}, calls, patients, minimum=10)
    assert [item.refused for item in found] == [False, True, False]
    assert (found[1].more, found[1].fewer) == (0, 5)
    with pytest.raises(DisclosureError, match="same cases"):
        call_differences({"short": calls[:10]}, calls, patients, minimum=10)
