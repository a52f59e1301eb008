"""JSON from outside, read strictly: the only JSON parser of the evidence code.

What the standard library lets through is refused here, because two readers that disagree about a document are
how a forged one passes: duplicate names (last wins in one parser, first in another), NaN and Infinity,
numbers beyond what a double or RFC 8785 can hold, lone surrogates, a byte order mark, and nesting or size
that exhausts the reader. Sources: RFC 8259, RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from sandbox.canonical import canonical_json
from sandbox.errors import EvidenceError, ProctorError

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_MAX_INTEGER = 2**53 - 1
_MAX_DIGITS = 40


class StrictJsonError(EvidenceError):
    """A document is not JSON in the strict sense of this module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLimits:
    """Bounds of one document: ``size`` in bytes, ``depth`` in nested arrays and objects."""

    size: int = 16 * 1024 * 1024
    depth: int = 32


DEFAULT_LIMITS = JsonLimits()


def parse(data: bytes, *, what: str, limits: JsonLimits = DEFAULT_LIMITS) -> Any:
    """Parse one JSON document; ``what`` names it in errors.

    Raises:
        StrictJsonError: not UTF-8, not JSON, over a limit, or ambiguous as the module describes. The message
            never quotes the document.
    """
    if len(data) > limits.size:
        raise StrictJsonError(f"{what} is {len(data)} bytes long; at most {limits.size} are read")
    try:
        text = data.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        raise StrictJsonError(f"{what} is not UTF-8 at byte {error.start}") from None
    _check_depth(text, limits.depth, what)

    def refuse(reason: str) -> NoReturn:
        raise StrictJsonError(f"{what} {reason}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) != len(pairs):
            refuse("names a member of an object twice")
        return names

    def integer(digits: str) -> int:
        if len(digits) > _MAX_DIGITS or abs(int(digits)) > _MAX_INTEGER:
            refuse("holds an integer beyond 2^53 - 1")
        return int(digits)

    def real(digits: str) -> float:
        value = float(digits)
        if len(digits) > _MAX_DIGITS or not math.isfinite(value):
            refuse("holds a number that a double cannot carry")
        return value

    try:
        value = json.loads(
            text,
            object_pairs_hook=unique,
            parse_int=integer,
            parse_float=real,
            parse_constant=lambda _: refuse("holds NaN or Infinity"),
        )
        # Lone surrogates survive json.loads and break every later encoder.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except StrictJsonError:
        raise
    except UnicodeEncodeError:
        refuse("holds half of a surrogate pair")
    except (ValueError, RecursionError):
        refuse("is not JSON")
    return value


def parse_object(data: bytes, *, what: str, limits: JsonLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Like :func:`parse`, for documents whose top level is an object.

    Raises:
        StrictJsonError: as for :func:`parse`, or the top level is something else.
    """
    value = parse(data, what=what, limits=limits)
    if not isinstance(value, dict):
        raise StrictJsonError(f"{what} is not a JSON object")
    return value


def parse_canonical(data: bytes, *, what: str, limits: JsonLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Parse an object whose bytes must be its canonical form (RFC 8785), so that one content has one digest.

    Raises:
        StrictJsonError: as for :func:`parse_object`, or the bytes are another spelling of their content.
    """
    value = parse_object(data, what=what, limits=limits)
    try:
        canonical = canonical_json(value)
    except (ValueError, ProctorError):
        canonical = b""
    if canonical != data:
        raise StrictJsonError(f"{what} is not in canonical form (RFC 8785)")
    return value


def _check_depth(text: str, limit: int, what: str) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        mark = match.group()
        if mark in "[{":
            depth += 1
            if depth > limit:
                raise StrictJsonError(f"{what} is nested deeper than {limit} levels")
        elif mark in "]}":
            depth -= 1
