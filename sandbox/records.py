"""Frozen dataclasses to plain JSON values and back, strictly: no NaN, no unknown field, no coercion."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from typing import Any, Literal, TypeVar, cast

from sandbox.errors import ScoringError

Record = TypeVar("Record")
_hints = functools.cache(typing.get_type_hints)


def to_plain(record: object, where: str) -> dict[str, Any]:
    """Turn a dataclass instance into JSON-ready objects; ``where`` names it in errors.

    Raises:
        ScoringError: a number is NaN or infinite, or a value has a type that records do not hold.
    """
    return cast(dict[str, Any], _plain(record, where))


def parse_json(data: bytes, where: str) -> object:
    """Parse JSON, refusing NaN and Infinity.

    Raises:
        ScoringError: not valid JSON.
    """
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ScoringError(f"{where} is not valid JSON; restore it or score the evaluation again") from error


def from_plain(kind: type[Record], raw: object, where: str) -> Record:
    """Build the dataclass ``kind`` from parsed JSON.

    Raises:
        ScoringError: a field is missing, unknown or of the wrong type.
    """
    return cast(Record, _build(kind, raw, where))


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _plain(value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name), f"{where}.{field.name}") for field in fields}
    if isinstance(value, tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ScoringError(f"{where} is not a finite number; undefined must be None with a reason")
        return float(value)
    raise ScoringError(f"{where} has type {type(value).__name__}, which records do not hold")


def _build(kind: Any, raw: Any, where: str) -> Any:
    """Build ``kind``: a dataclass, optional, tuple of one type, Literal or scalar."""
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, raw, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        inner = [argument for argument in arguments if argument is not type(None)]
        return None if raw is None else _build(inner[0], raw, where)
    if origin is tuple and isinstance(raw, list):
        return tuple(_build(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(raw))
    if origin is Literal and isinstance(raw, str) and raw in arguments:
        return raw
    if kind is float and isinstance(raw, int | float) and not isinstance(raw, bool):
        return float(raw)  # RFC 8785 writes 1.0 as 1
    if kind is int and isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if kind in (str, bool) and isinstance(raw, kind):
        return raw
    raise ScoringError(f"{where} has the wrong type; score the evaluation again")


def _build_dataclass(kind: Any, raw: Any, where: str) -> Any:
    hints = _hints(kind)
    # A file written before a field was added lacks it; such fields have defaults.
    needed = {field.name for field in dataclasses.fields(kind) if _required(field)}
    if not isinstance(raw, dict) or not needed <= set(raw) <= set(hints):
        raise ScoringError(f"{where} is not an object with the expected fields; score the evaluation again")
    given = {name: hint for name, hint in hints.items() if name in raw}
    return kind(**{name: _build(hint, raw[name], f"{where}.{name}") for name, hint in given.items()})


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
