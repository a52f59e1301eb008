"""The list of controls (``controls.yaml``): what a run requires, and which of it may be waived."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONTROLS = Path(__file__).with_name("controls.yaml")


@cache
def control_rows() -> tuple[Mapping[str, Any], ...]:
    """Read the rows of the list, in its order."""
    return tuple(yaml.safe_load(CONTROLS.read_text(encoding="utf-8")))


def waivable_controls() -> dict[str, bool]:
    """Tell for each control, by name, whether a waiver may let it be missing."""
    return {row["name"]: row.get("waivable", True) for row in control_rows()}
