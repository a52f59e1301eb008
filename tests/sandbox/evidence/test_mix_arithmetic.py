"""Case mix, population, slices and reference errors recomputed: what is made holds, what is changed is seen."""

import json

import pytest

from sandbox.evidence.arithmetic import contradictions
from sandbox.evidence.mix_arithmetic import mix_not_recomputed
from sandbox.outcome.results import from_json, to_json
from tests.sandbox.scoring.test_mix_sections import SECTIONS, scored, world


@pytest.fixture(scope="module")
def results():
    return scored(world(), **SECTIONS)


def changed(results, *path, value):
    raw = json.loads(to_json(results))
    place = raw["analyses"][0]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return from_json(json.dumps(raw).encode())


@pytest.mark.parametrize("per_patient", [1, 3])
def test_what_scoring_makes_holds(per_patient):
    assert contradictions(scored(world(per_patient=per_patient), **SECTIONS)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("case_mix", "comparisons", 0, "groups", 1, "standardised"), 0.9),
        (("case_mix", "comparisons", 0, "groups", 1, "crude"), 0.9),
        (("case_mix", "comparisons", 0, "groups", 1, "difference"), 0.0),
        (("case_mix", "comparisons", 0, "groups", 1, "odds_ratio"), 1.0),
        (("case_mix", "comparisons", 0, "groups", 1, "p"), 0.01),
        (("case_mix", "comparisons", 0, "groups", 0, "cells", 0, "successes"), 3),
        (("case_mix", "comparisons", 0, "strata", 0, "share"), 0.4),
        (("population", "attributes", 0, "levels", 0, "cases"), 1),
        (("population", "attributes", 0, "levels", 0, "standardised"), 0.0),
        (("population", "attributes", 1, "lacking"), 0.0),
        (("population", "effective"), 900.0),
        (("slices", "label"), "shown"),
        (("slices", "wrong"), 1),
        (("slices", "slices", 0, "rate"), 0.5),
        (("slices", "slices", 0, "high"), 0.5),
        (("slices", "slices", 0, "elsewhere"), 0.5),
        (("reference_error", "bands", 0, "high"), 0.999),
        (("reference_error", "bands", 1, "low"), 0.1),
        (("reference_error", "bands", 2, "seen"), 0.5),
        (("reference_error", "bands", 3, "impossible"), 4),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_changed_number_is_seen(results, path, value):
    found = contradictions(changed(results, *path, value=value))
    assert any("analysis worst_case" in sentence for sentence in found)


def test_what_rests_on_single_cases_is_named(results):
    assert len(mix_not_recomputed(results)) == 4
    assert mix_not_recomputed(scored(world())) == ()
