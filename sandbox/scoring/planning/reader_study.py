"""Power and size of a reader study from the variance components of a pilot or of a published one.

Hillis, Obuchowski and Berbaum 2011 (Acad Radiol 18:129): the F test with the degrees of freedom of Hillis 2007, on
a non-central F; covariances over cases shrink with the number of cases, the reader component does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from sandbox.errors import ScoringError
from sandbox.scoring.mrmc.covariances import Components


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What a pilot of ``cases`` cases found; the interaction component counts as 0 when estimated below."""

    components: Components
    interaction_variance: float
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStudy:
    """Power of one size of study."""

    readers: int
    cases: int
    power: float
    noncentrality: float
    degrees: float


def plan(pilot: Pilot, readers: int, cases: int, difference: float, level: float = 0.95) -> PlannedStudy:
    """Power to show ``difference`` between two treatments read by all readers on all cases.

    Raises:
        ScoringError: fewer than two readers or no case.
    """
    if readers < 2 or cases < 1 or pilot.cases < 1:
        raise ScoringError("a reader study needs at least two readers and a case")
    scale = pilot.cases / cases
    parts = pilot.components
    excess = max(parts.cov2 - parts.cov3, 0.0) * scale
    own = max(0.0, pilot.interaction_variance) + (parts.error - parts.cov1) * scale - excess
    interaction = max(own, 1e-300)
    denominator = interaction + readers * excess
    degrees = denominator**2 / (interaction**2 / (readers - 1))
    noncentrality = readers * difference**2 / 2 / denominator
    critical = float(stats.f.ppf(level, 1, degrees))
    return PlannedStudy(
        readers=readers,
        cases=cases,
        power=float(stats.ncf.sf(critical, 1, degrees, noncentrality)),
        noncentrality=noncentrality,
        degrees=degrees,
    )


def cases_needed(
    pilot: Pilot,
    readers: int,
    difference: float,
    power: float = 0.8,
    level: float = 0.95,
    most: int = 100_000,
) -> PlannedStudy | None:
    """Fewest cases with ``power``; None when even ``most`` cases do not reach it: more readers are needed."""
    if plan(pilot, readers, most, difference, level).power < power:
        return None
    low, high = 1, most
    while low + 1 < high:
        middle = math.isqrt(low * high) if high > 4 * low else (low + high) // 2
        if plan(pilot, readers, middle, difference, level).power < power:
            low = middle
        else:
            high = middle
    return plan(pilot, readers, high, difference, level)
