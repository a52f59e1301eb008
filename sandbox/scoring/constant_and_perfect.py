"""The measure of each kind of task that a perfect container brings to 1 and a constant one to chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.outcome.truth import truth_columns
from sandbox.plan.metric_catalogue import TaskKind
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Floats
from sandbox.scoring.roc import auroc_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure: its name in words, its value at chance, how far rounding may take it, and what computes it.

    ``of`` takes the truth and the answers of the labelled cases, and the protocol; None where it is undefined.
    """

    name: str
    chance: float
    tolerance: float
    of: Callable[[pa.Table, pa.Table, Protocol], float | None]


def _mean_auroc(truth: pa.Table, answers: pa.Table, protocol: Protocol) -> float | None:
    """Mean AUROC over the labels, or classes against the rest, that have both kinds of case."""
    names, found = truth_columns(protocol), []
    for index, column in enumerate(protocol.answer_columns):
        reference = truth[names[index if len(names) > 1 else 0]]
        if protocol.task.kind == "multiclass":
            reference = pc.equal(reference, float(index))
        known = pc.is_valid(reference)
        value = auroc_value(
            reference.filter(known).to_numpy().astype(bool), answers[column].filter(known).to_numpy()
        )
        if value is not None:
            found.append(value)
    return float(np.mean(found)) if found else None


def _quadratic_kappa(truth: pa.Table, answers: pa.Table, protocol: Protocol) -> float | None:
    reference, answer = _pair(truth, answers, protocol)
    # Mean squared difference of independent pairs, from the moments.
    expected = reference.var() + answer.var() + (reference.mean() - answer.mean()) ** 2
    return float(1 - np.mean((reference - answer) ** 2) / expected) if expected > 0 else None


def _concordance(truth: pa.Table, answers: pa.Table, protocol: Protocol) -> float | None:
    reference, answer = _pair(truth, answers, protocol)
    covariance = np.mean((reference - reference.mean()) * (answer - answer.mean()))
    spread = reference.var() + answer.var() + (reference.mean() - answer.mean()) ** 2
    return float(2 * covariance / spread) if spread > 0 else None


def _pair(truth: pa.Table, answers: pa.Table, protocol: Protocol) -> tuple[Floats, Floats]:
    return (
        truth[truth_columns(protocol)[0]].to_numpy().astype(np.float64),
        answers[protocol.answer_columns[0]].to_numpy().astype(np.float64),
    )


_AUROC = Measure(name="AUROC", chance=0.5, tolerance=0.0, of=_mean_auroc)
MEASURES: Mapping[TaskKind, Measure] = {
    "binary": _AUROC,
    "triage": _AUROC,
    "multiclass": Measure(name="mean AUROC", chance=0.5, tolerance=1e-12, of=_mean_auroc),
    "multilabel": Measure(name="mean AUROC", chance=0.5, tolerance=1e-12, of=_mean_auroc),
    "ordinal": Measure(name="quadratic-weighted kappa", chance=0.0, tolerance=1e-9, of=_quadratic_kappa),
    # A perfect answer is still rounded to the levels of the output: a coarse schema alone must not fail.
    "measurement": Measure(name="concordance correlation", chance=0.0, tolerance=0.05, of=_concordance),
}
