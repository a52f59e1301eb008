"""The disclosure audit: how exactly a reader could know each cell after everything released so far and now.

Every number ever released for a hold-out version is a set of linear constraints on whole-numbered cells
(:mod:`sandbox.disclosure.fields`). A protected cell is safe when two whole-numbered solutions of all constraints
differ in it by the policy's width: the reader can exclude neither. A linear relaxation would give a *wider* range than
whole numbers allow, so it may prove a cell too narrow and never that it is safe; what passes was shown by solutions
that were checked in exact arithmetic (:mod:`sandbox.disclosure.solutions`). When the solver's time ends early the range
found is too narrow, never too wide: the audit may then refuse what is harmless, and never passes what is not.

    found = audit(so_far, screened.constraints, protected=screened.protected, minimum_width=4)
    if not found.safe: ...

The solutions are a certificate: given back as ``known``, they show in one matrix product what took the solver seconds,
and a forged or outdated one shows nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sandbox.disclosure.cells import linked_bands, nested_calls
from sandbox.disclosure.components import components
from sandbox.disclosure.fields import Constraint
from sandbox.disclosure.solutions import Integers, Search, SolutionBlock

_IDLE_ROUNDS = 2
_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """How far one protected cell is still free.

    Attributes:
        cell: its name.
        low, high: values that solutions reach. They are the extremes when ``exact``; otherwise the search
            ended as soon as the width sufficed or was proven not to, or out of time. Both None when no solution was
            found in time. A cell that nothing bounds from above shows the search's own limit as ``high``.
        width: ``high - low``, 0 without a solution.
        exact: ``low`` and ``high`` are proven to be the smallest and the largest feasible value.
        refused: the width is below the policy's.
        held_by: constraints that keep it narrow, when ``explain`` was asked for and it is refused.
    """

    cell: str
    low: int | None
    high: int | None
    width: int
    exact: bool
    refused: bool
    held_by: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One finding for each protected cell, in their order, then for elementary bands; and the solutions behind them.

    After ``first_refusal`` only the cells are there that were decided.
    """

    findings: tuple[AuditFinding, ...]
    solutions: tuple[SolutionBlock, ...]

    @property
    def safe(self) -> bool:
        """No protected cell is too narrow."""
        return not self.refused

    @property
    def refused(self) -> tuple[AuditFinding, ...]:
        """The cells that are too narrow."""
        return tuple(finding for finding in self.findings if finding.refused)


def audit(
    so_far: Iterable[Constraint],
    new: Iterable[Constraint],
    *,
    protected: Sequence[str],
    minimum_width: int,
    widths: Mapping[str, int] | None = None,
    exact: bool = False,
    explain: bool = False,
    first_refusal: bool = False,
    known: Sequence[SolutionBlock] = (),
    seconds: float = _SECONDS,
) -> Audit:
    """Range of every protected cell when the numbers of ``new`` join those of ``so_far``.

    Args:
        so_far: constraints of all releases issued for this hold-out version, to whomever.
        new: constraints of the release that is asked for (``Screened.constraints``).
        protected: cells to protect: those of this release and of all earlier ones. Where two protocols cut a
            number into different bands, the elementary bands between their edges are protected as well.
        minimum_width: the policy's.
        widths: cells that are protected with a width of their own.
        exact: prove the extremes instead of stopping at a sufficient width.
        explain: find out which constraints hold a cell that is too narrow.
        first_refusal: end with the first cell that is too narrow.
        known: solutions of an earlier audit, each of which is checked before it counts.
        seconds: time for all cells together; what is not decided by then is refused.

    Raises:
        AuditError: no whole-numbered counts satisfy the constraints: the releases contradict each other.
    """
    constraints = tuple(dict.fromkeys((*so_far, *new)))
    named = dict.fromkeys((*protected, *(term.cell for found in constraints for term in found.terms)))
    between_bands, elementary = linked_bands(named)
    constraints = tuple(dict.fromkeys((*constraints, *between_bands, *nested_calls(named))))
    needed = dict.fromkeys((*protected, *elementary), minimum_width) | dict(widths or {})
    deadline = time.monotonic() + seconds
    found: dict[str, AuditFinding] = {}
    solutions = []
    for names, own in components(constraints, tuple(needed)):
        wanted = {name: needed[name] for name in names if name in needed}
        if not wanted:
            continue
        search = Search(names, own, minimum_width, deadline)
        search.recall(known)
        for finding in _findings(search, wanted, exact=exact):
            found[finding.cell] = finding
            if first_refusal and finding.refused:
                return Audit(findings=tuple(found.values()), solutions=())
            if explain and finding.refused:
                rows = search.relaxed(finding.cell).rows
                found[finding.cell] = replace(finding, held_by=tuple(own[row] for row in rows))
        solutions.append(search.block())
    return Audit(findings=tuple(found[name] for name in needed), solutions=tuple(solutions))


def _findings(search: Search, wanted: Mapping[str, int], *, exact: bool) -> Iterator[AuditFinding]:
    """Decide on every wanted cell, given its width: together and near one solution, then alone and with proof."""
    if exact:
        for name, minimum in wanted.items():
            ends = [search.look_far(search.towards(name, sign)) for sign in (1.0, -1.0)]
            yield _finding(search, name, minimum, exact=all(ends))
        return
    if not search.solutions:
        search.look_far(np.zeros(len(search.names)))
    positions = np.array([search.index[name] for name in wanted])
    needed = np.array(list(wanted.values()))
    if search.solutions:
        _widen(search, positions, needed)
    narrow = search.widths(positions) < needed
    for (name, minimum), undecided in zip(wanted.items(), narrow.tolist(), strict=True):
        proven = undecided and bool(search.solutions) and _decide(search, name, minimum)
        yield _finding(search, name, minimum, exact=proven)


def _widen(search: Search, positions: Integers, needed: Integers) -> None:
    """Draw all cells that are still narrow apart at once, in arbitrary directions, while that helps."""
    random = np.random.default_rng(0)
    first, idle = search.solutions[0], 0
    while idle < _IDLE_ROUNDS:
        open_still = search.widths(positions) < needed
        narrow = positions[open_still]
        if not narrow.size:
            return
        # What stands near 0 has room above only.
        low = first[narrow] < needed[open_still]
        strength = random.uniform(0.5, 1.0, narrow.size)
        sign = random.choice((-1.0, 1.0), narrow.size)
        for direction in (sign, -sign):
            weights = np.zeros(len(search.names))
            weights[narrow] = strength * np.where(low, -1.0, direction)
            search.look_near(weights)
        fewer = int(np.count_nonzero(search.widths(positions) < needed)) < narrow.size
        idle = 0 if fewer else idle + 1


def _decide(search: Search, name: str, minimum: int) -> bool:
    """Find out about one cell for certain, until it is wide enough; True when both extremes are proven."""
    position = np.array([search.index[name]])
    if search.relaxed(name).width < minimum:
        return False
    for sign in (1.0, -1.0):
        search.look_near(search.towards(name, sign))
    if search.widths(position)[0] >= minimum:
        return False
    low = search.look_far(search.towards(name, 1.0))
    if search.widths(position)[0] >= minimum:
        return False
    return search.look_far(search.towards(name, -1.0)) and low


def _finding(search: Search, name: str, minimum: int, *, exact: bool) -> AuditFinding:
    reached = search.range(name)
    low, high = reached if reached is not None else (None, None)
    width = 0 if reached is None else reached[1] - reached[0]
    return AuditFinding(cell=name, low=low, high=high, width=width, exact=exact, refused=width < minimum)
