"""Columns that the institution adds to its cases for strata (site.yaml with a CSV file)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from holdout.errors import LockRefusedError
from holdout.keyed_table import UNKNOWN, Key, match, read_table
from holdout.mapping import LABEL_NAME
from holdout.yamlfile import read_yaml, validate


class SiteDeclaration(BaseModel):
    """site.yaml: name of each stratum column to the column of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    proctor: Literal["site/1"]
    table: str
    key: Key
    columns: dict[Annotated[str, Field(pattern=LABEL_NAME)], str] = Field(min_length=1)


def load_site_table(declaration_path: Path, index: pa.Table) -> dict[str, list[str]]:
    """Values of each declared column for each row of ``index``; 'unknown' where the table says nothing.

    Raises:
        LockRefusedError: declaration or table are not valid, or a key stands twice with different values.
    """
    document = read_yaml(declaration_path, LockRefusedError, as_text=True)
    declared = validate(document, SiteDeclaration, LockRefusedError)
    path = declaration_path.parent / declared.table
    rows = read_table(path, declared.key, list(declared.columns.values()), LockRefusedError)
    matched = match(index, declared.key, rows)
    for repeated in (*matched.repeated, *((row,) for row in matched.ambiguous)):
        if len(repeated) == 1 or len({tuple(sorted(row.cells.items())) for row in repeated}) > 1:
            lines = ", ".join(str(row.line) for row in repeated)
            raise LockRefusedError(
                f"{path}: lines {lines}: the same key with other values, or a name that several files have"
            )
    return {
        name: [found[0].cells[column] or UNKNOWN if found else UNKNOWN for found in matched.by_row]
        for name, column in declared.columns.items()
    }
