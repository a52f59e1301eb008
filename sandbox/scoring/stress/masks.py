"""Stress of masks: what each answer is worth against the truth, and whether it is the clean mask, element for element.

Differences are paired: the stressed case has the truth of the clean one, since nothing is asked that moves what it
marks. The measures are those of the task (:mod:`sandbox.scoring.segmentation.overlap`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.outcome.kept_marks import DIGEST
from sandbox.outcome.results import Estimate
from sandbox.scoring.bootstrap import Seed, paired_means, percentile_interval
from sandbox.scoring.cases import Bools, Floats, Integers, count_patients
from sandbox.scoring.estimates import Basis, estimate, undefined

MEASURES: Final = ("dice", "nsd")
"""The first is what groups are compared by."""
METHOD = "bootstrap-expanded-percentile-patients"


def worth_of(table: pa.Table) -> dict[str, Floats]:
    """Each of ``MEASURES`` of the answers of a table with digests, shape (n,); NaN where there is no answer.

    Two empty masks count 1 whatever the protocol's rule: what is right without stress and a false alarm under it is a
    loss. An answer that was compared with nothing counts 0.
    """
    answered = pc.is_valid(table[DIGEST]).to_numpy()
    compared = pc.is_valid(table["answer:volume"]).to_numpy()
    found = {}
    for name in MEASURES:
        values = pc.cast(table[f"answer:{name}"], pa.float64()).to_numpy().astype(np.float64)
        values = np.where(np.isnan(values), np.where(compared, 1.0, 0.0), values)
        found[name] = np.where(answered, values, np.nan)
    return found


def counted_worth(worth: Floats) -> Floats:
    """The worth that enters a mean: a case without an answer is worth nothing."""
    return np.nan_to_num(worth, nan=0.0)


def mean_worth(
    metric: str, values: Floats, patient: Integers, *, evaluation: str, level: float, replicates: int
) -> Estimate:
    """Mean of a value of each case, with its interval from resamples of whole patients."""
    basis = Basis(n=values.size, positives=None, patients=count_patients(patient), level=level)
    if not values.size:
        return undefined(metric, basis, METHOD, "There is no case.")
    value = float(values.mean())
    if basis.patients < 2:
        return estimate(metric, value, None, basis, METHOD, reason="One patient: there is no interval.")
    # The same resamples for every perturbation: their differences are then not those of the draws.
    seed = Seed(evaluation=evaluation, metric="masks", purpose="stress")
    counted: Bools = np.ones(values.size, dtype=bool)
    drawn = paired_means(values[None], counted, patient, seed, replicates)[0]
    return estimate(metric, value, percentile_interval(drawn, level, basis.patients), basis, METHOD)


def clean_worth(
    worth: Mapping[str, Floats], patient: Integers, *, evaluation: str, level: float, replicates: int
) -> Iterator[Estimate]:
    """Means of the clean answers of the sample."""
    for name in MEASURES:
        yield mean_worth(
            f"mean_{name}",
            counted_worth(worth[name]),
            patient,
            evaluation=evaluation,
            level=level,
            replicates=replicates,
        )
