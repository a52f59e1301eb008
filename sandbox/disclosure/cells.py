"""The whole numbers that are protected, by name, and what holds between them whatever their values.

Names: ``holdout/<target>/<unit>/<group>/<cell>`` for what the hold-out alone fixes (``positives``, ``negatives``,
``patients``), ``<scope>/<rule>/<threshold>/<group>/<cell>`` for confusion counts (``tp``, ``fn``, ``fp``, ``tn``),
``<scope>/<group>/<cell>`` for failed cases. A group is ``all`` or ``attribute=level``. Two protocols that ask the
same thing of the same cases so speak of the same cell.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from sandbox.disclosure.fields import Constraint, Term
from sandbox.plan.bands import CROSS

ALL = "all"
_BAND = re.compile(r"^(?P<low>[^ ]+) to (?P<open><?)(?P<high>[^ ]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cases of one level of one stratum, or all cases; ``key`` is its part of a cell's name."""

    attribute: str
    level: str
    key: str

    @property
    def name(self) -> str:
        """``all`` or ``attribute=level``."""
        return ALL if self.attribute == ALL else f"{self.attribute}={self.level}"


EVERYTHING = Group(attribute=ALL, level=ALL, key=ALL)


def total(cells: Iterable[str]) -> tuple[Term, ...]:
    """The sum of ``cells``."""
    return tuple(Term(cell=cell, coefficient=1) for cell in cells)


def equal(left: Sequence[Term], right: Sequence[Term]) -> Constraint:
    """``left`` equals ``right``."""
    return Constraint(terms=difference(left, right), low=0, high=0)


def difference(left: Sequence[Term], right: Sequence[Term]) -> tuple[Term, ...]:
    """``left`` minus ``right``, each cell once, none with coefficient 0."""
    sums: dict[str, int] = {}
    for sign, terms in ((1, left), (-1, right)):
        for term in terms:
            sums[term.cell] = sums.get(term.cell, 0) + sign * term.coefficient
    return tuple(Term(cell=cell, coefficient=number) for cell, number in sums.items() if number)


def between(terms: Sequence[Term], low: int | None, high: int | None) -> Constraint:
    """``low <= sum <= high``."""
    return Constraint(terms=tuple(terms), low=low, high=high)


def ratio(
    numerator: Sequence[Term], denominator: Sequence[Term], low: Fraction | None, below: Fraction | None
) -> Iterator[Constraint]:
    """``low <= numerator / denominator < below``, as whole-numbered inequalities; the denominator is positive."""
    if low is not None:
        scaled = _times(numerator, low.denominator), _times(denominator, low.numerator)
        yield Constraint(terms=difference(*scaled), low=0, high=None)
    if below is not None:
        scaled = _times(numerator, below.denominator), _times(denominator, below.numerator)
        yield Constraint(terms=difference(*scaled), low=None, high=-1)


def _times(terms: Sequence[Term], factor: int) -> tuple[Term, ...]:
    return tuple(Term(cell=term.cell, coefficient=term.coefficient * factor) for term in terms if factor)


def divisions(groups: Sequence[Group]) -> list[tuple[Group, list[Group]]]:
    """Each group with levels that divide it: those of every stratum and of every crossing.

    All cases are divided by each stratum; a level of a single attribute by the crossings that hold it. A
    crossing whose levels cannot be taken apart (a level that itself contains `` x ``) divides all cases only.
    """
    known = {(group.attribute, group.level): group for group in groups}
    divided: dict[tuple[Group, str], list[Group]] = {}
    for group in groups:
        divided.setdefault((EVERYTHING, group.attribute), []).append(group)
        attributes, levels = group.attribute.split(CROSS), group.level.split(CROSS)
        if len(attributes) == 1 or len(attributes) != len(levels):
            continue
        for attribute, level in zip(attributes, levels, strict=True):
            if parent := known.get((attribute, level)):
                divided.setdefault((parent, group.attribute), []).append(group)
    return [(parent, levels) for (parent, _), levels in divided.items()]


def sums(groups: Sequence[Group], names: Mapping[str, Mapping[str, str]]) -> Iterator[Constraint]:
    """The levels of a stratum add up to what they divide, for every kind of cell.

    Args:
        groups: all groups but the whole.
        names: kind of cell to group key to the cell's name; a kind may lack groups, which count as absent.
    """
    for parent, levels in divisions(groups):
        for by_group in names.values():
            if parent.key in by_group and all(level.key in by_group for level in levels):
                whole = total([by_group[parent.key]])
                yield equal(total(by_group[level.key] for level in levels), whole)


def nested_calls(cells: Iterable[str]) -> Iterator[Constraint]:
    """Of the same answers a higher threshold calls no more cases positive, whichever protocol names the threshold.

    Args:
        cells: names of all cells of all releases; other cells than confusion counts are passed over.
    """
    found: dict[tuple[str, str, str], dict[float, str]] = {}
    for cell in dict.fromkeys(cells):
        head, _, kind = cell.rpartition("/")
        parts = head.split("/", 3)
        if kind in ("tp", "fp") and len(parts) == 4:
            with suppress(ValueError):
                found.setdefault((f"{parts[0]}/{parts[1]}", parts[3], kind), {})[float(parts[2])] = cell
    for by_threshold in found.values():
        ordered = [by_threshold[threshold] for threshold in sorted(by_threshold)]
        for lower, higher in itertools.pairwise(ordered):
            yield between(difference(total([lower]), total([higher])), 0, None)


def linked_bands(cells: Iterable[str]) -> tuple[tuple[Constraint, ...], tuple[str, ...]]:
    """What bands of one attribute under different cuts have in common.

    Two protocols may cut an age at 50 and at 51; the difference of their counts is the count of one year. Each
    band is the sum of elementary bands between all edges ever used.

    Args:
        cells: names of all cells of all releases.

    Returns:
        The sums, and the names of the elementary cells, which are protected as well.
    """
    found: dict[tuple[str, str, str], dict[str, tuple[_Edge, _Edge]]] = {}
    for cell in dict.fromkeys(cells):
        head, _, kind = cell.rpartition("/")
        place, _, group = head.rpartition("/")
        attribute, equals, level = group.partition("=")
        edges = _edges(level) if equals and CROSS not in attribute else None
        if edges:
            found.setdefault((place, attribute, kind), {})[cell] = edges
    constraints: list[Constraint] = []
    elementary: dict[str, None] = {}
    for (place, attribute, kind), bands in found.items():
        cuts = sorted({edge for pair in bands.values() for edge in pair})
        parts = {
            (low, high): f"{place}/{attribute}={low[0]:g}:{low[1]}..{high[0]:g}:{high[1]}/{kind}"
            for low, high in itertools.pairwise(cuts)
        }
        if all(pair in parts for pair in bands.values()):
            continue
        for cell, (low, high) in bands.items():
            inside = [name for (start, end), name in parts.items() if low <= start and end <= high]
            constraints.append(equal(total(inside), total([cell])))
            elementary |= dict.fromkeys(inside)
    return tuple(constraints), tuple(elementary)


_Edge = tuple[float, int]


def _edges(level: str) -> tuple[_Edge, _Edge] | None:
    """Edges of a band's name; the end of a closed band lies just behind its number."""
    match = _BAND.match(level)
    try:
        return (
            ((float(match["low"]), 0), (float(match["high"]), 0 if match["open"] else 1)) if match else None
        )
    except ValueError:
        return None
