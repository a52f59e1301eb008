"""Coded concepts of DICOM objects against codes that a declaration names as SCHEME:VALUE."""

from __future__ import annotations

from typing import Any

from pydicom.sr.coding import Code


def is_code(item: Any, wanted: str) -> bool:
    """Whether an item of a code sequence is the code ``SCHEME:VALUE``.

    Old SNOMED codes (SRT) equal the SCT codes that stand for them (PS3.16 annex O), in either direction.
    """
    found = code_of(item)
    scheme, _, value = wanted.partition(":")
    return found is not None and Code(value, scheme, "") == found


def code_of(item: Any) -> Code | None:
    """The code of an item (PS3.3 8.1: short, long or URN value); None when it has none."""
    if item is None:
        return None
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    if not value:
        return None
    return Code(str(value).strip(), str(item.get("CodingSchemeDesignator") or "").strip(), "")
