"""Search for combinations of attributes where an algorithm errs more than elsewhere. Exploratory, always.

Every combination of one to three attributes' levels with enough cases is tested by Fisher's exact test, one-sided,
against all other cases. Independent cases: p adjusted by the distribution of the smallest p under permutation of
the outcome (Westfall and Young 1993), which keeps the correlation of overlapping slices. Patients with several
cases: the test is that of the linearised difference by patient, adjusted by Holm. What is found here was sought in
the same data: it is a hypothesis for other data, not a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse, special, stats

from sandbox.errors import ScoringError
from sandbox.outcome.case_mix_results import FoundSlice
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Bools, Floats, Integers, compact
from sandbox.scoring.multiplicity import holm
from sandbox.scoring.proportions import effective_size, wilson
from sandbox.scoring.strata import Levels

MOST_SLICES = 100_000
_BLOCK = 64
LABEL = "exploratory: found by search in the same data; a hypothesis for other data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The slices with the smallest adjusted p, and how many were looked at."""

    slices: tuple[FoundSlice, ...]
    searched: int
    permutations: int
    method: str


def find_slices(
    error: Bools,
    attributes: Sequence[Levels],
    patient: Integers,
    seed: Seed,
    *,
    ways: int = 3,
    minimum: int = 20,
    permutations: int = 1000,
    most: int = 20,
    level: float = 0.95,
) -> Search:
    """Search slices.

    Args:
        error: whether the answer is wrong, for each case of the denominator.
        attributes: levels of each attribute over the same cases.
        patient: patient of each case.
        seed: names the random stream of the permutations.
        ways: most attributes in one slice, 1 to 3.
        minimum: fewest cases of a slice, and outside it.
        permutations: of the outcome.
        most: slices that are returned.
        level: two-sided level of the limits.

    Raises:
        ScoringError: nothing to search, ``ways`` out of range, or more slices than can be searched.
    """
    if not 1 <= ways <= 3:
        raise ScoringError("slices combine one to three attributes")
    if not attributes or error.size == 0:
        raise ScoringError("a search for slices needs cases and attributes")
    cells, cell_of = _cells(attributes)
    members, labels = _members(attributes, cells, ways)
    at_cell = np.bincount(cell_of, minlength=cells.shape[0])
    n = np.asarray(members @ at_cell)
    kept = np.flatnonzero((n >= minimum) & (error.size - n >= minimum))
    if not kept.size:
        return Search(slices=(), searched=0, permutations=0, method="none")
    # Two combinations that hold the same cells are one slice; the shorter name comes first and stays.
    kept = _distinct(members, kept)
    members, labels, n = members[kept], [labels[index] for index in kept], n[kept]
    total = int(np.count_nonzero(error))
    k = np.asarray(members @ np.bincount(cell_of, weights=error, minlength=cells.shape[0]))
    codes, patients = compact(patient)
    clustered = patients < error.size
    drawn = 0
    if clustered:
        p = _robust(error, members, cell_of, codes, patients, n, k)
        adjusted = np.asarray(holm([float(each) for each in p]))
    else:
        p = np.array([_tail(int(x), int(x), error.size, total, int(y))[0] for x, y in zip(k, n, strict=True)])
        adjusted, drawn = _permuted(p, members, at_cell, total, n, seed, permutations), permutations
    order = np.lexsort((-k / n, p, adjusted))[:most]
    return Search(
        slices=tuple(
            _slice(labels[i], members[i], cell_of, error, codes, float(p[i]), float(adjusted[i]), level)
            for i in order
        ),
        searched=int(n.size),
        permutations=drawn,
        method="linearised-by-patient-holm" if clustered else "fisher-exact-min-p-permutation",
    )


def _cells(attributes: Sequence[Levels]) -> tuple[Integers, Integers]:
    """Combinations of all attributes that occur, and the combination of each case."""
    codes = np.stack([levels.codes for levels in attributes], axis=1)
    cells, cell_of = np.unique(codes, axis=0, return_inverse=True)
    return cells, cell_of.ravel()


def _members(
    attributes: Sequence[Levels], cells: Integers, ways: int
) -> tuple[sparse.csr_matrix, list[tuple[tuple[str, str], ...]]]:
    """Slices by cells, one row for each combination of levels that occurs."""
    rows, columns = [], []
    labels: list[tuple[tuple[str, str], ...]] = []
    for way in range(1, min(ways, len(attributes)) + 1):
        for chosen in combinations(range(len(attributes)), way):
            found, which = np.unique(cells[:, chosen], axis=0, return_inverse=True)
            rows.append(which.ravel() + len(labels))
            columns.append(np.arange(cells.shape[0]))
            labels += [
                tuple(
                    (attributes[i].name, attributes[i].names[code])
                    for i, code in zip(chosen, row, strict=True)
                )
                for row in found.tolist()
            ]
            if len(labels) > MOST_SLICES:
                raise ScoringError(
                    f"there are more than {MOST_SLICES} slices; give fewer attributes, wider bands or fewer ways"
                )
    row, column = np.concatenate(rows), np.concatenate(columns)
    shape = (len(labels), cells.shape[0])
    return sparse.csr_matrix((np.ones(row.size), (row, column)), shape=shape), labels


