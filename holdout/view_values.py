"""Check the raw value of one attribute against its rule, and write data elements.

Values come in as bytes of the source file and leave re-written: numbers without decoration, codes without
padding. What does not fit is None: the attribute is then absent.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from holdout import normalise
from holdout.view_attributes import IMAGE_TYPES, Rule

Vocabulary = Mapping[str, frozenset[str]]
"""Keyword of a text attribute to the values that may pass."""

OLDEST_SHOWN = 89
"""Ages above are shown as 90 years (the HIPAA safe harbour's rule, 45 CFR 164.514(b)(2)(i)(C))."""

_DECIMAL = re.compile(rb"[+-]?(?:\d{1,14}(?:\.\d{0,14})?|\.\d{1,14})(?:[eE][+-]?\d{1,3})?")
_INTEGER = re.compile(rb"[+-]?\d{1,11}")
_ORIENTATION = re.compile(rb"[APRLHF]{1,3}")
_AGE = re.compile(rb"(\d{3})([DWMY])")
_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4}
_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_PADDING = b" \0"


def passed(rule: Rule, raw: bytes, vr: str, vocabulary: Vocabulary) -> bytes | None:
    """Return the value as it may be shown; None when it may not. ``vr`` is as written ('' in implicit VR)."""
    if vr and vr != rule.vr and not (rule.vr == "US" and vr == "SS") and rule.check != "data":
        return None
    if rule.check == "binary":
        return (
            raw if 0 < len(raw) <= rule.most * _SIZES[rule.vr] and len(raw) % _SIZES[rule.vr] == 0 else None
        )
    if rule.check == "data":
        return raw if 0 < len(raw) <= rule.most and vr in ("", "OW", "OB", "US", "SS") else None
    if rule.check == "vocabulary":
        return _from_vocabulary(rule, raw, vocabulary)
    parts = [part.strip(_PADDING) for part in raw.split(b"\\")]
    if not parts[0] and len(parts) == 1:
        return None
    if rule.check == "image_type":
        return _image_type(parts)
    if len(parts) > rule.most:
        return None
    if rule.check == "number":
        longest, pattern = (16, _DECIMAL) if rule.vr == "DS" else (12, _INTEGER)
        sound = all(len(part) <= longest and pattern.fullmatch(part) for part in parts)
    elif rule.check == "enumerated":
        sound = all(part in rule.values for part in parts)
    elif rule.check == "orientation":
        sound = all(_ORIENTATION.fullmatch(part) for part in parts)
    else:
        return _age(parts[0])
    return b"\\".join(parts) if sound else None


def _image_type(parts: list[bytes]) -> bytes | None:
    if (
        len(parts) < 2
        or parts[0] not in (b"ORIGINAL", b"DERIVED")
        or parts[1] not in (b"PRIMARY", b"SECONDARY")
    ):
        return None
    kept = parts[:2]
    for part in parts[2:8]:
        if part not in IMAGE_TYPES:
            break
        kept.append(part)
    return b"\\".join(kept)


def _age(value: bytes) -> bytes | None:
    match = _AGE.fullmatch(value)
    if match is None:
        return None
    return b"090Y" if match[2] == b"Y" and int(match[1]) > OLDEST_SHOWN else value


def _from_vocabulary(rule: Rule, raw: bytes, vocabulary: Vocabulary) -> bytes | None:
    try:
        written = raw.decode("ascii")
    except UnicodeDecodeError:
        return None
    # The index's own normalisation: the vocabulary was taken from there.
    value = normalise.code(written) if rule.vr == "CS" else normalise.text(written)
    longest = {"CS": 16, "SH": 16, "LO": 64}[rule.vr]
    if value not in vocabulary.get(rule.keyword, frozenset()) or len(value) > longest or "\\" in value:
        return None
    return value.encode("ascii")


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Write a data element in Explicit VR Little Endian (PS3.5 section 7.1.2), padded to even length."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB", "OW", "UN") else b" "
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii")
    if vr in _LONG:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def sequence(tag: int, items: list[bytes]) -> bytes:
    """Write a sequence of encoded items, all lengths explicit (PS3.5 section 7.5)."""
    body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return element(tag, "SQ", body)
