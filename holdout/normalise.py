"""Dirty attribute values to a usable value, or to ``unknown``: never a guess.

Each function takes the value as written (decoded, or None when the attribute is absent). What they refuse was
met in real headers: ages ``000Y``, ``0Y`` and ``***``, sexes ``0000``, ``N/A`` and ``?``, mojibake, dates of
de-identification tools, thickness in words.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import re
import unicodedata

UNKNOWN = "unknown"
OLDEST_YEARS = 125.0
"""Nobody has verifiably lived past 122 years; larger ages are typing errors or masks."""

LONGEST_TEXT = 128
LONGEST_RAW = 256
LONGEST_IDENTIFIER = 128

_PLACEHOLDERS = frozenset(
    [
        "unknown",
        "unkown",
        "unspecified",
        "undefined",
        "undef",
        "none",
        "null",
        "nil",
        "nan",
        "na",
        "n/a",
        "n.a.",
        "n.a",
        "n/d",
        "nd",
        "tbd",
        "not-applicable",
        "not_applicable",
        "notapplicable",
        "missing",
        "empty",
        "blank",
        "default",
        "removed",
        "deleted",
        "redacted",
        "masked",
        "anon",
        "anonym",
        "anonymous",
        "anonymized",
        "anonymised",
        "anonymize",
        "de-identified",
        "deidentified",
    ]
) | {"not applicable", "not available", "no data", "not specified", "no value"}
_AGE = re.compile(r"(\d{1,3})([DWMY])", re.ASCII)
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
_SEX = {"M": "M", "F": "F", "O": "O", "MALE": "M", "FEMALE": "F", "OTHER": "O"}
_DATE = re.compile(r"(\d{4})([.\-/]?)(\d{2})\2(\d{2})", re.ASCII)
_DUMMY_DATES = frozenset({(1900, 1, 1), (1901, 1, 1), (2099, 12, 31)})
_FIRST_RADIOGRAPH = 1895
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_CODE = re.compile(r"[A-Z0-9][A-Z0-9 _/.+\-]{0,63}")


def cleaned(raw: str | None) -> str:
    """Strip padding, drop control characters and collapse white space; '' for None."""
    if not raw:
        return ""
    # Most values are plain already, and this runs for every text value of every file.
    if raw.isascii() and raw.isprintable():
        return " ".join(raw.split())
    kept = "".join(
        " " if character.isspace() else character
        for character in raw
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return " ".join(unicodedata.normalize("NFC", kept).split())


def is_placeholder(value: str) -> bool:
    """Whether a cleaned value only says that there is no value: '', 'N/A', '***', '?', '0000'."""
    if not value or value.lower() in _PLACEHOLDERS:
        return True
    return not any(character.isalnum() for character in value) or (set(value) == {"0"} and len(value) > 1)


def shortened(raw: str | None) -> str | None:
    """Return the raw value as kept in the index: the first 256 characters, storable as UTF-8."""
    if raw is None:
        return None
    kept = raw if len(raw) <= LONGEST_RAW else raw[:LONGEST_RAW] + "…"
    return kept if kept.isascii() else kept.encode("utf-8", "replace").decode("utf-8")


def identifier(raw: str | None) -> str:
    """Normalise an identifier or UID: outer blanks and NULs off, nothing else changed.

    Values longer than 128 characters keep their first 64 and a hash of the whole, so that two long ones that
    differ stay different.
    """
    value = (raw or "").strip(" \0\t\r\n")
    if not value:
        return UNKNOWN
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode("utf-8")
    if len(value) > LONGEST_IDENTIFIER:
        return f"{value[:64]}~{hashlib.sha256(value.encode()).hexdigest()[:32]}"
    return value


def text(raw: str | None) -> str:
    """Normalise free text (manufacturer, description): cleaned, at most 128 characters."""
    value = cleaned(raw)
    if is_placeholder(value) or "�" in value:
        return UNKNOWN
    return value[:LONGEST_TEXT].rstrip()


def code(raw: str | None) -> str:
    """Normalise a code string (modality, body part, view): upper case, characters of VR CS and a few more."""
    value = cleaned(raw).replace("\\", "/").upper()
    if is_placeholder(value) or not _CODE.fullmatch(value):
        return UNKNOWN
    return value


def sex(raw: str | None) -> str:
    """Normalise PatientSex: 'M', 'F', 'O' (PS3.3 C.7.1.1) or 'unknown'."""
    return _SEX.get(cleaned(raw).upper(), UNKNOWN)


def age_years(raw: str | None) -> float | None:
    """Normalise PatientAge (VR AS: nnnD, nnnW, nnnM, nnnY) to years.

    Zero years is what scanners and masks write for "not entered", and so is an age without a unit; both are
    unknown. Zero days, weeks or months is a newborn.
    """
    match = _AGE.fullmatch(cleaned(raw).upper())
    if match is None:
        return None
    count, unit = int(match[1]), match[2]
    if unit == "Y":
        return float(count) if 0 < count <= OLDEST_YEARS else None
    years = count * _DAYS[unit] / _DAYS["Y"]
    return years if years <= OLDEST_YEARS else None


def date(raw: str | None) -> str:
    """Normalise a date (VR DA: YYYYMMDD; with separators in old files) to 'YYYY-MM-DD'.

    Dates before the first radiograph (1895) and known dummy dates are unknown.
    """
    match = _DATE.fullmatch(cleaned(raw))
    if match is None:
        return UNKNOWN
    year, month, day = int(match[1]), int(match[3]), int(match[4])
    if year < _FIRST_RADIOGRAPH or year > 2099 or (year, month, day) in _DUMMY_DATES:
        return UNKNOWN
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return UNKNOWN


def years_between(birth: str, study: str) -> float | None:
    """Age in years on the study date, from two normalised dates; null when unknown or impossible."""
    if UNKNOWN in (birth, study):
        return None
    days = (datetime.date.fromisoformat(study) - datetime.date.fromisoformat(birth)).days
    years = days / 365.25
    return years if 0 <= years <= OLDEST_YEARS else None


def number(raw: str | None, *, component: int | None, positive: bool, maximum: float) -> float | None:
    r"""Normalise a decimal string (VR DS or IS; several values apart by '\').

    Without ``component``, several values count only when all say the same. A decimal comma, a unit or a word
    makes the value unknown.
    """
    if not raw:
        return None
    parts = raw.split("\\")
    if component is not None:
        # Fewer values than asked for: which one is missing cannot be told.
        if len(parts) <= component:
            return None
        parts = [parts[component]]
    values: set[float] = set()
    for part in parts:
        stripped = part.strip(" \0\t\r\n")
        if not _DECIMAL.fullmatch(stripped):
            return None
        values.add(float(stripped))
    if len(values) != 1:
        return None
    value = values.pop()
    if not math.isfinite(value) or abs(value) > maximum or (positive and value <= 0):
        return None
    return value


def integer(raw: str | None) -> int | None:
    """Normalise a whole number that is not negative (VR US or IS)."""
    stripped = (raw or "").strip(" \0\t\r\n")
    if not _INTEGER.fullmatch(stripped):
        return None
    value = int(stripped)
    return value if value >= 0 else None


def yes_no(raw: str | None) -> str:
    """Normalise a code string with the values YES and NO."""
    value = cleaned(raw).upper()
    return value if value in ("YES", "NO") else UNKNOWN


def laterality(raw: str | None) -> str:
    """Normalise Laterality: 'R', 'L', 'B' (both) or 'U' (unpaired)."""
    value = cleaned(raw).upper()
    return value if value in ("R", "L", "B", "U") else UNKNOWN


def compression(raw: str | None) -> str:
    """Normalise Lossy Image Compression: '00' (never) or '01' (was lossy)."""
    value = cleaned(raw)
    return value if value in ("00", "01") else UNKNOWN
