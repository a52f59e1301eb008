"""Canonical JSON and digests: one byte form for each value, so that identity is content.

RFC 8785 (JSON Canonicalization Scheme): keys sorted by UTF-16 code units, shortest round-trip numbers, UTF-8,
no white space. Numbers are I-JSON: integers beyond 2**53 and NaN are refused.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from sandbox.errors import ProctorError


class CanonicalError(ProctorError):
    """A value has no canonical JSON form."""


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 bytes of JSON-ready ``value``.

    Raises:
        CanonicalError: NaN, infinity, an integer beyond 2**53, a lone surrogate, or a type not in JSON.
    """
    try:
        return bytes(rfc8785.dumps(value))
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise CanonicalError(
            "a value has no canonical JSON form (RFC 8785); use finite I-JSON values"
        ) from error


def digest_bytes(data: bytes) -> str:
    """Return ``sha256:`` and the hex SHA-256 of ``data``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return the digest of ``value``'s canonical JSON: ``sha256:`` and 64 hex digits.

    Raises:
        CanonicalError: as :func:`canonical_json`.
    """
    return digest_bytes(canonical_json(value))
