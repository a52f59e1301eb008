"""Unique identifiers made from content or from a key, under the UUID-derived root 2.25 (PS3.5 annex B.2).

Equal input gives equal UIDs, so an import repeated is the same import; a keyed UID cannot be joined to its
source without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid


def _framed(parts: tuple[str, ...]) -> bytes:
    # Length prefixes: ("ab", "c") and ("a", "bc") must not give one UID.
    encoded = [part.encode("utf-8") for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)


def _from_digest(digest: bytes) -> str:
    """``2.25.`` and the integer of a version 8 UUID (RFC 9562 section 5.8) from a digest's first 16 bytes."""
    value = bytearray(digest[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(value)).int}"


def content_uid(*parts: str) -> str:
    """Derive the UID that the given texts always have."""
    return _from_digest(hashlib.sha256(_framed(parts)).digest())


def keyed_uid(key: bytes, *parts: str) -> str:
    """Derive the UID that the given texts have under ``key`` (HMAC-SHA256)."""
    return _from_digest(hmac.digest(key, _framed(parts), "sha256"))


def keyed_token(key: bytes, *parts: str, length: int = 16) -> str:
    """Derive ``length`` hex digits of HMAC-SHA256 over the given texts: a pseudonym."""
    return hmac.digest(key, _framed(parts), "sha256").hex()[:length]
