"""Attacks through what is released: the literature's figures, and that Proctor's default stays under its bound.

``PROCTOR_ATTACK_SIZE=full`` takes the publications' sizes and prints the table (`make attacks`).
"""

import json
import os

import numpy as np
import pyarrow as pa
import pytest

from sandbox.disclosure.screen import screen
from sandbox.protocol import Protocol
from sandbox.reuse.bits import cost
from sandbox.scoring.score import score
from tests.attacks import simulations
from tests.attacks.simulations import RULES, SCORE_BITS

FULL = os.environ.get("PROCTOR_ATTACK_SIZE") == "full"


@pytest.fixture(scope="module")
def outcomes():
    return dict(zip(NAMES, simulations.all_attacks(small=not FULL), strict=True))


NAMES = ("majority vote", "feature selection", "auroc oracle", "log-loss oracle", "stratum code")


@pytest.mark.parametrize("name", NAMES)
def test_the_default_stays_under_its_bound_and_full_release_gives_more(outcomes, name, record_property):
    found = outcomes[name]
    told = (found.name, found.unit, float(found.full), float(found.default), float(found.bound), found.note)
    record_property("outcome", told)
    assert found.default <= found.bound
    assert found.default < found.full


def test_oracles_of_exact_values_tell_every_label(outcomes):
    n = 1000 if FULL else 300
    assert outcomes["auroc oracle"].full == n / 2
    assert outcomes["log-loss oracle"].full == n / 2


def test_the_majority_vote_has_the_published_loss():
    """Blum and Hardt 2015, figure of the author's data: 0.467 at k = 100 (n = 4000) and 0.427 at 400; Ladder 0.49."""
    repetitions = 20 if FULL else 4
    full = simulations.boosting_losses(
        n=4000,
        k=100,
        repetitions=repetitions,
        seed=11,
        told=lambda wrong: np.round(wrong.mean(axis=0), 5) <= 0.5,
    )
    ladder = simulations.boosting_losses(
        n=4000, k=100, repetitions=repetitions, seed=11, told=simulations.keep_by_ladder
    )
    # A vote of some 50 kept submissions scatters by about 0.01 from one repetition to the next.
    assert abs(full.mean() - 0.465) < 0.012
    assert abs(ladder.mean() - 0.487) < 0.015


@pytest.mark.skipif(not FULL, reason="takes about ten seconds; `make attacks` runs it")
def test_the_reusable_holdout_has_the_published_shape():
    """The experiment of Science 349:636 at n = d = 1000: no signal told as 0.634, Thresholdout near 0.5."""
    plain = simulations.reusable_holdout(repetitions=40)
    reused = simulations.reusable_holdout(repetitions=40, thresholdout=True)
    signal = simulations.reusable_holdout(repetitions=40, signal=True, k=20)
    assert abs(plain.told - 0.634) < 0.015
    assert abs(plain.fresh - 0.5) < 0.01
    assert abs(reused.told - reused.fresh) < 0.05
    assert abs(signal.told - 0.80) < 0.02
    assert abs(signal.fresh - 0.80) < 0.02


def released_auroc(labels, scores):
    """AUROC as the release path tells it: scored, screened, charged."""
    n = labels.size
    table = pa.table(
        {
            "case_id": [f"case-{index:05d}" for index in range(n)],
            "patient_key": [f"patient-{index:05d}" for index in range(n)],
            "reference": pa.array(labels.astype(int).tolist(), pa.int8()),
            "score": pa.array(np.round(scores, 3).tolist(), pa.float64()),
            "failure": pa.array([None] * n, pa.string()),
        }
    )
    found = screen(
        score(table, PROTOCOL, "e"), RULES, scope="s", selection=lambda path: path.endswith("all/auroc/value")
    )
    assert cost(found.fields) == SCORE_BITS
    (field,) = found.fields
    return field.value


PROTOCOL = Protocol.model_validate_json(
    json.dumps(
        {
            "proctor": "protocol/1",
            "name": "oracle",
            "title": "A protocol that asks for AUROC",
            "task": {"kind": "binary", "target": "finding", "unit": "image"},
            "intervals": {"bootstrap_replicates": 200},
        }
    ),
    strict=True,
)


def test_the_auroc_oracle_through_the_release_path_itself():
    n = 1000 if FULL else 120
    rounded = simulations.auroc_oracle(n=n)
    told = simulations.auroc_oracle(n=n, release=released_auroc)
    assert told == rounded
    assert told.default <= told.bound
