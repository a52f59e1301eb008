"""How values become text on the page: foreign strings made visible, numbers in one format.

Vendor names, stratum levels and descriptions come from outside. HTML escaping alone does not stop a text
that reorders the line it stands in (Trojan Source, CVE-2021-42574) or hides characters in a name.
"""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST_TEXT: Final = 600
# A base character with more marks than any written language stacks is drawn over its neighbours.
MOST_COMBINING_MARKS: Final = 4
UNSHOWN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, longest: int = LONGEST_TEXT) -> str:
    r"""Give `text` with every control, format, bidirectional or unassigned character written as ``\u{HEX}``.

    Text longer than `longest` characters is cut, and the number of characters left out is stated.
    """
    shown: list[str] = []
    marks = 0
    for character in text[:longest]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if category in UNSHOWN_CATEGORIES or marks > MOST_COMBINING_MARKS:
            shown.append(f"\\u{{{ord(character):X}}}")
        else:
            shown.append(character)
    if len(text) > longest:
        shown.append(f" … ({len(text) - longest} more characters)")
    return "".join(shown)


def count(value: int | None) -> str:
    """Write a count exactly, with thin spaces between thousands; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,}".replace(",", "\u202f")


def decimal(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed number of decimals and a true minus sign; a dash where there is none."""
    if value is None:
        return "–"
    written = f"{value:.{digits}f}"
    if float(written) == 0:
        written = written.removeprefix("-")
    return written.replace("-", "\u2212")


def percent(part: int | None, whole: int) -> str:
    """Write a share as a percentage with one decimal; a dash for a share of nothing or of what is not counted."""
    return "–" if whole == 0 or part is None else f"{100 * part / whole:.1f}\u202f%"


def size(octets: int) -> str:
    """Write a number of bytes with a decimal prefix (IEC 80000-13: 1 MB = 10^6 bytes)."""
    amount = float(octets)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{octets} bytes" if unit == "bytes" else f"{amount:.1f}\u202f{unit}"
        amount /= 1000
    raise AssertionError("the last unit takes any amount")


def words(name: str) -> str:
    """Write a machine name (`patient_age_years`, `site.view`, a crossing of names) as words."""
    return name.replace("_", " ").replace(".", ": ").replace(" x ", " × ")


def shortened(digest: str, digits: int = 12) -> str:
    """Shorten a digest for a line of text, keeping its algorithm prefix; the whole one stands in a table."""
    prefix, separator, value = digest.rpartition(":")
    return digest if len(value) <= digits else f"{prefix}{separator}{value[:digits]}…"
