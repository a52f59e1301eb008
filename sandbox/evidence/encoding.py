"""Numbers and base64 as signed formats spell them: one spelling for each value, all others refused.

Shipped verifiers accept ``07``, ``+7``, `` 7``, ``7_0``, digits of other scripts and stray characters in
base64, because Python's ``int()`` and ``b64decode`` do. Every second spelling is a way to make two readers
disagree.
"""

from __future__ import annotations

import base64
import binascii
import re

from sandbox.errors import NoteError

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
MAX_COUNT = 2**63 - 1


def parse_decimal(text: str, *, what: str) -> int:
    """Read an unsigned decimal without leading zeroes, at most 2^63 - 1.

    Raises:
        NoteError: any other spelling or a larger number.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_COUNT:
        raise NoteError(f"{what} is not a plain decimal number below 2^63")
    return int(text)


def encode_base64(data: bytes) -> str:
    """Return ``data`` in standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str, *, what: str, size: int | None = None) -> bytes:
    """Decode standard base64 in its one canonical spelling, of exactly ``size`` bytes when given.

    Raises:
        NoteError: stray characters, wrong or missing padding, non-zero trailing bits, or another length.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise NoteError(f"{what} is not base64") from None
    if encode_base64(data) != text:
        raise NoteError(f"{what} is not spelled in canonical base64")
    if size is not None and len(data) != size:
        raise NoteError(f"{what} holds {len(data)} bytes instead of {size}")
    return data
