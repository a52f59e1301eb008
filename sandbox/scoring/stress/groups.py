"""Stress that hurts one group more than the others: a bias finding, adjusted for the number of comparisons.

Harm of a case is how far its score moved to the wrong side; without an answer it moved to the end of the range. Each
level is compared with all other sampled cases by Welch's interval (Welch 1947, Biometrika 34:28); Holm 1979 over all
levels of all tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from sandbox.outcome.stress_results import StressGroup
from sandbox.scoring.cases import Floats
from sandbox.scoring.estimates import Basis, estimate
from sandbox.scoring.multiplicity import holm
from sandbox.scoring.stress.answers import Put, Sample

METHOD = "welch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Ends of the score's range."""

    low: float
    high: float


def harm_of(sample: Sample, put: Put, ends: Range) -> Floats:
    """Harm of each sampled case; NaN where the perturbation does not apply or the clean case has no answer."""
    end = np.where(sample.reference, ends.low, ends.high)
    stressed = np.where(np.isnan(put.score), end, put.score)
    found = np.where(sample.reference, sample.score - stressed, stressed - sample.score)
    found[put.failure == "not_applicable"] = np.nan
    return np.asarray(found, dtype=np.float64)


def compare_groups(sample: Sample, harm: Floats, level: float, smallest: int) -> tuple[StressGroup, ...]:
    """Compare every level with the other cases; levels with fewer than ``smallest`` cases are left out."""
    known = ~np.isnan(harm)
    found = []
    for stratum in sample.levels:
        for code, name in enumerate(stratum.names):
            inside = known & (stratum.codes == code)
            outside = known & (stratum.codes != code)
            if min(np.count_nonzero(inside), np.count_nonzero(outside)) < smallest:
                continue
            group = _welch(stratum.name, name, harm[inside], harm[outside], level)
            if group is not None:
                found.append(group)
    return tuple(found)


def adjusted(groups: Sequence[tuple[StressGroup, ...]], level: float) -> list[tuple[StressGroup, ...]]:
    """The groups of all tests with p-values adjusted over all of them."""
    p = iter(holm([group.p for of_test in groups for group in of_test]))
    return [
        tuple(
            replace(group, adjusted_p=q, shown=q < 1 - level and group.harm > group.others)
            for group in of_test
            for q in (next(p),)
        )
        for of_test in groups
    ]


def _welch(attribute: str, name: str, inside: Floats, others: Floats, level: float) -> StressGroup | None:
    parts = [float(values.var(ddof=1)) / values.size for values in (inside, others)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return None
    value = float(inside.mean() - others.mean())
    sizes = (inside.size, others.size)
    degrees = sum(parts) ** 2 / sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    basis = Basis(
        n=inside.size + others.size, positives=None, patients=inside.size + others.size, level=level
    )
    p = float(2 * stats.t.sf(abs(value) / error, degrees))
    return StressGroup(
        attribute=attribute,
        level=name,
        cases=int(inside.size),
        harm=float(inside.mean()),
        others=float(others.mean()),
        difference=estimate("harm_difference", value, (value - half, value + half), basis, METHOD),
        p=p,
        adjusted_p=p,
        shown=False,
    )
