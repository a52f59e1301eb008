"""Canonical JSON (RFC 8785) of the flat records that a hold-out has thousands of: manifest lines, sealed truths."""

from __future__ import annotations

import json
from collections.abc import Mapping

import rfc8785

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
# RFC 8785, 3.2.2.3: numbers are IEEE 754 doubles, which hold integers exactly up to here (RFC 7493).
_LARGEST = 2**53 - 1


def canonical_record(record: Mapping[str, object]) -> bytes:
    """Return the RFC 8785 bytes of ``record``.

    For ASCII names and values that are text, null or whole numbers, the standard library's encoder has the same
    form (sections 3.2.2 and 3.2.3) at a tenth of the time; anything else goes the general way.

    Raises:
        rfc8785.CanonicalizationError: it has no such form.
    """
    for name, value in record.items():
        kind = type(value)
        if not (
            name.isascii()
            and (kind is str or value is None or (kind is int and -_LARGEST <= value <= _LARGEST))  # type: ignore[operator]
        ):
            return rfc8785.dumps(dict(record))  # type: ignore[arg-type]
    try:
        return _encode(record if isinstance(record, dict) else dict(record)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise rfc8785.CanonicalizationError("a text holds a lone surrogate") from error
