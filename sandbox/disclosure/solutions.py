"""Whole-numbered solutions of one set of linked constraints, and the range of values that they reach.

A solution counts only when it satisfies every constraint in whole numbers. Whatever the solver's tolerances, time or
heuristics did, a range that solutions span is therefore never wider than the true one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

from sandbox.disclosure.errors import AuditError
from sandbox.disclosure.fields import Constraint

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_EXACT_BELOW = 2.0**53
_TOLERANCE = 1e-6
_NEAR_WIDTHS = 3
_NEAR_GAP = 0.3
_INFEASIBLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SolutionBlock:
    """Solutions of linked cells: each row of ``values`` has one value for each of ``cells``."""

    cells: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """A bound of a cell's width, infinite when out of time, and positions of the constraints that cause it.

    A constraint causes it when its price in the linear programme's optimum is not 0: without it the range is wider.
    """

    width: float
    rows: tuple[int, ...]


class Search:
    """Looks for solutions; keeps those that widen the range of a cell.

    Args:
        names: the cells.
        constraints: on these cells only.
        width: the range that is asked for; sets how far around the first solution :meth:`look_near` goes.
        deadline: ``time.monotonic()`` after which nothing is solved any more.
    """

    def __init__(
        self, names: Sequence[str], constraints: Sequence[Constraint], width: int, deadline: float
    ) -> None:
        self.names = tuple(names)
        self.index = {name: position for position, name in enumerate(names)}
        self.deadline = deadline
        limits = [
            abs(limit) for found in constraints for limit in (found.low, found.high) if limit is not None
        ]
        # Where nothing bounds a cell, a bound of our own: the range found is then too narrow, which is the safe side.
        self.ceiling = 2 * max(limits, default=0) + 10 * width + 1_000
        self.radius = _NEAR_WIDTHS * width
        self.matrix = _matrix(constraints, self.index)
        self.lower = np.array([-np.inf if found.low is None else found.low for found in constraints])
        self.upper = np.array([np.inf if found.high is None else found.high for found in constraints])
        self._below, self._above = (
            np.flatnonzero(np.isfinite(self.upper)),
            np.flatnonzero(np.isfinite(self.lower)),
        )
        self._inequalities = {
            "A_ub": sparse.vstack([self.matrix[self._below], -self.matrix[self._above]], format="csr"),
            "b_ub": np.concatenate([self.upper[self._below], -self.lower[self._above]]),
        }
        self._relaxed: dict[str, Relaxed] = {}
        self.solutions: list[Integers] = []
        self.least: Integers = np.full(len(names), np.iinfo(np.int64).max)
        self.most: Integers = np.full(len(names), -1)

    def recall(self, blocks: Iterable[SolutionBlock]) -> None:
        """Take solutions found earlier; what is none of these constraints' solutions is passed over."""
        for block in blocks:
            place = {cell: position for position, cell in enumerate(block.cells)}
            if not place.keys() >= self.index.keys():
                continue
            chosen = [place[name] for name in self.names]
            for values in block.values:
                # Numbers beyond the search's own limit could overflow into a sum that seems to hold.
                if len(values) == len(place) and all(0 <= each <= self.ceiling for each in values):
                    self._accept(np.array(values, dtype=np.int64)[chosen])

    def look_far(self, weights: Floats) -> bool:
        """Look for the solution of least weight; True when it is proven to be the least.

        Raises:
            AuditError: there is no solution at all.
        """
        result = self._solve(weights, optimize.Bounds(0, self.ceiling))
        if result is None:
            return False
        if result.status == _INFEASIBLE:
            raise AuditError(
                "no counts agree with all numbers released for this hold-out version; a release was made from "
                "other cases or other rules: find it in the ledger and retire the version"
            )
        taken = result.x is not None and self._accept(np.rint(result.x).astype(np.int64))
        return taken and result.status == 0

    def look_near(self, weights: Floats) -> None:
        """Look for a solution of small weight a few steps from the first one.

        Few inequalities bind so near; what is left are sums, whose extremes are whole numbers. Such a search takes a
        small part of the time of the whole one and finds a solution wherever no told number stands close.
        """
        centre = self.solutions[0]
        bounds = optimize.Bounds(np.maximum(0, centre - self.radius), centre + self.radius)
        result = self._solve(weights, bounds, gap=_NEAR_GAP)
        if result is not None and result.x is not None:
            self._accept(np.rint(result.x).astype(np.int64))

    def relaxed(self, cell: str) -> Relaxed:
        """The range of a cell in fractions, which holds its range in whole numbers, and what bounds it."""
        if cell in self._relaxed:
            return self._relaxed[cell]
        rows: dict[int, None] = {}
        ends = []
        for sign in (1.0, -1.0):
            left = self.deadline - time.monotonic()
            if left <= 0:
                return Relaxed(width=np.inf, rows=())
            result = optimize.linprog(
                self.towards(cell, sign),
                **self._inequalities,
                bounds=(0, self.ceiling),
                method="highs",
                options={"time_limit": left},
            )
            if result.status != 0:
                return Relaxed(width=np.inf, rows=())
            ends.append(sign * result.fun)
            below = len(self._below)
            for owners, prices in ((self._below, result.ineqlin.marginals[:below]),
                                   (self._above, result.ineqlin.marginals[below:])):  # fmt: skip
                rows |= dict.fromkeys(owners[np.abs(prices) > _TOLERANCE].tolist())
        width = np.floor(ends[1] + _TOLERANCE) - np.ceil(ends[0] - _TOLERANCE)
        self._relaxed[cell] = Relaxed(width=float(width), rows=tuple(rows))
        return self._relaxed[cell]

    def towards(self, cell: str, sign: float) -> Floats:
        """Weights that seek the smallest (1) or the largest (-1) value of one cell."""
        weights = np.zeros(len(self.names))
        weights[self.index[cell]] = sign
        return weights

    def widths(self, cells: Integers) -> Integers:
        """Width of the ranges that solutions reach so far, for cells by position; 0 without a solution."""
        return np.asarray(np.maximum(0, self.most[cells] - self.least[cells]), dtype=np.int64)

    def range(self, cell: str) -> tuple[int, int] | None:
        """Smallest and largest value that solutions reach so far."""
        position = self.index[cell]
        return (int(self.least[position]), int(self.most[position])) if self.solutions else None

    def block(self) -> SolutionBlock:
        """The solutions that were kept."""
        return SolutionBlock(cells=self.names, values=tuple(tuple(each.tolist()) for each in self.solutions))

    def _solve(
        self, weights: Floats, bounds: optimize.Bounds, *, gap: float = 0.0, whole: bool = True
    ) -> optimize.OptimizeResult | None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            return None
        return optimize.milp(
            weights,
            constraints=optimize.LinearConstraint(self.matrix, self.lower, self.upper)
            if self.lower.size
            else (),
            integrality=np.full(len(self.names), int(whole)),
            bounds=bounds,
            options={"time_limit": left, "mip_rel_gap": gap},
        )

    def _accept(self, solution: Integers) -> bool:
        """Whether it satisfies every constraint exactly; it is kept when it widens any range."""
        if (solution < 0).any():
            return False
        size = abs(self.matrix) @ np.abs(solution)
        total = self.matrix @ solution
        # The solver works with tolerances; whole numbers below 2**53 do not.
        if (size >= _EXACT_BELOW).any() or (total < self.lower).any() or (total > self.upper).any():
            return False
        if (solution < self.least).any() or (solution > self.most).any():
            self.solutions.append(solution)
            self.least = np.minimum(self.least, solution)
            self.most = np.maximum(self.most, solution)
        return True


def _matrix(constraints: Sequence[Constraint], index: Mapping[str, int]) -> sparse.csr_array:
    rows, columns, values = [], [], []
    for row, found in enumerate(constraints):
        for term in found.terms:
            rows.append(row)
            columns.append(index[term.cell])
            values.append(term.coefficient)
    shape = (len(constraints), len(index))
    return sparse.csr_array((np.array(values, dtype=np.int64), (rows, columns)), shape=shape)
