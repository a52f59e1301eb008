"""Making estimates: one place where a value, its interval and its basis become an :class:`Estimate`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from scipy import stats

from sandbox.outcome.results import Estimate
from sandbox.scoring.cases import Integers, ScoredCases, count_patients


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What an estimate rests on: cases, positives among them, patients, and the confidence level.

    ``positives`` is None for a metric without positive cases.
    """

    n: int
    positives: int | None
    patients: int
    level: float


def basis_of(cases: ScoredCases, level: float) -> Basis:
    """Basis of an estimate over all of ``cases``."""
    return Basis(n=cases.n, positives=cases.positives, patients=count_patients(cases.patient), level=level)


@cache
def quantile(level: float) -> float:
    """Two-sided standard normal quantile, 1.96 at 0.95."""
    return float(stats.norm.ppf((1 + level) / 2))


@lru_cache(maxsize=4096)
def student_quantile(level: float, degrees: int) -> float:
    """Two-sided quantile of Student's t; strata ask for the same few thousands of times."""
    return float(stats.t.ppf((1 + level) / 2, degrees))


def is_clustered(patient: Integers) -> bool:
    """Whether any patient has more than one of these cases."""
    return count_patients(patient) < patient.size


def method_name(method: str, clustered: bool) -> str:
    """Name of the method, saying whether patients with several cases were allowed for."""
    return f"{method}-clustered" if clustered else method


def estimate(
    metric: str,
    value: float,
    interval: tuple[float, float] | None,
    basis: Basis,
    method: str,
    *,
    version: int = 1,
    successes: int | None = None,
    reason: str | None = None,
) -> Estimate:
    """Make an estimate with a value; limits that are not finite become None and need a ``reason``."""
    low, high = interval if interval is not None else (math.nan, math.nan)
    return Estimate(
        metric=metric,
        value=float(value),
        low=_finite(low),
        high=_finite(high),
        level=basis.level,
        n=basis.n,
        positives=basis.positives,
        patients=basis.patients,
        successes=successes,
        method=method,
        version=version,
        status="ok",
        reason=reason,
    )


def undefined(
    metric: str,
    basis: Basis,
    method: str,
    reason: str,
    *,
    version: int = 1,
    interval: tuple[float, float] | None = None,
    successes: int | None = None,
) -> Estimate:
    """Make an estimate without a value; ``reason`` says why there is none."""
    low, high = interval if interval is not None else (math.nan, math.nan)
    return Estimate(
        metric=metric,
        value=None,
        low=_finite(low),
        high=_finite(high),
        level=basis.level,
        n=basis.n,
        positives=basis.positives,
        patients=basis.patients,
        successes=successes,
        method=method,
        version=version,
        status="undefined",
        reason=reason,
    )


def too_few(found: Estimate, reason: str) -> Estimate:
    """Mark an estimate as resting on fewer cases than the protocol asks for; undefined stays undefined."""
    return found if found.status == "undefined" else replace(found, status="too_few", reason=reason)


def logit_interval(value: float, error: float, level: float) -> tuple[float, float]:
    """Interval of a value in (0, 1) by the logit: symmetric there, inside (0, 1) here.

    Args:
        value: estimate strictly between 0 and 1.
        error: its standard error.
        level: two-sided confidence level.
    """
    centre = math.log(value / (1 - value))
    half = quantile(level) * error / (value * (1 - value))
    low, high = expit(centre - half), expit(centre + half)
    return low, high


def expit(x: float) -> float:
    """Inverse of the logit, without overflow."""
    return float(1 / (1 + math.exp(-x))) if x >= 0 else float(math.exp(x) / (1 + math.exp(x)))


def _finite(limit: float) -> float | None:
    return float(limit) if np.isfinite(limit) else None