def _distinct(members: sparse.csr_matrix, kept: Integers) -> Integers:
    signature = (
        np.random.Generator(np.random.PCG64(0)).integers(1, 2**52, members.shape[1]).astype(np.float64)
    )
    marks = np.asarray(members[kept] @ signature)
    _, first = np.unique(marks, return_index=True)
    return kept[np.sort(first)]


def _permuted(
    p: Floats,
    members: sparse.csr_matrix,
    at_cell: Integers,
    total: int,
    n: Integers,
    seed: Seed,
    permutations: int,
) -> Floats:
    """Adjusted p: how often the smallest p of a permuted outcome is at most this one; never 0.

    Permuting the outcome over cases draws the errors of cells from a multivariate hypergeometric distribution,
    so a permutation costs by cell and not by case.
    """
    generator = seed.generator()
    errors = generator.multivariate_hypergeometric(at_cell, total, size=permutations, method="marginals")
    smallest = np.ones(permutations)
    cases = int(at_cell.sum())
    # Fisher's p rises with fewer errors: one table of p by count for each distinct size of slice.
    sizes, size_of = np.unique(n, return_inverse=True)
    drawn = np.asarray(members @ errors.T.astype(np.float64)).astype(np.int64)
    for index, size in enumerate(sizes):
        most = drawn[size_of == index].max(axis=0)
        lowest, highest = int(most.min()), int(most.max())
        tails = _tail(lowest, highest, cases, total, int(size))
        smallest = np.minimum(smallest, tails[most - lowest])
    smallest.sort()
    return np.asarray((1 + np.searchsorted(smallest, p * (1 + 1e-9), side="right")) / (1 + permutations))


def _tail(lowest: int, highest: int, cases: int, total: int, size: int) -> Floats:
    """Hypergeometric P(X >= x) for x from ``lowest`` to ``highest``, summed from the small end."""
    end = min(size, total)
    centre, spread = size * total / cases, np.sqrt(size * total / cases) + 1
    # Further out the terms are below 1e-300 of the largest.
    end = max(highest, min(end, int(centre + 40 * spread)))
    x = np.arange(lowest, end + 1, dtype=np.float64)
    lowest_possible = max(0, size - (cases - total))

    def choose(top: float, below: Floats | float) -> Floats:
        return np.asarray(
            special.gammaln(top + 1)
            - special.gammaln(np.asarray(below) + 1)
            - special.gammaln(top - below + 1)
        )

    possible = (x >= lowest_possible) & (x <= min(size, total))
    inner = np.where(possible, x, lowest_possible)
    terms = np.where(
        possible,
        np.exp(choose(total, inner) + choose(cases - total, size - inner) - choose(cases, size)),
        0.0,
    )
    tails = np.cumsum(terms[::-1])[::-1]
    return np.asarray(np.minimum(1.0, tails[: highest - lowest + 1]))


def _robust(
    error: Bools,
    members: sparse.csr_matrix,
    cell_of: Integers,
    codes: Integers,
    patients: int,
    n: Floats,
    k: Floats,
) -> Floats:
    """One-sided p of slice against the rest from contributions summed by patient."""
    whole, total = error.size, float(np.count_nonzero(error))
    # Under equal rates the common rate is the centre, as in a score test.
    centred = error - total / whole
    shape = (members.shape[1], patients)
    contributions = sparse.csr_matrix((centred, (cell_of, codes)), shape=shape)
    present = sparse.csr_matrix((np.ones(whole), (cell_of, codes)), shape=shape)
    of_patient = np.bincount(codes, weights=centred, minlength=patients)
    found = np.ones(n.size)
    for start in range(0, n.size, _BLOCK):
        rows = slice(start, start + _BLOCK)
        inside = members[rows] @ contributions
        here = (members[rows] @ present).getnnz(axis=1)
        a, b = 1 / n[rows], 1 / (whole - n[rows])
        squares = np.asarray(inside.multiply(inside).sum(axis=1)).ravel()
        variance = (a + b) ** 2 * squares - 2 * (a + b) * b * (inside @ of_patient)
        variance = (variance + b**2 * (of_patient @ of_patient)) * patients / (patients - 1)
        gap = k[rows] * a - (total - k[rows]) * b
        usable = (variance > 0) & (here > 1)
        statistic = np.divide(gap, np.sqrt(np.maximum(variance, 0)), out=np.zeros_like(gap), where=usable)
        found[rows] = np.where(usable, stats.t.sf(statistic, np.maximum(here - 1, 1)), 1.0)
    return found


def _slice(
    label: tuple[tuple[str, str], ...],
    row: sparse.csr_matrix,
    cell_of: Integers,
    error: Bools,
    codes: Integers,
    p: float,
    adjusted: float,
    level: float,
) -> FoundSlice:
    inside = np.zeros(row.shape[1], dtype=bool)
    inside[row.indices] = True
    within = inside[cell_of]
    own, others = error[within], error[~within]
    size = effective_size(own, codes[within], level)
    rate = float(own.mean())
    low, high = wilson(rate * size, size, level)
    return FoundSlice(
        levels=label,
        n=int(own.size),
        patients=int(np.unique(codes[within]).size),
        errors=int(np.count_nonzero(own)),
        rate=rate,
        low=float(low),
        high=float(high),
        elsewhere=float(others.mean()),
        p=p,
        p_adjusted=adjusted,
    )
