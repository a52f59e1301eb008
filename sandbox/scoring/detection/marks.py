"""Everything that the curves of a detection count, by patient and by rating: sorted once, added up for any resample.

A resample of patients is a weight for each of them; the counts are linear in the weights. So one sparse table, patients
by columns, gives every curve of every resample by a product, and nothing is matched or sorted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sandbox.scoring.bootstrap import Seed, patient_weights
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.detection.matching import FALSE_POSITIVE, IGNORED, LEFT_OUT

SECTIONS = (
    "lesions", "lesion_weights", "false", "false_in_normals", "normals_false", "normals", "diseased", "cases"
)  # fmt: skip
"""Lesions (and their weights) by rating, false positives, normal cases by their highest false positive, and normal and
diseased cases by their highest mark of any kind."""
_BLOCK = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMarks:
    """The findings of one case after matching.

    Attributes:
        ratings: of each finding.
        matched: what :func:`sandbox.scoring.detection.matching.match` gives.
        lesions: number of lesions of the case; 0 makes it a normal case.
        weights: of the lesions, adding up to 1; None: all the same.
        failed: the container gave no usable answer: its lesions are missed, and a normal case has one false alarm above
            every rating.
    """

    ratings: Floats
    matched: Integers
    lesions: int
    weights: Floats | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Counts by patient. Each section but ``cases`` has a column for each slot.

    Slot 0 is no mark at all, then every distinct rating from low to high, and last what stands above every rating.

    Attributes:
        ratings: the distinct ratings, rising.
        content: patients by columns.
    """

    ratings: Floats
    content: sparse.csr_matrix

    @property
    def slots(self) -> int:
        """Number of slots of a section."""
        return int(self.ratings.size) + 2

    @property
    def patients(self) -> int:
        """Number of patients."""
        return int(self.content.shape[0])

    def total(self) -> Floats:
        """Counts of all cases, shape (1, columns)."""
        return np.asarray(self.content.sum(axis=0), dtype=np.float64).reshape(1, -1)

    def resampled(self, seed: Seed, replicates: int) -> Iterator[Floats]:
        """Counts of resamples of whole patients, shape (replicates in a block, columns)."""
        step = max(1, _BLOCK // (8 * (self.patients + int(self.content.shape[1]))))
        for weights in patient_weights(self.patients, seed, replicates, step):
            yield np.asarray((self.content.T @ weights.T).T)

    def section(self, counts: Floats, name: str) -> Floats:
        """The columns of one section."""
        first = SECTIONS.index(name) * self.slots
        return counts[:, first : first + (1 if name == "cases" else self.slots)]


def make_marks(cases: Sequence[CaseMarks], patient: Integers) -> Marks:
    """Count the findings of all cases; ``patient`` is the patient of each."""
    number = np.arange(len(cases))
    sizes = [case.ratings.size for case in cases]
    owner = np.repeat(number, sizes)
    ratings = np.concatenate([case.ratings for case in cases]) if cases else np.empty(0)
    matched = (
        np.concatenate([case.matched for case in cases]).astype(np.int64) if cases else np.empty(0, np.int64)
    )
    distinct, inverse = np.unique(ratings, return_inverse=True)
    slot, slots = inverse + 1, distinct.size + 2
    lesions = np.array([case.lesions for case in cases], dtype=np.int64)
    failed = np.array([case.failed for case in cases], dtype=bool)
    normal = lesions == 0

    first = np.concatenate(([0], np.cumsum(lesions)))
    weights = [
        np.full(case.lesions, 1 / case.lesions) if case.weights is None else case.weights
        for case in cases
        if case.lesions
    ]
    lesion_slot = np.zeros(first[-1], dtype=np.int64)
    hit = matched >= 0
    lesion_slot[first[owner[hit]] + matched[hit]] = slot[hit]
    lesion_owner = np.repeat(number, lesions)

    false = matched == FALSE_POSITIVE
    false_owner, false_slot = owner[false], slot[false]
    lost = np.flatnonzero(failed & normal)
    false_owner = np.concatenate((false_owner, lost))
    false_slot = np.concatenate((false_slot, np.full(lost.size, slots - 1)))
    highest_false, highest = np.zeros(len(cases), dtype=np.int64), np.zeros(len(cases), dtype=np.int64)
    np.maximum.at(highest_false, false_owner, false_slot)
    # A mark that is left out of the count of findings still says that there is something in this case.
    seen = matched != IGNORED
    np.maximum.at(highest, owner[seen], slot[seen])
    highest = np.maximum(highest, highest_false)

    in_normal = normal[false_owner]
    parts: tuple[tuple[str, Integers, Integers, Floats | None], ...] = (
        ("lesions", lesion_owner, lesion_slot, None),
        ("lesion_weights", lesion_owner, lesion_slot, np.concatenate(weights) if weights else np.empty(0)),
        ("false", false_owner, false_slot, None),
        ("false_in_normals", false_owner[in_normal], false_slot[in_normal], None),
        ("normals_false", np.flatnonzero(normal), highest_false[normal], None),
        ("normals", np.flatnonzero(normal), highest[normal], None),
        ("diseased", np.flatnonzero(~normal), highest[~normal], None),
        ("cases", number, np.zeros(len(cases), dtype=np.int64), None),
    )
    codes, patients = compact(patient)
    rows = np.concatenate([codes[owners] for _, owners, _, _ in parts])
    columns = np.concatenate([SECTIONS.index(name) * slots + places for name, _, places, _ in parts])
    values = np.concatenate([np.ones(places.size) if each is None else each for _, _, places, each in parts])
    shape = (patients, (len(SECTIONS) - 1) * slots + 1)
    content = sparse.csr_matrix((values, (rows, columns)), shape=shape)
    content.sum_duplicates()
    return Marks(ratings=distinct, content=content)


def left_out(cases: Sequence[CaseMarks]) -> int:
    """Number of findings that count for nothing."""
    return sum(int(np.count_nonzero(case.matched == LEFT_OUT)) for case in cases)


def failed_case(lesions: int) -> CaseMarks:
    """A case without an answer, under the worst-case rule."""
    nothing = np.empty(0)
    return CaseMarks(ratings=nothing, matched=nothing.astype(np.int64), lesions=lesions, failed=True)


def is_normal(cases: Sequence[CaseMarks]) -> Bools:
    """Which cases have no lesion."""
    return np.array([case.lesions == 0 for case in cases], dtype=bool)
