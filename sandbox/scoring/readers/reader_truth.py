"""How a result depends on whose reading is the truth, and how well a reader could do at best.

Each reader as truth; the consensus without each reader in turn; and the noise ceiling: how well one reader does
against the consensus of the others (reached by a typical expert) and against the consensus that includes
that reader (which no answer that knows the images alone can be expected to pass). An algorithm above the first
agrees with the panel better than its members do with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sandbox.errors import ScoringError
from sandbox.outcome.results import Estimate
from sandbox.scoring.cases import Bools, Floats, Integers, make_cases
from sandbox.scoring.proportions import proportion
from sandbox.scoring.readers.readings import Rule, binary, consensus
from sandbox.scoring.roc import auroc

TruthMetric = Literal["auroc", "sensitivity", "specificity", "accuracy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstTruth:
    """The algorithm's value against one choice of truth."""

    truth: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseCeiling:
    """What a member of the panel reaches, on average over readers with enough cases.

    Attributes:
        lower: against the consensus of the others.
        upper: against the consensus of all, the reader included.
    """

    metric: TruthMetric
    lower: float | None
    upper: float | None
    by_reader: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSensitivity:
    """One metric against every choice of truth; ``lowest`` and ``highest`` over them."""

    metric: TruthMetric
    consensus: Estimate
    each_reader: tuple[AgainstTruth, ...]
    leave_one_out: tuple[AgainstTruth, ...]
    lowest: float | None
    highest: float | None
    ceiling: NoiseCeiling | None
    undecided: int


def truth_sensitivity(
    answers: npt.ArrayLike,
    readings: npt.ArrayLike,
    readers: Sequence[str],
    metric: TruthMetric,
    patient: npt.ArrayLike | None = None,
    *,
    rule: Rule = "majority",
    adjudicator: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> TruthSensitivity:
    """Estimate one metric against every choice of truth.

    Args:
        answers: scores for AUROC, calls (0/1) for a rate, one for each case.
        readings: the readers' calls, 0, 1 or NaN, shape (readers, cases).
        readers: their names.
        metric: what to estimate.
        patient: patient of each case; None makes every case a patient of its own.
        rule: of the consensus.
        adjudicator: for the rule ``adjudicated``.
        level: two-sided level.

    Raises:
        ScoringError: fewer than two readers, or columns that do not fit.
    """
    values, panel = np.asarray(answers, dtype=np.float64), binary(readings)
    if panel.shape[0] < 2 or panel.shape != (len(readers), values.size):
        raise ScoringError(
            "truth from readers needs at least two readers with a column for each answered case"
        )
    who = (
        np.arange(values.size) if patient is None else np.unique(np.asarray(patient), return_inverse=True)[1]
    )
    codes = who.astype(np.int64)

    def measure(truth: Floats, own: Floats) -> Estimate:
        return _measure(truth, own, codes, metric, level)

    whole = consensus(panel, rule, adjudicator)
    without = [
        consensus(np.delete(panel, index, axis=0), rule, adjudicator).truth for index in range(len(readers))
    ]
    each = tuple(
        AgainstTruth(truth=name, estimate=measure(row, values))
        for name, row in zip(readers, panel, strict=True)
    )
    left = tuple(
        AgainstTruth(truth=f"without {name}", estimate=measure(truth, values))
        for name, truth in zip(readers, without, strict=True)
    )
    all_values = [item.estimate.value for item in (*each, *left) if item.estimate.value is not None]
    return TruthSensitivity(
        metric=metric,
        consensus=measure(whole.truth, values),
        each_reader=each,
        leave_one_out=left,
        lowest=min(all_values, default=None),
        highest=max(all_values, default=None),
        ceiling=_ceiling(panel, without, whole.truth, codes, metric, level),
        undecided=whole.undecided,
    )


def _ceiling(
    panel: Floats,
    without: Sequence[Floats],
    whole: Floats,
    codes: Integers,
    metric: TruthMetric,
    level: float,
) -> NoiseCeiling:
    lower = [
        _measure(truth, row, codes, metric, level).value for truth, row in zip(without, panel, strict=True)
    ]
    upper = [_measure(whole, row, codes, metric, level).value for row in panel]
    return NoiseCeiling(metric=metric, lower=_mean(lower), upper=_mean(upper), by_reader=tuple(lower))


def _mean(values: Sequence[float | None]) -> float | None:
    some = [value for value in values if value is not None]
    return float(np.mean(some)) if some else None


def _measure(truth: Floats, answers: Floats, codes: Integers, metric: TruthMetric, level: float) -> Estimate:
    kept = ~np.isnan(truth) & ~np.isnan(answers)
    positive: Bools = truth[kept] > 0
    own, patient = answers[kept], codes[kept]
    if metric == "auroc":
        return auroc(make_cases(positive, own, patient), level)
    called = own > 0
    counted = {"sensitivity": positive, "specificity": ~positive}.get(metric, np.ones_like(positive))
    right = called == positive
    return proportion(
        metric,
        right[counted],
        patient[counted],
        positives=int(np.count_nonzero(positive[counted])),
        level=level,
        method="wilson",
        empty="No case of this class under this choice of truth.",
    )
