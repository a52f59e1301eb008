"""What is compared between groups of a detection: figures of curves, known by resamples of all patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sandbox.plan.metric_catalogue import GAP_METRICS
from sandbox.scoring.bootstrap import Seed, patient_weights
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.detection.marks import CaseMarks, Marks, make_marks
from sandbox.scoring.outcomes import Outcome, Part, Statistic, statistic

Figure = Callable[[Marks, Floats], Floats]
_BLOCK = 16 * 2**20
_MOST_UNDEFINED = 0.05


def finding_outcomes(
    marked: Sequence[CaseMarks],
    patient: Integers,
    counted: Bools,
    figures: Sequence[tuple[str, str | None, Figure]],
    weights: Seed,
    replicates: int,
) -> tuple[Outcome, ...]:
    """Outcomes of a detection.

    Args:
        marked: the findings of each asked case after matching.
        patient: patient of each.
        counted: the cases that enter the analysis.
        figures: metric, subject, and the function of counts; others than those compared are passed over.
        weights: names the stream of patients' weights that all groups share.
        replicates: number of resamples.
    """
    asked = [each for each in figures if each[0] in GAP_METRICS["detection"]]
    codes, patients = compact(patient)
    known: dict[bytes, list[Part | None]] = {}

    def parts(chosen: Integers) -> list[Part | None]:
        # Every figure of one group comes from the same counts, which are made once.
        key = np.packbits(np.isin(np.arange(codes.size), chosen, assume_unique=True)).tobytes()
        if key not in known:
            known[key] = _parts(
                marked, codes, patients, chosen, [each for *_, each in asked], weights, replicates
            )
        return known[key]

    def of(index: int) -> Statistic:
        return lambda chosen: parts(chosen)[index]

    diseased = np.array([case.lesions > 0 for case in marked], dtype=bool)
    return tuple(
        statistic(metric, counted, of(index), subject=subject, positive=diseased)
        for index, (metric, subject, _) in enumerate(asked)
    )


def _parts(
    marked: Sequence[CaseMarks],
    codes: Integers,
    patients: int,
    chosen: Integers,
    figures: Sequence[Figure],
    weights: Seed,
    replicates: int,
) -> list[Part | None]:
    """Value and resamples of every figure over one group; None where it has none, or too seldom."""
    marks = make_marks([marked[index] for index in chosen], codes[chosen])
    # Rows of the counts are the group's own patients, in the order of their codes.
    own, total = np.unique(codes[chosen]), marks.total()
    drawn: list[list[Floats]] = [[] for _ in figures]
    step = max(1, _BLOCK // (8 * (patients + total.size)))
    for block in patient_weights(patients, weights, replicates, step):
        counts = np.asarray((marks.content.T @ block[:, own].T).T)
        for figure, kept in zip(figures, drawn, strict=True):
            kept.append(figure(marks, counts))
    found: list[Part | None] = []
    for figure, kept in zip(figures, drawn, strict=True):
        value, resampled = float(figure(marks, total)[0]), np.concatenate(kept)
        usable = not np.isnan(value) and np.isnan(resampled).mean() <= _MOST_UNDEFINED
        found.append(Part(value=value, drawn=resampled) if usable else None)
    return found
