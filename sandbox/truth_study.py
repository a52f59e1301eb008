"""One finished evaluation under uncertain truth: readers as truth, their agreement, a stated error of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sandbox.comparing import labels_of, load_finished, note_use, thresholds_of
from sandbox.errors import UsageError
from sandbox.readers_table import read_readings
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.comparison.answers import sort_answers
from sandbox.scoring.readers.agreement import Agreement, cohen_kappa, krippendorff_alpha
from sandbox.scoring.readers.reader_truth import TruthMetric, TruthSensitivity, truth_sensitivity
from sandbox.scoring.readers.readings import Rule
from sandbox.scoring.readers.reference_error import SensitivityBand, auroc_band, rate_band
from sandbox.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthStudy:
    """Everything that the study found; without readers only the bands."""

    evaluation: str
    vendor: str
    operating_point: str | None
    bands: tuple[SensitivityBand, ...]
    readers: tuple[str, ...]
    rule: Rule | None
    agreement: tuple[Agreement, ...]
    by_truth: tuple[TruthSensitivity, ...]
    notes: tuple[str, ...]


def study_truth(
    workspace: Workspace,
    identifier: str,
    path: Path | None,
    *,
    rates: Sequence[float],
    rule: Rule,
    point: str | None,
    level: float,
) -> TruthStudy:
    """Work out how far an evaluation's values depend on its truth.

    Args:
        workspace: the workspace.
        identifier: a finished evaluation.
        path: readers' calls (0 or 1) of its cases, or None.
        rates: stated shares of wrong labels in the reference.
        rule: how the readers' calls become a consensus.
        point: operating point for rates; the protocol's first when None.
        level: two-sided level.

    Raises:
        UsageError: no such evaluation or point, or a table that cannot be read.
        ScoringError: calls other than 0 and 1, or too few cases.
    """
    loaded = load_finished(workspace, [identifier])
    case_ids, answers = sort_answers(labels_of(loaded), [each.table for each in loaded])
    cutoffs = thresholds_of(loaded[0].protocol)
    chosen = point or next(iter(cutoffs), None)
    if chosen is not None and chosen not in cutoffs:
        raise UsageError(
            f"--point {chosen}: the protocol declares {', '.join(cutoffs) or 'no operating point'}."
        )
    readings = None if path is None else read_readings(path, case_ids)
    if readings is not None and len(readings.conditions) > 1:
        raise UsageError(f"{path}: truth comes from readings under one condition. Leave out the others.")
    note_use(workspace, loaded, answers, "truth-study")
    truth, score, patient = answers.reference, answers.scores[0], answers.patient
    called = None if chosen is None else score >= cutoffs[chosen]
    bands = [auroc_band(score, truth, rates)] if rates else []
    if rates and called is not None:
        bands += [rate_band(called, truth, metric, rates) for metric in ("sensitivity", "specificity")]
    agreement: list[Agreement] = []
    by_truth: list[TruthSensitivity] = []
    if readings is not None:
        panel = readings.scores[0]
        seed = Seed(evaluation=loaded[0].evaluation.id, metric="agreement")
        agreement.append(krippendorff_alpha(panel, "nominal", patient, seed=seed, level=level))
        if len(readings.readers) == 2:
            both = ~np.isnan(panel).any(axis=0)
            agreement.append(cohen_kappa(panel[0, both], panel[1, both], level=level))
        metrics: list[tuple[TruthMetric, np.ndarray]] = [("auroc", score)]
        if called is not None:
            metrics += [("sensitivity", called), ("specificity", called)]
        by_truth = [
            truth_sensitivity(values, panel, readings.readers, metric, patient, rule=rule, level=level)
            for metric, values in metrics
        ]
    return TruthStudy(
        evaluation=loaded[0].evaluation.id,
        vendor=loaded[0].evaluation.vendor,
        operating_point=chosen,
        bands=tuple(bands),
        readers=() if readings is None else readings.readers,
        rule=None if readings is None else rule,
        agreement=tuple(agreement),
        by_truth=tuple(by_truth),
        notes=(
            "A band over error rates is no confidence interval: it says what wrong labels may do, sampling aside.",
            "Independent: " + (bands[0].assumption if bands else "no error rate was stated."),
        ),
    )
