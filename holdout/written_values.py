"""Raw value bytes of an element to the text that was written (PS3.5, sections 6.1 and 6.2)."""

from __future__ import annotations

import struct
import warnings

from holdout.attributes import SPECIFIC_CHARACTER_SET
from holdout.elements import Values

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_UNSIGNED_SHORT = frozenset({0x00280002, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280103})
_IN_SPECIFIC_CHARACTER_SET = frozenset({"LO", "SH", "PN", "ST", "LT", "UC", "UT", "", "UN"})
_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C}
_ESCAPE = b"\x1b"
LONGEST_DECODED = 1 << 16


def written(values: Values, tag: int, *, big_endian: bool) -> str | None:
    r"""Return the text of one element, several values apart by '\'; None when absent or not of its VR.

    Numbers in binary come out in decimal. Trailing padding (blank, NUL) is removed.
    """
    found = values.get(tag)
    if found is None:
        return None
    vr, raw = found
    if vr in _BINARY or (tag in _UNSIGNED_SHORT and vr in ("", "UN", "OB", "OW")):
        return _binary(_BINARY.get(vr, "H"), raw, ">" if big_endian else "<")
    raw = raw[:LONGEST_DECODED].rstrip(b" \0")
    if raw.isascii() and _ESCAPE not in raw:
        return raw.decode("ascii")
    if vr not in _IN_SPECIFIC_CHARACTER_SET:
        return raw.decode("latin-1")
    # Most values are ASCII: importing pydicom for them would take longer than reading hundreds of files.
    from pydicom.charset import decode_bytes

    return decode_bytes(raw, _encodings(values), _DELIMITERS)


def _binary(letter: str, raw: bytes, order: str) -> str | None:
    size = struct.calcsize("=" + letter)
    if not raw or len(raw) % size:
        return None
    numbers = struct.unpack(f"{order}{len(raw) // size}{letter}", raw)
    return "\\".join(map(str, numbers))


def _encodings(values: Values) -> list[str]:
    from pydicom.charset import convert_encodings, default_encoding

    declared = values.get(SPECIFIC_CHARACTER_SET, ("CS", b""))[1]
    names = declared.rstrip(b" \0").decode("latin-1").split("\\")
    with warnings.catch_warnings():
        # An unknown character set is met by pydicom's default and shows as unreadable characters.
        warnings.simplefilter("ignore")
        try:
            return list(convert_encodings([name.strip() for name in names]))
        except (LookupError, ValueError):
            return [default_encoding]
