"""The disclosure audit: how exactly a reader could know each cell after everything released so far and now.

Every number ever released for a hold-out version is a set of linear constraints on whole-numbered cells
(:mod:`sandbox.disclosure.fields`). For each protected cell the smallest and the largest feasible value are sought
with HiGHS. A linear relaxation would give a *wider* range than whole numbers allow and so overstate the
protection; therefore ``low`` and ``high`` are always values of whole-numbered solutions, checked against every
constraint in exact arithmetic. When the solver's time ends early the range found is too narrow, never too wide: the
audit may then refuse what is harmless, and never passes what is not.

    findings = audit(so_far, screened.constraints, protected=screened.protected, minimum_width=4)
    if any(finding.refused for finding in findings): ...
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

from sandbox.disclosure.cells import linked_bands
from sandbox.disclosure.components import components
from sandbox.disclosure.errors import AuditError
from sandbox.disclosure.fields import Constraint

Integers = npt.NDArray[np.int64]
_DIRECTIONS = 4
_EXACT_BELOW = 2.0**53


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """How far one protected cell is still free.

    Attributes:
        cell: its name.
        low, high: values that solutions reach. They are the extremes when ``exact``; otherwise the search
            ended as soon as the width sufficed, or out of time. Both None when no solution was found in time.
            A cell that nothing bounds from above shows the search's own limit as ``high``.
        width: ``high - low``, 0 without a solution.
        exact: ``low`` and ``high`` are proven to be the smallest and the largest feasible value.
        refused: the width is below the policy's.
    """

    cell: str
    low: int | None
    high: int | None
    width: int
    exact: bool
    refused: bool


def audit(
    so_far: Iterable[Constraint],
    new: Iterable[Constraint],
    *,
    protected: Sequence[str],
    minimum_width: int,
    exact: bool = False,
    seconds: float = 120.0,
) -> tuple[AuditFinding, ...]:
    """Range of every protected cell when the numbers of ``new`` join those of ``so_far``.

    Args:
        so_far: constraints of all releases issued for this hold-out version, to whomever.
        new: constraints of the release that is asked for (``Screened.constraints``).
        protected: cells to protect: those of this release and of all earlier ones. Where two protocols cut a
            number into different bands, the elementary bands between their edges are protected as well.
        minimum_width: the policy's.
        exact: prove the extremes instead of stopping at a sufficient width.
        seconds: time for all cells together; what is not decided by then is refused.

    Returns:
        One finding for each protected cell, in their order, then for elementary bands.

    Raises:
        AuditError: no whole-numbered counts satisfy the constraints: the releases contradict each other.
    """
    constraints = tuple(dict.fromkeys((*so_far, *new)))
    named = (term.cell for found in constraints for term in found.terms)
    between_bands, elementary = linked_bands((*protected, *named))
    constraints += between_bands
    protected = tuple(dict.fromkeys((*protected, *elementary)))
    deadline = time.monotonic() + seconds
    found: dict[str, AuditFinding] = {}
    for names, own in components(constraints, protected):
        wanted = [name for name in names if name in set(protected)]
        if wanted:
            search = _Search(names, own, minimum_width, deadline)
            found |= _ranges(search, wanted, minimum_width, exact)
    return tuple(found[name] for name in protected)


def _ranges(search: _Search, wanted: Sequence[str], width: int, exact: bool) -> dict[str, AuditFinding]:
    """Search until every wanted cell is wide enough, or its extremes are proven."""
    proven: dict[str, set[str]] = {name: set() for name in wanted}
    if not exact:
        # One solution widens the range of many cells; a few arbitrary directions decide most of them.
        random = np.random.default_rng(0)
        for _ in range(_DIRECTIONS):
            weights = random.choice((-1.0, 1.0), len(search.names))
            search.solve(weights)
            search.solve(-weights)
    for name in wanted:
        for side in ("low", "high"):
            if exact or search.width(name) < width:
                weights = np.zeros(len(search.names))
                weights[search.index[name]] = 1.0 if side == "low" else -1.0
                if search.solve(weights):
                    proven[name].add(side)
    return {name: search.finding(name, width, proven=len(proven[name]) == 2) for name in wanted}


class _Search:
    """Whole-numbered solutions of one set of linked constraints, and the range of values they reach."""

    def __init__(
        self, names: Sequence[str], constraints: Sequence[Constraint], width: int, deadline: float
    ) -> None:
        self.names = names
        self.index = {name: position for position, name in enumerate(names)}
        self.deadline = deadline
        limits = [
            abs(limit) for found in constraints for limit in (found.low, found.high) if limit is not None
        ]
        # Where nothing bounds a cell, a bound of our own: the range found is then too narrow, which is the safe side.
        self.ceiling = 2 * max(limits, default=0) + 10 * width + 1_000
        self.matrix = _matrix(constraints, self.index)
        self.lower = np.array([-np.inf if found.low is None else found.low for found in constraints])
        self.upper = np.array([np.inf if found.high is None else found.high for found in constraints])
        self.least: Integers | None = None
        self.most: Integers | None = None

    def solve(self, weights: npt.NDArray[np.float64]) -> bool:
        """Look for the solution of least weight; True when it is proven to be the least."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            return False
        result = optimize.milp(
            weights,
            constraints=optimize.LinearConstraint(self.matrix, self.lower, self.upper)
            if self.lower.size
            else (),
            integrality=np.ones(len(self.names)),
            bounds=optimize.Bounds(0, self.ceiling),
            options={"time_limit": left, "mip_rel_gap": 0.0},
        )
        if result.status == 2:
            raise AuditError(
                "no counts agree with all numbers released for this hold-out version; a release was made from "
                "other cases or other rules: find it in the ledger and retire the version"
            )
        if result.x is None or not self._accept(np.rint(result.x).astype(np.int64)):
            return False
        return bool(result.status == 0)

    def _accept(self, solution: Integers) -> bool:
        """Take a solution into the ranges when it satisfies every constraint exactly."""
        if (solution < 0).any():
            return False
        size = abs(self.matrix) @ np.abs(solution)
        total = self.matrix @ solution
        # The solver works with tolerances; whole numbers below 2**53 do not.
        if (size >= _EXACT_BELOW).any() or (total < self.lower).any() or (total > self.upper).any():
            return False
        self.least = solution if self.least is None else np.minimum(self.least, solution)
        self.most = solution if self.most is None else np.maximum(self.most, solution)
        return True

    def width(self, name: str) -> int:
        """Width of the range that solutions reach so far."""
        if self.least is None or self.most is None:
            return 0
        position = self.index[name]
        return int(self.most[position] - self.least[position])

    def finding(self, name: str, minimum: int, *, proven: bool) -> AuditFinding:
        """What was found for one cell."""
        position, width = self.index[name], self.width(name)
        return AuditFinding(
            cell=name,
            low=None if self.least is None else int(self.least[position]),
            high=None if self.most is None else int(self.most[position]),
            width=width,
            exact=proven,
            refused=width < minimum,
        )


def _matrix(constraints: Sequence[Constraint], index: Mapping[str, int]) -> sparse.csr_array:
    rows, columns, values = [], [], []
    for row, found in enumerate(constraints):
        for term in found.terms:
            rows.append(row)
            columns.append(index[term.cell])
            values.append(term.coefficient)
    shape = (len(constraints), len(index))
    return sparse.csr_array((np.array(values, dtype=np.int64), (rows, columns)), shape=shape)
