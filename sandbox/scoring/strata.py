"""Strata: turning columns of the case table into levels, bands and crossings.

A missing value is the level ``unknown`` and a number beyond the declared bands ``outside bands``; both are
shown, because dropping them would hide where a hold-out is poor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.errors import ScoringError
from sandbox.outcome.results import LevelCount
from sandbox.plan.bands import CROSS, band_names
from sandbox.plan.protocol import Protocol
from sandbox.plan.strata_section import Stratum
from sandbox.scoring.cases import Bools, Integers, compact

UNKNOWN = "unknown"
OUTSIDE = "outside bands"
_NUMBER = re.compile(r"[-+]?[0-9]{1,300}(\.[0-9]+)?(e[-+]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Level of every case in one stratum: ``codes`` index ``names``; every name occurs."""

    name: str
    names: tuple[str, ...]
    codes: Integers

    def slices(self) -> list[Integers]:
        """Rising case indices of each level, in the order of ``names``."""
        order = np.argsort(self.codes, kind="stable").astype(np.int64)
        ends = np.cumsum(np.bincount(self.codes, minlength=len(self.names)))
        return list(np.split(order, ends[:-1]))

    def where(self, chosen: Integers) -> Levels:
        """Return the levels of chosen cases; names that no longer occur are dropped."""
        kept, codes = np.unique(self.codes[chosen], return_inverse=True)
        return Levels(name=self.name, names=tuple(self.names[k] for k in kept), codes=codes.astype(np.int64))


def levels_of(column: pa.ChunkedArray | pa.Array, name: str, bands: Sequence[float] | None) -> Levels:
    """Levels of one attribute.

    Args:
        column: text, booleans or whole numbers; any numbers when ``bands`` are given. Null is ``unknown``.
        name: the attribute.
        bands: rising edges, or None for a categorical attribute.

    Raises:
        ScoringError: bands for a column that is not a number, or a column type that cannot be levels.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if bands is not None:
        return _banded(column, name, bands)
    kind = column.type
    if not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_null(kind)
    ):
        raise ScoringError(f"the column {name} has the type {kind}, which cannot be levels of a stratum")
    if pa.types.is_floating(kind):
        # 3.0 and 3 are one level, and nobody writes the former.
        texts = pa.array([None if v is None or v != v else f"{v:g}" for v in column.to_pylist()], pa.string())
    else:
        texts = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
        texts = pc.if_else(pc.equal(texts, ""), None, texts)
    encoded = pc.dictionary_encode(pc.fill_null(texts, UNKNOWN))
    found = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=lambda index: _order(found[index]))
    rank = np.empty(len(found), dtype=np.int64)
    rank[order] = np.arange(len(found))
    codes = rank[encoded.indices.to_numpy(zero_copy_only=False)] if found else np.zeros(0, dtype=np.int64)
    return Levels(name=name, names=tuple(found[index] for index in order), codes=codes)


def _order(level: str) -> tuple[bool, bool, float, str]:
    """Sort numbers as numbers, then words, ``unknown`` last."""
    number = _NUMBER.fullmatch(level)
    return (level == UNKNOWN, number is None, float(level) if number else 0.0, level)


def _banded(column: pa.Array, name: str, bands: Sequence[float]) -> Levels:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise ScoringError(f"the column {name} is not a number; bands need one")
    values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    edges = np.asarray(bands, dtype=np.float64)
    count = edges.size - 1
    codes = np.searchsorted(edges, values, side="right").astype(np.int64) - 1
    codes[values == edges[-1]] = count - 1
    codes[(values < edges[0]) | (values > edges[-1])] = count
    codes[np.isnan(values)] = count + 1
    names = (*band_names(bands), OUTSIDE, UNKNOWN)
    everything = Levels(name=name, names=names, codes=codes)
    return everything.where(np.arange(codes.size))


def cross(parts: Sequence[Levels], name: str) -> Levels:
    """Levels of a crossing: every combination that occurs, in the order of the parts' levels."""
    combined = parts[0].codes
    for part in parts[1:]:
        combined = combined * len(part.names) + part.codes
    kept, codes = np.unique(combined, return_inverse=True)
    names = []
    for combination in kept.tolist():
        words: list[str] = []
        rest = combination
        for part in reversed(parts):
            rest, index = divmod(rest, len(part.names))
            words.append(part.names[index])
        names.append(CROSS.join(reversed(words)))
    return Levels(name=name, names=tuple(names), codes=codes.astype(np.int64))


def protocol_levels(table: pa.Table, protocol: Protocol) -> tuple[Levels, ...]:
    """Levels of every declared stratum, in the protocol's order.

    Raises:
        ScoringError: a column is missing or has an unfit type.
    """
    single: dict[str, Levels] = {}
    for attribute in protocol.stratum_attributes:
        if attribute not in table.column_names:
            raise ScoringError(f"the scored cases have no column {attribute}, which the protocol names")
        single[attribute] = levels_of(table[attribute], attribute, protocol.bands(attribute))
    return tuple(_stratum_levels(stratum, single) for stratum in protocol.strata)


def _stratum_levels(stratum: Stratum, single: Mapping[str, Levels]) -> Levels:
    if stratum.attribute is not None:
        return single[stratum.attribute]
    return cross([single[attribute] for attribute in stratum.attributes], stratum.name)


def composition(
    levels: Sequence[Levels], reference: Bools | None, patient: Integers
) -> tuple[LevelCount, ...]:
    """Cases, patients and, where the task has them, positives in each level of each stratum."""
    n = patient.size
    codes, _ = compact(patient)
    found = []
    for stratum in levels:
        size = len(stratum.names)
        cases = np.bincount(stratum.codes, minlength=size)
        positives = None if reference is None else np.bincount(stratum.codes[reference], minlength=size)
        pairs = np.unique(codes * size + stratum.codes) % size
        patients = np.bincount(pairs, minlength=size)
        found += [
            LevelCount(
                attribute=stratum.name,
                level=name,
                cases=int(cases[index]),
                patients=int(patients[index]),
                positives=None if positives is None else int(positives[index]),
                share=float(cases[index] / n),
            )
            for index, name in enumerate(stratum.names)
        ]
    return tuple(found)
