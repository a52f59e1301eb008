"""Cases without a usable answer, under the two rules that are always both shown.

``worst_case``: a failed positive counts as missed and a failed negative as a false alarm, at every
threshold (an intention-to-diagnose analysis). ``excluded``: failed cases are left out, which flatters a
submission that fails on what it finds hard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sandbox.outcome.results import Estimate, FailureCount, FailureRule
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.proportions import ProportionMethod, proportion


def worst_case_scores(score: Floats, reference: Bools, failed: Bools) -> Floats:
    """Put failed positives below every score and failed negatives above every score."""
    return np.where(failed, np.where(reference, -np.inf, np.inf), score)


def analysed(rule: FailureRule, failed: Bools) -> Bools:
    """Mark the cases that enter the analysis under ``rule``."""
    return np.ones(failed.size, dtype=bool) if rule == "worst_case" else ~failed


def failure_rate(
    failed: Bools, reference: Bools | None, patient: Integers, *, level: float, method: ProportionMethod
) -> Estimate:
    """Share of cases that failed, out of all asked cases under either rule."""
    return proportion(
        "failure_rate",
        failed,
        patient,
        positives=None if reference is None else int(np.count_nonzero(reference)),
        level=level,
        method=method,
        empty="There is no case.",
    )


def count_failures(codes: Sequence[str | None], reference: Bools | None) -> tuple[FailureCount, ...]:
    """Failures by code, most frequent first, equal counts by name.

    Args:
        codes: the failure code of each case, None where it was answered.
        reference: True where the case is positive, in the same order; None when the task has no such truth.
    """
    cases = Counter(code for code in codes if code is not None)
    positives: Counter[str] = Counter()
    if reference is not None:
        pairs = zip(codes, reference.tolist(), strict=True)
        positives.update(code for code, positive in pairs if code is not None and positive)
    return tuple(
        FailureCount(code=code, cases=number, positives=None if reference is None else positives[code])
        for code, number in sorted(cases.items(), key=lambda item: (-item[1], item[0]))
    )
