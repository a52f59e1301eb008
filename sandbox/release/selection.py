"""Which fields are asked for: patterns over the names of fields, as a shell would read them.

A field's name is its path without the digests in it: ``verdict``, ``acceptance/<criterion>``, ``all/auroc/value``,
``screening/all/sensitivity/low``, ``manufacturer=Acme/auroc/value``, ``holdout/all/patients``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

Selection = Callable[[str], bool]
HOLDOUT = "holdout"


def field_name(path: str) -> str:
    """A field's name: its path without scope and protocol; ``holdout/`` stays in front where it stood."""
    scope, _, rest = path.split("/", 2) if path.count("/") > 1 else ("", "", path)
    return f"{HOLDOUT}/{rest}" if scope == HOLDOUT else rest


def selection(patterns: Sequence[str]) -> Selection:
    """Accept the path of a field when any pattern fits its name."""

    def chosen(path: str) -> bool:
        return any(fnmatchcase(field_name(path), pattern) for pattern in patterns)

    return chosen
