"""A data set's wanted elements to the attribute columns of its index row, normalised and raw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from holdout import normalise
from holdout.attributes import ATTRIBUTES, Attribute, Kind
from holdout.elements import DataSet
from holdout.written_values import written

_LONGEST_REPEATED = 64


def attribute_values(data_set: DataSet | None) -> tuple[list[object], dict[str, object]]:
    """Normalise all attributes; the values in row order, and by column."""
    ordered: list[object] = []
    named: dict[str, object] = {"age_from_birth_date": False}
    age_position = 0
    for step in _STEPS:
        raw, value = (None, step.absent) if data_set is None else _normalised(step, data_set)
        named[step.column] = value
        if step.column == "patient_age_years":
            age_position = len(ordered)
        ordered.append(value)
        if step.has_raw:
            ordered.append(raw)
    if named["patient_age_years"] is None:
        years = normalise.years_between(str(named["patient_birth_date"]), str(named["study_date"]))
        ordered[age_position] = named["patient_age_years"] = years
        named["age_from_birth_date"] = years is not None
    return ordered, named


_NORMALISERS: dict[Kind, Callable[[str | None], object]] = {
    Kind.UID: normalise.identifier,
    Kind.IDENTIFIER: normalise.identifier,
    Kind.CODE: normalise.code,
    Kind.TEXT: normalise.text,
    Kind.SEX: normalise.sex,
    Kind.AGE: normalise.age_years,
    Kind.DATE: normalise.date,
    Kind.INTEGER: normalise.integer,
    Kind.YES_NO: normalise.yes_no,
    Kind.LATERALITY: normalise.laterality,
    Kind.COMPRESSION: normalise.compression,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """How one column comes about; ``absent`` is its value without the attribute."""

    position: int
    column: str
    tags: tuple[int, ...]
    normaliser: Callable[[str | None], object]
    has_raw: bool
    repeats: bool
    absent: object


def _step(position: int, attribute: Attribute) -> _Step:
    normaliser = _NORMALISERS.get(attribute.kind)
    if normaliser is None:
        normaliser = partial(
            normalise.number,
            component=attribute.component,
            positive=attribute.positive,
            maximum=attribute.maximum,
        )
    return _Step(
        position=position,
        column=attribute.column,
        tags=attribute.tags,
        normaliser=normaliser,
        has_raw=attribute.has_raw,
        repeats=attribute.kind not in (Kind.UID, Kind.IDENTIFIER),
        absent=normaliser(None),
    )


_STEPS = tuple(_step(position, attribute) for position, attribute in enumerate(ATTRIBUTES))


def _normalised(step: _Step, data_set: DataSet) -> tuple[str | None, object]:
    """Return (raw, normalised) of the first tag with a usable value, else of the first tag that is there."""
    first: str | None = None
    value = step.absent
    for tag in step.tags:
        found = data_set.values.get(tag)
        if found is None:
            continue
        vr, raw = found
        if step.repeats and len(raw) <= _LONGEST_REPEATED and raw.isascii() and b"\x1b" not in raw:
            text, value = _plain_value(step.position, tag, vr, raw, data_set.big_endian)
        else:
            text = written(data_set.values, tag, big_endian=data_set.big_endian)
            value = step.normaliser(text)
            text = normalise.shortened(text)
        if value is not None and value != normalise.UNKNOWN:
            return text, value
        first = text if first is None else first
    return first, value


@lru_cache(maxsize=16_384)
def _plain_value(position: int, tag: int, vr: str, raw: bytes, big_endian: bool) -> tuple[str | None, object]:
    """Text and value of plain bytes; the same few come again in every file of a series."""
    text = written({tag: (vr, raw)}, tag, big_endian=big_endian)
    return normalise.shortened(text), _STEPS[position].normaliser(text)
