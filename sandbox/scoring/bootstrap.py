"""Bootstrap of patients by multinomial weights over a store that was sorted once.

A replicate is a weight for each patient: how often it was drawn. Every statistic here is a function of
weighted counts by distinct score, so no replicate sorts, copies or indexes cases. Replicates are made in
blocks of bounded size: memory does not grow with their number. The random stream depends on the seed's
words alone, not on the size of the blocks, the number of threads or what was computed before.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from sandbox.scoring.cases import Bools, Floats, Integers, ScoredCases, compact, tie_groups
from sandbox.scoring.estimates import student_quantile

BLOCK_BYTES = 32 * 2**20
_ROWS = 64
_CACHED = 2**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What a random stream belongs to; equal words give equal streams on every machine."""

    evaluation: str
    metric: str
    stratum: str = ""
    purpose: str = "bootstrap"

    def generator(self) -> np.random.Generator:
        """Return a fresh PCG64 stream seeded with the SHA-256 of the words."""
        # The length before each word keeps ("a", "bc") apart from ("ab", "c").
        words = (self.purpose, self.evaluation, self.metric, self.stratum)
        text = b"".join(len(word.encode()).to_bytes(8, "big") + word.encode() for word in words)
        return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text).digest(), "big")))


def replicate_counts(
    patient: Integers, column: Integers, columns: int, seed: Seed, replicates: int, block: int = BLOCK_BYTES
) -> Iterator[Floats]:
    """Resample patients and count cases by ``column``.

    Args:
        patient: patient of each case.
        column: category of each case, 0..columns-1 (a distinct score, a bin, a cell of a table).
        columns: number of categories.
        seed: names the random stream.
        replicates: number of resamples.
        block: bytes that one block of replicates may take.

    Yields:
        Arrays of shape (replicates in this block, columns).
    """
    generator = seed.generator()
    codes, patients = compact(patient)
    independent = patients == codes.size
    step = max(1, min(_ROWS, block // (24 * (patients + columns))))
    if independent and patients > 10 * columns:
        # Each case is a patient, and there are far more cases than categories: draw the counts themselves.
        shares = np.bincount(column, minlength=columns) / patients
        for size in _blocks(replicates, step):
            yield generator.multinomial(patients, shares, size=size).astype(np.float64)
        return
    if independent:
        by_patient = np.empty(patients, dtype=np.int32)
        by_patient[codes] = column
        for size in _blocks(replicates, step):
            yield _counted(generator, patients, size, columns, by_patient)
        return
    content = sparse.csr_matrix(
        (np.ones(codes.size), (codes, column)), shape=(patients, columns), dtype=np.float64
    )
    content.sum_duplicates()
    for size in _blocks(replicates, step):
        weights = np.ascontiguousarray(_counted(generator, patients, size, patients).T)
        yield np.asarray((content.T @ weights).T)


def _blocks(replicates: int, step: int) -> Iterator[int]:
    for start in range(0, replicates, step):
        yield min(step, replicates - start)


def _counted(
    generator: np.random.Generator,
    patients: int,
    rows: int,
    columns: int,
    by_patient: npt.NDArray[np.int32] | None = None,
) -> Floats:
    """Draw ``patients`` patients a row and count them, or their categories.

    Counting uniform draws gives multinomial weights, and is ten times faster for many patients than drawing them one
    category at a time. A few rows at a time keep the counters in the processor's cache: counting a whole block
    at once costs several times more for large hold-outs, which is what made their time grow faster than their size.
    """
    counts = np.empty((rows, columns))
    few = max(1, _CACHED // max(columns, patients))
    for start in range(0, rows, few):
        size = min(few, rows - start)
        # 32-bit draws come one by one from the stream, so that the size of a block changes no number.
        drawn = generator.integers(0, patients, size=(size, patients), dtype=np.uint32)
        number = drawn if by_patient is None else by_patient[drawn]
        flat = number + np.arange(0, size * columns, columns)[:, None] if size > 1 else number
        counts[start : start + size] = np.bincount(flat.ravel(), minlength=size * columns).reshape(
            size, columns
        )
    return counts


def aurocs(cases: ScoredCases, seed: Seed, replicates: int) -> Floats:
    """AUROC of each resample; NaN where a resample lacks positives or negatives."""
    groups, distinct = tie_groups(cases.score)
    column = groups + distinct * cases.reference
    found = []
    for counts in replicate_counts(cases.patient, column, 2 * distinct, seed, replicates):
        negative, positive = counts[:, :distinct], counts[:, distinct:]
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        found.append(_ratio((positive * below).sum(axis=1), pairs))
    return np.concatenate(found)


def average_precisions(cases: ScoredCases, seed: Seed, replicates: int) -> Floats:
    """Average precision of each resample; NaN where a resample lacks positives."""
    groups, distinct = tie_groups(cases.score)
    column = groups + distinct * cases.reference
    found = []
    for counts in replicate_counts(cases.patient, column, 2 * distinct, seed, replicates):
        negative, positive = counts[:, :distinct], counts[:, distinct:]
        true_positives = np.cumsum(positive[:, ::-1], axis=1)[:, ::-1]
        called = true_positives + np.cumsum(negative[:, ::-1], axis=1)[:, ::-1]
        gained = (positive * _ratio(true_positives, called, 0.0)).sum(axis=1)
        found.append(_ratio(gained, positive.sum(axis=1)))
    return np.concatenate(found)


def auroc_and_rates(
    cases: ScoredCases, threshold: float, seed: Seed, replicates: int
) -> tuple[Floats, Floats, Floats]:
    """AUROC, sensitivity and specificity of the same resamples, which are drawn once for all three.

    NaN where a resample lacks what the value needs.
    """
    groups, distinct = tie_groups(cases.score)
    column = groups + distinct * cases.reference
    first_called = int(groups[cases.score >= threshold].min(initial=distinct)) if cases.n else 0
    found: list[tuple[Floats, Floats, Floats]] = []
    for counts in replicate_counts(cases.patient, column, 2 * distinct, seed, replicates):
        negative, positive = counts[:, :distinct], counts[:, distinct:]
        below = np.cumsum(negative, axis=1)
        negatives, positives = below[:, -1], positive.sum(axis=1)
        wins = np.einsum("ij,ij->i", positive, below) - np.einsum("ij,ij->i", positive, negative) / 2
        spared = below[:, first_called - 1] if first_called else np.zeros_like(negatives)
        found.append(
            (
                _ratio(wins, positives * negatives),
                _ratio(positive[:, first_called:].sum(axis=1), positives),
                _ratio(spared, negatives),
            )
        )
    auroc, sensitivity, specificity = (np.concatenate(part) for part in zip(*found, strict=True))
    return auroc, sensitivity, specificity


def rates(cases: ScoredCases, threshold: float, seed: Seed, replicates: int) -> tuple[Floats, Floats]:
    """Sensitivity and specificity of each resample; NaN where its denominator is empty."""
    column = 2 * cases.reference.astype(np.int64) + (cases.score >= threshold)
    blocks = list(replicate_counts(cases.patient, column, 4, seed, replicates))
    counts = np.concatenate(blocks)
    sensitivity = _ratio(counts[:, 3], counts[:, 2] + counts[:, 3])
    specificity = _ratio(counts[:, 0], counts[:, 0] + counts[:, 1])
    return sensitivity, specificity


def expected_calibration_errors(
    cases: ScoredCases, bins: Integers, number: int, seed: Seed, replicates: int
) -> Floats:
    """ECE of each resample, given the bin (0..number-1) of each case."""
    groups, distinct = tie_groups(cases.score)
    column = groups + distinct * cases.reference
    score_of = np.zeros(distinct)
    score_of[groups] = cases.score
    bin_of = np.zeros(distinct, dtype=np.int64)
    bin_of[groups] = bins
    # Sum of (score - reference) within each bin, as one matrix applied to the counts.
    excess = np.zeros((2 * distinct, number))
    excess[np.arange(distinct), bin_of] = score_of
    excess[np.arange(distinct) + distinct, bin_of] = score_of - 1
    found = [
        np.abs(counts @ excess).sum(axis=1) / counts.sum(axis=1)
        for counts in replicate_counts(cases.patient, column, 2 * distinct, seed, replicates)
    ]
    return np.concatenate(found)


def patient_weights(patients: int, seed: Seed, replicates: int, step: int) -> Iterator[Floats]:
    """How often each patient was drawn, in blocks of at most ``step`` resamples, shape (block, patients)."""
    generator = seed.generator()
    for size in _blocks(replicates, step):
        yield _counted(generator, patients, size, patients)


def paired_aurocs(
    reference: Bools, scores: Floats, patient: Integers, seed: Seed, replicates: int, block: int = BLOCK_BYTES
) -> Floats:
    """AUROC of several submissions on the same resamples of patients.

    Args:
        reference: shape (n,).
        scores: shape (submissions, n).
        patient: patient of each case.
        seed: names the random stream.
        replicates: number of resamples.
        block: bytes that one block of resamples may take.

    Returns:
        Shape (submissions, replicates); NaN where a resample lacks positives or negatives.
    """
    codes, patients = compact(patient)
    contents = []
    for score in scores:
        order = np.argsort(score, kind="stable")
        groups, distinct = tie_groups(score[order])
        column = groups + distinct * reference[order]
        shape = (2 * distinct, patients)
        contents.append(sparse.csr_matrix((np.ones(codes.size), (column, codes[order])), shape=shape))
    widest = max(content.shape[0] for content in contents)
    found = []
    for weights in patient_weights(patients, seed, replicates, max(1, block // (24 * (patients + widest)))):
        turned = np.ascontiguousarray(weights.T)
        values = []
        for content in contents:
            counts = content @ turned
            distinct = counts.shape[0] // 2
            negative, positive = counts[:distinct], counts[distinct:]
            below = np.cumsum(negative, axis=0) - negative / 2
            pairs = positive.sum(axis=0) * negative.sum(axis=0)
            values.append(_ratio((positive * below).sum(axis=0), pairs))
        found.append(np.stack(values))
    return np.concatenate(found, axis=1)


def paired_means(
    values: npt.ArrayLike,
    counted: Bools,
    patient: Integers,
    seed: Seed,
    replicates: int,
    block: int = BLOCK_BYTES,
) -> Floats:
    """Mean of several columns over counted cases, on the same resamples of patients.

    Args:
        values: shape (columns, n).
        counted: cases of the denominator, shape (n,).
        patient: patient of each case.
        seed: names the random stream.
        replicates: number of resamples.
        block: bytes that one block of resamples may take.

    Returns:
        Shape (columns, replicates); NaN where a resample lacks counted cases.
    """
    codes, patients = compact(patient)
    columns = np.asarray(values, dtype=np.float64) * counted
    above = np.stack([np.bincount(codes, weights=column, minlength=patients) for column in columns])
    below = np.bincount(codes, weights=counted.astype(np.float64), minlength=patients)
    found = []
    for weights in patient_weights(patients, seed, replicates, max(1, block // (24 * patients))):
        sizes = weights @ below
        sums = above @ weights.T
        found.append(_ratio(sums, np.broadcast_to(sizes, sums.shape)))
    return np.concatenate(found, axis=1)


def percentile_interval(drawn: Floats, level: float, patients: int | None = None) -> tuple[float, float]:
    """Percentile interval of the defined resamples; NaN limits when more than 5 % are undefined.

    With ``patients``, from 2 on, the tails are those that make the interval of a mean as wide as Student's: resamples
    spread too little by sqrt((n - 1) / n), and the normal's tails are too short (Hesterberg 2015, What Teachers
    Should Know about the Bootstrap, section 3.3, expanded percentile interval).
    """
    defined = drawn[~np.isnan(drawn)]
    if defined.size < 0.95 * drawn.size:
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    if patients is not None:
        reach = math.sqrt(patients / (patients - 1)) * student_quantile(level, patients - 1)
        tail = float(stats.norm.sf(reach))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def _ratio(above: Floats, below: Floats, empty: float = float("nan")) -> Floats:
    return np.divide(above, below, out=np.full_like(above, empty), where=below > 0)
