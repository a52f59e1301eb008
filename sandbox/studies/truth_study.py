"""One finished evaluation under uncertain truth: readers as truth, their agreement, a stated error of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sandbox.errors import UsageError
from sandbox.institution.workspace import Workspace
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Floats, Integers
from sandbox.scoring.comparison.answers import sort_answers
from sandbox.scoring.readers.agreement import Agreement, Scale, cohen_kappa, fleiss_kappa, krippendorff_alpha
from sandbox.scoring.readers.intraclass import intraclass_correlation
from sandbox.scoring.readers.reader_truth import TruthMetric, TruthSensitivity, truth_sensitivity
from sandbox.scoring.readers.readings import Rule, consensus
from sandbox.scoring.readers.reference_error import SensitivityBand, auroc_band, rate_band
from sandbox.scoring.readers.verification import VerificationResult, begg_greenes
from sandbox.studies.comparing import labels_of, load_finished, note_use, thresholds_of
from sandbox.studies.readers_table import read_readings


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
    verification: VerificationResult | None
    notes: tuple[str, ...]


def study_truth(
    workspace: Workspace,
    identifier: str,
    path: Path | None,
    *,
    rates: Sequence[float],
    rule: Rule,
    adjudicator: str | None = None,
    partial_verification: bool = False,
    point: str | None,
    level: float,
) -> TruthStudy:
    """Work out how far an evaluation's values depend on its truth.

    Args:
        workspace: the workspace.
        identifier: a finished evaluation.
        path: readers' calls (0 or 1) of its cases, or grades of which only the agreement is told, or None.
        rates: stated shares of wrong labels in the reference.
        rule: how the readers' calls become a consensus.
        adjudicator: reader of the table who decides where the others disagree.
        partial_verification: whether to correct for cases that the readers did not see.
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
    if adjudicator is not None and (readings is None or adjudicator not in readings.readers):
        raise UsageError(f"--adjudicator {adjudicator}: the readings have no reader of this name.")
    note_use(workspace, loaded, answers, "truth-study")
    truth, score, patient = answers.reference, answers.scores[0], answers.patient
    called = None if chosen is None else score >= cutoffs[chosen]
    bands = [auroc_band(score, truth, rates)] if rates else []
    if rates and called is not None:
        bands += [rate_band(called, truth, metric, rates) for metric in ("sensitivity", "specificity")]
    agreement: tuple[Agreement, ...] = ()
    by_truth: list[TruthSensitivity] = []
    verification = None
    graded = False
    if readings is not None:
        panel, readers, last = _panel(readings.scores[0], readings.readers, adjudicator)
        graded = not np.isin(panel[~np.isnan(panel)], (0, 1)).all()
        seed = Seed(evaluation=loaded[0].evaluation.id, metric="agreement")
        agreement = _agreement(panel, patient, seed, level, graded=graded)
        metrics: list[tuple[TruthMetric, np.ndarray]] = [("auroc", score)]
        if called is not None:
            metrics += [("sensitivity", called), ("specificity", called)]
        by_truth = [
            truth_sensitivity(
                values, panel, readers, metric, patient, rule=rule, adjudicator=last, level=level
            )
            for metric, values in ([] if graded else metrics)
        ]
        if partial_verification and called is not None and not graded:
            verification = begg_greenes(called, consensus(panel, rule, last).truth, level=level)
    return TruthStudy(
        evaluation=loaded[0].evaluation.id,
        vendor=loaded[0].evaluation.vendor,
        operating_point=chosen,
        bands=tuple(bands),
        readers=() if readings is None else readings.readers,
        rule=None if readings is None else rule,
        agreement=agreement,
        by_truth=tuple(by_truth),
        verification=verification,
        notes=(
            "A band over error rates is no confidence interval: it says what wrong labels may do, sampling aside.",
            "Independent: " + (bands[0].assumption if bands else "no error rate was stated."),
            *(("The readings are grades, not calls: they make no truth here.",) if graded else ()),
        ),
    )


def _panel(
    scores: Floats, readers: tuple[str, ...], adjudicator: str | None
) -> tuple[Floats, tuple[str, ...], Floats | None]:
    """Take the adjudicator out of the panel."""
    if adjudicator is None:
        return scores, readers, None
    index = readers.index(adjudicator)
    rest = tuple(name for name in readers if name != adjudicator)
    return np.delete(scores, index, axis=0), rest, scores[index]


def _agreement(
    panel: Floats, patient: Integers, seed: Seed, level: float, *, graded: bool
) -> tuple[Agreement, ...]:
    """Agreement of calls, or of grades; coefficients that need every reader rest on cases that all read."""
    scale: Scale = "interval" if graded else "nominal"
    found = [krippendorff_alpha(panel, scale, patient, seed=seed, level=level)]
    complete = ~np.isnan(panel).any(axis=0)
    if not complete.any() or panel.shape[0] < 2:
        return tuple(found)
    if graded:
        made = intraclass_correlation(panel[:, complete], "2,1", level)
        found.append(
            Agreement(
                coefficient="icc-2,1", value=made.value, low=made.low, high=made.high, observed=None,
                cases=made.cases, readers=made.readers, level=level, method="shrout-fleiss-mcgraw-wong", reason=None,
            )
        )  # fmt: skip
        return tuple(found)
    positive = panel[:, complete].sum(axis=0)
    counts = np.stack((panel.shape[0] - positive, positive), axis=1)
    own = replace(seed, metric="fleiss")
    found.append(fleiss_kappa(counts, patient[complete], seed=own, level=level))
    if panel.shape[0] == 2:
        found.append(cohen_kappa(panel[0, complete], panel[1, complete], level=level))
    return tuple(found)
