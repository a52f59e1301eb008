"""The scores of a multi-reader multi-case study, and each reader's AUROC with its structural components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sandbox.errors import ScoringError
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.ranking_components import components


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorialStudy:
    """Every reader scored every case under every treatment.

    Attributes:
        reference: True for positive cases, shape (n,).
        scores: shape (treatments, readers, n).
        patient: codes from 0, shape (n,).
        patients: how many patients.
    """

    reference: Bools
    scores: Floats
    patient: Integers
    patients: int

    @property
    def treatments(self) -> int:
        """Number of treatments (modalities, or with and without the algorithm)."""
        return int(self.scores.shape[0])

    @property
    def readers(self) -> int:
        """Number of readers."""
        return int(self.scores.shape[1])

    @property
    def clustered(self) -> bool:
        """Whether any patient has several cases."""
        return self.patients < self.reference.size


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderAurocs:
    """AUROC of each treatment and reader, and how each case contributes to it.

    Attributes:
        values: shape (treatments, readers).
        positive: share of negatives that each positive outscores, shape (treatments * readers, m).
        negative: share of positives that outscore each negative, shape (treatments * readers, n).
    """

    values: Floats
    positive: Floats
    negative: Floats


def make_study(
    reference: npt.ArrayLike, scores: npt.ArrayLike, patient: npt.ArrayLike | None = None
) -> FactorialStudy:
    """Check the scores of a study.

    Args:
        reference: 0/1 or booleans, one for each case.
        scores: numbers of shape (treatments, readers, cases); no NaN: the methods here need every reading.
        patient: patient of each case; None makes every case a patient of its own.

    Raises:
        ScoringError: shapes that do not fit, a missing reading, or fewer than two positives or negatives.
    """
    truth = np.asarray(reference).astype(bool)
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 3 or values.shape[2] != truth.size:
        raise ScoringError("the readings must have the shape treatments x readers x cases")
    if np.isnan(values).any():
        raise ScoringError(
            "a reading is missing; these methods need every case read by every reader. Leave out the case or the reader"
        )
    if min(np.count_nonzero(truth), np.count_nonzero(~truth)) < 2:
        raise ScoringError("a reader study needs at least two positive and two negative cases")
    who = np.arange(truth.size) if patient is None else np.unique(np.asarray(patient), return_inverse=True)[1]
    if who.shape != truth.shape:
        raise ScoringError("the patients and the cases of the reader study differ in number")
    codes, patients = compact(who.astype(np.int64))
    return FactorialStudy(reference=truth, scores=values, patient=codes, patients=patients)


def reader_aurocs(study: FactorialStudy) -> ReaderAurocs:
    """AUROC of each treatment and reader with midranks."""
    rows = study.scores.reshape(-1, study.reference.size)
    parts = [components(study.reference, row) for row in rows]
    positive = np.stack([part[study.reference] for part in parts])
    negative = np.stack([part[~study.reference] for part in parts])
    return ReaderAurocs(
        values=positive.mean(axis=1).reshape(study.treatments, study.readers),
        positive=positive,
        negative=negative,
    )
