"""Canonical JSON and results on disk."""

import pytest

from sandbox.canonical import CanonicalError, canonical_json, digest
from sandbox.errors import ScoringError
from sandbox.outcome.results import Estimate, from_json


def test_rfc_8785_section_3_2_2_example():
    # The article's example of number and key order, RFC 8785 sections 3.2.2 and 3.2.3.
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "literals": [None, True, False],
    }
    assert canonical_json(value) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, "\ud800", object(), {1: 2}])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(CanonicalError):
        digest(value)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"schema": "proctor/results/1"}', b'{"schema": NaN}', b"[" * 100_000]
)
def test_damaged_results_are_refused(text):
    with pytest.raises(ScoringError):
        from_json(text)


def test_a_number_that_is_not_finite_cannot_be_written():
    from sandbox.records import from_plain, parse_json, to_plain

    fields = {"metric": "m", "value": 1.0, "low": None, "high": None, "level": 0.95}
    made = Estimate(**fields, n=1, positives=1, patients=1, method="x", version=1)
    assert from_plain(Estimate, parse_json(canonical_json(to_plain(made, "e")), "e"), "e") == made
    broken = Estimate(
        **(fields | {"value": float("nan")}), n=1, positives=1, patients=1, method="x", version=1
    )
    with pytest.raises(ScoringError, match=r"e\.value is not a finite number"):
        to_plain(broken, "e")
