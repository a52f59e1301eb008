"""Every metric and method that the scorer makes is described on the page."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from sandbox.outcome.results import Results
from sandbox.plan.metric_catalogue import METRICS
from sandbox.plan.protocol import load_protocol
from sandbox.report import glossary
from sandbox.scoring.score import score
from sandbox.scoring.stress.score import score_stress
from tests.sandbox.scoring import test_stress_scores as stress_world

PROTOCOL = """\
proctor: protocol/1
name: every-method
title: Every method once
task: {kind: binary, target: opacity, unit: image}
operating_points: [{name: low, threshold: 0.2}, {name: never, threshold: 1.0}]
intervals: {level: 0.95, proportion: METHOD, bootstrap_replicates: 200}
failures: worst_case
strata: [{attribute: manufacturer}]
minimum: {positives: 5, negatives: 5}
limits: {seconds_per_case: 10, seconds_per_run: 3600}
"""


@pytest.fixture(params=["wilson", "clopper-pearson"])
def scored(request, tmp_path) -> Results:
    path = tmp_path / "protocol.yaml"
    path.write_text(PROTOCOL.replace("METHOD", request.param))
    random = np.random.default_rng(20260701)
    n = 120
    reference = random.integers(0, 2, n)
    # One maker is told apart perfectly, so that the methods for zero variance are needed too.
    maker = np.where(np.arange(n) < 30, "A", "B")
    scores = np.where(
        maker == "A", reference * 0.9, np.clip(random.normal(0.4 + 0.2 * reference, 0.2), 0, 0.99)
    )
    table = pa.table(
        {
            "case_id": [f"case-{i}" for i in range(n)],
            "patient_key": [f"patient-{i // 2}" for i in range(n)],
            "reference": pa.array(reference, pa.int8()),
            "score": pa.array(np.round(scores, 3), pa.float64()),
            "failure": pa.nulls(n, pa.string()),
            "manufacturer": maker,
        }
    )
    return score(table, load_protocol(path), "ev-1")


def test_every_metric_of_a_protocol_has_a_definition():
    asked = {name for rules in METRICS.values() for name in rules}
    assert asked <= set(glossary.METRICS)


def test_every_metric_and_method_of_real_results_has_a_definition(scored):
    assert [name for name, metric in glossary.metrics_used(scored) if metric is None] == []
    assert [use.identifier for use in glossary.methods_used(scored) if use.method is None] == []


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("wilson", ["wilson"]),
        ("mover-wilson-clustered", ["mover-", "wilson", "-clustered"]),
        ("simel-log-clustered-half-added", ["simel-log", "-clustered", "-half-added"]),
        ("clopper-pearson", ["clopper-pearson"]),
        ("something-new", ["something-new"]),
    ],
)
def test_an_identifier_comes_apart_into_its_words(identifier, words):
    assert glossary.words_of(identifier) == words


def test_every_metric_and_method_of_stress_results_has_a_definition():
    numbers = np.random.default_rng(3)
    truth = np.arange(60) % 2 == 0
    clean = np.clip(numbers.normal(35 + 35 * truth, 15), 0, 100).astype(int)
    tests = (
        ("dr_gamma", (1, 5)),
        ("borders_only", (5,)),
        ("header_of_another_patient", (1,)),
        ("constant", (3,)),
    )
    given = stress_world.protocol(tests)
    given = given.model_copy(update={"stress": given.stress.model_copy(update={"shortcuts": ("scanner",)})})
    cells = {
        ("clean", 1): list(clean),
        ("dr_gamma", 1): list(np.clip(clean + numbers.integers(-5, 6, 60), 0, 100)),
        ("dr_gamma", 5): list(numbers.integers(0, 101, 60)),
        ("borders_only", 5): list(numbers.integers(0, 101, 60)),
        ("header_of_another_patient", 1): [int(clean[(i + 3) % 60]) for i in range(60)],
        ("constant", 3): ["refused"] * 60,
    }
    found = score_stress(stress_world.scored(truth, clean), stress_world.asked(cells), given, "ev-1")
    assert [each.verdict for each in found.shortcuts] != []
    names = {estimate.metric for estimate in glossary.estimates_in(found)}
    assert names <= set(glossary.METRICS)
    assert names >= {"auroc_change", "score_shift", "difference_to_pixels", "group_auroc"}
    methods = {
        word for estimate in glossary.estimates_in(found) for word in glossary.words_of(estimate.method)
    }
    assert methods <= {*glossary.METHODS, *glossary.BEFORE, *glossary.AFTER}
