"""The reference standard: the truth for each case, with how it was established.

A declaration (YAML) says which CSV file holds it, by what it is keyed, which columns are labels and which
texts mean positive and negative, who read, by which method truth was established, and when.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from holdout.boxes import boxes_text, read_boxes
from holdout.case_truth import CaseTruth as CaseTruth
from holdout.cases import Unit, group, known_cases
from holdout.errors import ReferenceStandardError
from holdout.keyed_table import Key, TableRow, match, read_table
from holdout.mapping import LABEL_NAME
from holdout.reference_masks import read_masks
from holdout.yamlfile import read_yaml, validate

DETAILS = ("method", "readers", "date")
SHOWN = 5


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelColumn(_Model):
    """A label. With ``positive`` and ``negative`` it is binary (1, 0); without, the text itself is the label.

    ``values`` closes the list of texts, for classes and grades; ``number`` asks for a finite number, for
    measurements. With ``mask`` the texts are mask files below the declaration's folder
    (:mod:`holdout.reference_masks`), with ``boxes`` lesions in the image (:mod:`holdout.boxes`), in one row of the
    case or several. ``unlabelled`` texts, and the empty cell, mean that there is no truth for this
    case.
    """

    column: str
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    number: bool = False
    mask: bool = False
    boxes: bool = False

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        if bool(self.positive) != bool(self.negative):
            raise ValueError("give both positive and negative values, or neither")
        if sum((self.binary, bool(self.values), self.number, self.mask, self.boxes)) > 1:
            raise ValueError(
                "a label is binary, has values, is a number, a mask, or boxes: give one of these"
            )
        named = [*self.values, *self.positive, *self.negative, *self.unlabelled]
        twice = [text for text, count in Counter(named).items() if count > 1]
        if twice:
            raise ValueError(f"{twice} cannot mean two things")
        return self

    @property
    def binary(self) -> bool:
        """Whether the label has the values 1 and 0."""
        return bool(self.positive)

    @property
    def expected(self) -> str:
        """What is wrong with a text that has no declared meaning, in words."""
        if self.number:
            return "not a number"
        if self.boxes:
            return "not boxes of four numbers each, nor none"
        return "none of the declared values" if self.values else "neither positive nor negative"

    def read(self, text: str) -> str | None:
        """Value of a cell: '1' or '0' (binary) or its text; None where unlabelled.

        Raises:
            ValueError: the text has no declared meaning.
        """
        if not text or text in self.unlabelled:
            return None
        if self.values and text not in self.values:
            raise ValueError(text)
        if self.number and not math.isfinite(float(text)):
            raise ValueError(text)
        if self.boxes:
            read_boxes(text)
        if not self.binary:
            return text
        if text in self.positive:
            return "1"
        if text in self.negative:
            return "0"
        raise ValueError(text)


class Detail(_Model):
    """Where a detail of the truth comes from: a column, or one value for all."""

    column: str | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either a column or a value")
        return self


def _short_form(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


class ReferenceDeclaration(_Model):
    """reference.yaml."""

    proctor: Literal["reference/1"]
    title: str = ""
    table: str
    key: Key
    labels: dict[Annotated[str, Field(pattern=LABEL_NAME)], LabelColumn] = Field(min_length=1)
    method: Annotated[Detail, BeforeValidator(_short_form)]
    readers: Annotated[Detail, BeforeValidator(_short_form)] | None = None
    date: Annotated[Detail, BeforeValidator(_short_form)] | None = None

    @model_validator(mode="after")
    def _no_clash(self) -> Self:
        clash = {"case_id", *DETAILS} & set(self.labels)
        if clash:
            raise ValueError(f"{sorted(clash)} cannot be the name of a label")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceStandard:
    """A reference standard resolved against an index.

    ``by_case`` is keyed by the UID of the unit. ``duplicates`` and ``conflicts`` are sentences that name
    what is wrong; with any of them the hold-out cannot be locked. ``unmatched`` are lines of the table that
    no file answers to, ``unlabelled`` the UIDs of cases without any truth.
    """

    unit: Unit
    labels: tuple[str, ...]
    binary: tuple[str, ...]
    by_case: Mapping[str, CaseTruth]
    unmatched: tuple[int, ...]
    unlabelled: tuple[str, ...]
    duplicates: tuple[str, ...]
    conflicts: tuple[str, ...]

    def counts(self, label: str) -> dict[str, int]:
        """Cases by value of ``label`` ('unlabelled' where it has none)."""
        return dict(Counter(truth.labels[label] or "unlabelled" for truth in self.by_case.values()))

    def check(self) -> None:
        """Refuse duplicates and conflicts.

        Raises:
            ReferenceStandardError: there are some; the first few are named.
        """
        problems = [*self.duplicates, *self.conflicts]
        if problems:
            more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
            raise ReferenceStandardError(
                "reference standard: " + "; ".join(problems[:SHOWN]) + more, problems
            )


def load(declaration_path: Path, index: pa.Table, *, unit: Unit = "image") -> ReferenceStandard:
    """Read the declared reference standard and resolve it to the cases of ``index``.

    Files of the index that are not usable, or do not say to which case and patient they belong, take no part.
    A key finer than the unit may name a case several times as long as all rows agree.

    Raises:
        ReferenceStandardError: declaration or table are not valid, or a label has a value without a declared
            meaning (each named with its line).
    """
    document = read_yaml(declaration_path, ReferenceStandardError, as_text=True)
    declared = validate(document, ReferenceDeclaration, ReferenceStandardError)
    details = {name: getattr(declared, name) for name in DETAILS}
    columns = [label.column for label in declared.labels.values()]
    columns += [detail.column for detail in details.values() if detail is not None and detail.column]
    table_path = declaration_path.parent / declared.table
    rows = read_table(table_path, declared.key, columns, ReferenceStandardError)
    values = _read_labels(declared, rows, table_path)
    usable = known_cases(index, unit)
    matched = match(usable, declared.key, rows)
    duplicates = [
        f"{table_path.name} lines {', '.join(str(row.line) for row in group_)}: the same key"
        for group_ in matched.repeated
        # One row for each lesion.
        if not all(label.boxes for label in declared.labels.values())
    ]
    duplicates += [
        f"{table_path.name} line {row.line}: several files have this name; give the path"
        for row in matched.ambiguous
    ]
    groups = group(usable, unit, one_patient=False)
    by_case: dict[str, CaseTruth] = {}
    conflicts: list[str] = []
    for case, uid in enumerate(groups.uids):
        found = {row.line: row for position in groups.rows_of(case) for row in matched.by_row[position]}
        lines = sorted(found)
        merged: dict[str, str | None] = {}
        for name in declared.labels:
            said = {values[line][name] for line in lines} - {None}
            if said and declared.labels[name].boxes:
                said = {boxes_text(text for text in said if text is not None)}
            if len(said) > 1:
                conflicts.append(
                    f"{table_path.name} lines {', '.join(map(str, lines[:SHOWN]))}: {name} contradicts "
                    f"itself within one {unit}"
                )
            merged[name] = next(iter(said)) if len(said) == 1 else None
        by_case[uid] = CaseTruth(
            labels=merged, **{name: _detail(detail, found, lines) for name, detail in details.items()}
        )
    masks = [name for name, label in declared.labels.items() if label.mask]
    if masks:
        by_case = read_masks(by_case, masks, declaration_path.parent, usable, unit)
    return ReferenceStandard(
        unit=unit,
        labels=tuple(declared.labels),
        binary=tuple(name for name, label in declared.labels.items() if label.binary),
        by_case=by_case,
        unmatched=tuple(row.line for row in matched.unmatched),
        unlabelled=tuple(uid for uid, truth in by_case.items() if not truth.labelled),
        duplicates=tuple(duplicates),
        conflicts=tuple(conflicts),
    )


def _read_labels(
    declared: ReferenceDeclaration, rows: list[TableRow], table_path: Path
) -> dict[int, dict[str, str | None]]:
    problems: list[str] = []
    values: dict[int, dict[str, str | None]] = {}
    for row in rows:
        values[row.line] = {}
        for name, label in declared.labels.items():
            try:
                values[row.line][name] = label.read(row.cells[label.column])
            except ValueError:
                problems.append(f"line {row.line}: {label.column} is {label.expected}")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ReferenceStandardError(f"{table_path}: " + "; ".join(problems[:SHOWN]) + more)
    return values


def _detail(detail: Detail | None, found: Mapping[int, TableRow], lines: list[int]) -> str:
    """Value of a detail for a case; several rows that differ are all kept, apart by '+'."""
    if detail is None or not lines:
        return "unknown"
    if detail.column is None:
        return detail.value or "unknown"
    said = sorted({found[line].cells[detail.column] for line in lines} - {""})
    return "+".join(said) or "unknown"
