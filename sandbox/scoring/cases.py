"""The columnar store that every metric is a function of: scored cases, sorted once by score.

A failed case has no score. Under the rule ``worst_case`` a failed positive stands below every score (missed
at any threshold) and a failed negative above every score (a false alarm at any threshold): -inf and +inf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sandbox.errors import ScoringError

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCases:
    """Cases in order of rising score; parallel arrays of length n.

    Attributes:
        reference: True where the reference standard is positive.
        score: float64; -inf or +inf for a failed case under ``worst_case``.
        failed: True where the container gave no usable answer.
        patient: code of the patient, from 0; cases of one patient are not independent.
    """

    reference: Bools
    score: Floats
    failed: Bools
    patient: Integers

    @property
    def n(self) -> int:
        """Number of cases."""
        return int(self.reference.size)

    @property
    def positives(self) -> int:
        """Number of cases that are positive by the reference standard."""
        return int(np.count_nonzero(self.reference))

    @property
    def negatives(self) -> int:
        """Number of cases that are negative by the reference standard."""
        return self.n - self.positives

    def where(self, chosen: Bools | Integers) -> ScoredCases:
        """Return the chosen cases; an integer selection must rise, so that the order by score stays."""
        return ScoredCases(
            reference=self.reference[chosen],
            score=self.score[chosen],
            failed=self.failed[chosen],
            patient=self.patient[chosen],
        )


def make_cases(
    reference: npt.ArrayLike,
    score: npt.ArrayLike,
    patient: npt.ArrayLike | None = None,
    failed: npt.ArrayLike | None = None,
) -> ScoredCases:
    """Sort cases by score; equal scores keep their order.

    Args:
        reference: 0/1 or booleans.
        score: numbers, float64 throughout (float32 would make ties of near-equal scores).
        patient: any codes; None makes every case a patient of its own.
        failed: booleans; None means none failed.

    Raises:
        ScoringError: lengths differ or a score is NaN.
    """
    truth = np.asarray(reference).astype(bool)
    values = np.asarray(score, dtype=np.float64)
    n = truth.size
    codes = np.arange(n) if patient is None else np.unique(np.asarray(patient), return_inverse=True)[1]
    lost = np.zeros(n, dtype=bool) if failed is None else np.asarray(failed, dtype=bool)
    if not values.shape == codes.shape == lost.shape == truth.shape:
        raise ScoringError("reference, score, patient and failure columns differ in length; join them again")
    if np.isnan(values).any():
        raise ScoringError("a score is NaN; a case without a score must be marked as failed")
    order = np.argsort(values, kind="stable")
    return ScoredCases(
        reference=truth[order],
        score=values[order],
        failed=lost[order],
        patient=codes[order].astype(np.int64),
    )


def count_patients(patient: Integers) -> int:
    """Return the number of distinct patients."""
    return int(np.count_nonzero(np.bincount(patient)))


def compact(patient: Integers) -> tuple[Integers, int]:
    """Codes 0..K-1 in place of ``patient``, and K."""
    # Codes are small whole numbers: counting them is far faster than sorting them.
    numbers = np.cumsum(np.bincount(patient) > 0) - 1
    return numbers[patient], int(numbers[-1]) + 1 if numbers.size else 0


def patient_sums(values: Floats, patient: Integers) -> Floats:
    """Add up ``values`` by patient, for the patients that occur."""
    codes, patients = compact(patient)
    return np.bincount(codes, weights=values, minlength=patients).astype(np.float64)


def tie_groups(score: Floats) -> tuple[Integers, int]:
    """Group number (0..L-1, rising) of each of the sorted scores, and the number L of distinct scores."""
    if score.size == 0:
        return np.zeros(0, dtype=np.int64), 0
    new = np.empty(score.size, dtype=np.int64)
    new[0] = 0
    # Two infinities of one sign are equal here; their difference would be NaN.
    new[1:] = score[1:] != score[:-1]
    groups = np.cumsum(new)
    return groups, int(groups[-1]) + 1
