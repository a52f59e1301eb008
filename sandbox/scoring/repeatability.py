"""How far a container's answers to repeats of the same measurement differ.

Within-subject standard deviation by one-way analysis of variance over things measured more than once (Bland and Altman
1996, BMJ 313:744), with its chi-square interval; the repeatability coefficient is 1.96 x sqrt(2) times it (Bland and
Altman 1999, Stat Methods Med Res 8:135). Failed cases have no value and take no part: their number is the failure rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import stats

from sandbox.outcome.results import Estimate
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import count_patients
from sandbox.scoring.estimates import Basis, estimate, undefined
from sandbox.scoring.task_columns import TaskColumns

METHOD = "chi-square-sd"
FACTOR = 1.96 * math.sqrt(2)


def repeatability(cases: TaskColumns, protocol: Protocol) -> Iterator[Estimate]:
    """Within-subject SD and repeatability coefficient, where the protocol declares repeats."""
    if protocol.task.repeats is None:
        return
    level = protocol.intervals.level
    answered = cases.where(~cases.failed)
    codes = np.unique(answered.repeats, return_inverse=True)[1]
    sizes = np.bincount(codes) if codes.size else np.zeros(0, dtype=np.int64)
    several = answered.where(sizes[codes] > 1) if codes.size else answered
    basis = Basis(n=several.n, positives=None, patients=count_patients(several.patient), level=level)
    if several.n == 0:
        reason = "No thing was measured more than once."
        yield undefined("within_subject_sd", basis, METHOD, reason)
        yield undefined("repeatability_coefficient", basis, METHOD, reason)
        return
    codes = np.unique(several.repeats, return_inverse=True)[1]
    value = several.answer[:, 0]
    means = np.bincount(codes, weights=value) / np.bincount(codes)
    degrees = several.n - means.size
    squares = float(((value - means[codes]) ** 2).sum())
    deviation = math.sqrt(squares / degrees)
    high, low = (
        math.sqrt(squares / each) for each in stats.chi2.ppf(((1 - level) / 2, (1 + level) / 2), degrees)
    )
    for metric, factor in (("within_subject_sd", 1.0), ("repeatability_coefficient", FACTOR)):
        yield estimate(metric, factor * deviation, (factor * low, factor * high), basis, METHOD)
