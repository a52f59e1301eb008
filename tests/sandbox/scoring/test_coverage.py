"""A quick simulation: 95 % intervals of proportions and AUROC hold the truth about as often as they say.

Few runs (the margin allows for that); the long table belongs to a slow suite.
"""

import numpy as np
import pytest
from scipy import stats

from sandbox.scoring import precision_recall, roc
from sandbox.scoring.cases import make_cases
from sandbox.scoring.operating_points import at_threshold

RUNS = 400
SEPARATION = 1.2


def draw(random, patients, per_patient, correlation):
    """Binormal scores; cases of a patient share part of their noise and have both labels."""
    patient = np.repeat(np.arange(patients), per_patient)
    reference = random.random(patient.size) < 0.35
    shared = random.normal(0, np.sqrt(correlation), patients)[patient]
    score = SEPARATION * reference + shared + random.normal(0, np.sqrt(1 - correlation), patient.size)
    return make_cases(reference, score, patient)


@pytest.mark.parametrize(("patients", "per_patient", "correlation"), [(120, 1, 0.0), (60, 4, 0.5)])
def test_intervals_cover(patients, per_patient, correlation):
    random = np.random.default_rng(2024)
    large = draw(np.random.default_rng(7), 400_000, 1, 0.0)
    truth = {
        "auroc": float(stats.norm.cdf(SEPARATION / np.sqrt(2))),
        "average_precision": precision_recall.average_precision(large, 0.95).value,
        "sensitivity": float(stats.norm.sf(0.6 - SEPARATION)),
        "specificity": float(stats.norm.cdf(0.6)),
    }
    truth["balanced_accuracy"] = (truth["sensitivity"] + truth["specificity"]) / 2
    held = dict.fromkeys(truth, 0)
    for _ in range(RUNS):
        cases = draw(random, patients, per_patient, correlation)
        point = at_threshold(cases, "x", 0.6, level=0.95, method="wilson")
        found = (roc.auroc(cases, 0.95), precision_recall.average_precision(cases, 0.95), *point.estimates)
        for estimate in found:
            if estimate.metric in truth:
                held[estimate.metric] += estimate.low <= truth[estimate.metric] <= estimate.high
    for metric, count in held.items():
        assert 0.915 <= count / RUNS <= 0.985, (metric, count / RUNS)
