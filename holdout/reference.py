"""The reference standard: the truth for each case, with how it was established.

A declaration (YAML) says which CSV file holds it, by what it is keyed, which columns are labels and which
texts mean positive and negative, who read, by which method truth was established, and when. Labels that stand in
objects beside the images (segmentations, structure sets, reports, presentation states, key objects, NIfTI) are
declared by their form: :mod:`holdout.reference_forms`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from holdout.boxes import boxes_text
from holdout.case_truth import CaseTruth as CaseTruth
from holdout.cases import UNIT_COLUMNS, Unit, group, known_cases
from holdout.errors import ReferenceStandardError
from holdout.keyed_table import Matched, TableRow, match, read_table
from holdout.lesion_places import check_places
from holdout.reference_declaration import DETAILS, Detail, ReferenceDeclaration
from holdout.reference_masks import read_masks
from holdout.reference_objects import Progress, object_paths, read_objects
from holdout.volume_lesions import VolumeLesions, gathered
from holdout.yamlfile import read_yaml, validate

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceStandard:
    """A reference standard resolved against an index.

    ``by_case`` is keyed by the UID of the unit. ``duplicates`` and ``conflicts`` are sentences that name
    what is wrong; with any of them the hold-out cannot be locked. ``unmatched`` are lines of the table that
    no file answers to, ``unlabelled`` the UIDs of cases without any truth. ``objects`` are the files of the index that
    hold truth and are no images of a case; ``notes`` say how truth was taken from them.
    """

    unit: Unit
    labels: tuple[str, ...]
    binary: tuple[str, ...]
    by_case: Mapping[str, CaseTruth]
    unmatched: tuple[int, ...]
    unlabelled: tuple[str, ...]
    duplicates: tuple[str, ...]
    conflicts: tuple[str, ...]
    objects: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

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


def load(
    declaration_path: Path,
    index: pa.Table,
    *,
    unit: Unit = "image",
    source: Path | None = None,
    progress: Progress | None = None,
) -> ReferenceStandard:
    """Read the declared reference standard and resolve it to the cases of ``index``.

    Files of the index that are not usable, or do not say to which case and patient they belong, take no part, nor do
    the objects that truth is read from. A key finer than the unit may name a case several times as long as all rows
    agree. ``source`` is the ingested folder; without it the objects stay unread, and their labels without truth, and
    nobody asks whether lesions in mm touch their images.
    ``progress`` counts readings of objects, and cases with lesions in mm.

    Raises:
        ReferenceStandardError: declaration or table are not valid, or a label has a value without a declared
            meaning (each named with its line); an object cannot be taken, or a lesion lies beyond its images.
    """
    document = read_yaml(declaration_path, ReferenceStandardError, as_text=True)
    declared = validate(document, ReferenceDeclaration, ReferenceStandardError)
    table = declaration_path.parent / declared.table if declared.table else declaration_path
    rows = read_table(table, declared.key, declared.columns, ReferenceStandardError) if declared.key else []
    values = _read_labels(declared, rows, table)
    readings = declared.readings
    objects = object_paths(index, readings)
    usable = known_cases(index, unit)
    if objects:
        usable = usable.filter(
            pa.array([path not in objects for path in usable["path"].to_pylist()], pa.bool_())
        )
    matched = match(usable, declared.key, rows) if declared.key else _nothing(usable)
    by_case, conflicts = _merged(declared, values, matched, usable, unit, table.name)
    by_case, notes = _with_absent(by_case, declared, matched, usable, unit)
    masks = [name for name, label in declared.labels.items() if label.mask and label.read is None]
    if masks:
        by_case = read_masks(by_case, masks, declaration_path.parent, usable, unit)
    lesions = [name for name, label in declared.labels.items() if label.lesions and label.read is None]
    if lesions and source is not None:
        check_places(by_case, lesions, usable, source, unit, progress)
    if readings and source is not None:
        found = read_objects(
            by_case,
            readings,
            index,
            declared=declaration_path.parent,
            source=source,
            unit=unit,
            progress=progress,
        )
        by_case, notes = _with_meanings(declared, found.by_case), (*notes, *found.notes)
    elif readings:
        by_case = {uid: _unread(truth, [each.name for each in readings]) for uid, truth in by_case.items()}
    return ReferenceStandard(
        unit=unit,
        labels=tuple(declared.labels),
        binary=tuple(name for name, label in declared.labels.items() if label.binary),
        by_case=by_case,
        unmatched=tuple(row.line for row in matched.unmatched),
        unlabelled=tuple(uid for uid, truth in by_case.items() if not truth.labelled),
        duplicates=_duplicates(declared, matched, table.name),
        conflicts=tuple(conflicts),
        objects=objects,
        notes=notes,
    )


def _nothing(index: pa.Table) -> Matched:
    return Matched(by_row=[[] for _ in range(index.num_rows)], unmatched=(), repeated=(), ambiguous=())


def _duplicates(declared: ReferenceDeclaration, matched: Matched, name: str) -> tuple[str, ...]:
    repeated = [
        f"{name} lines {', '.join(str(row.line) for row in group_)}: the same key"
        for group_ in matched.repeated
        # One row for each lesion.
        if not all(label.boxes or label.lesions for label in declared.labels.values())
    ]
    ambiguous = [
        f"{name} line {row.line}: several files have this name; give the path" for row in matched.ambiguous
    ]
    return (*repeated, *ambiguous)


def _merged(
    declared: ReferenceDeclaration,
    values: Mapping[int, Mapping[str, str | None]],
    matched: Matched,
    usable: pa.Table,
    unit: Unit,
    table: str,
) -> tuple[dict[str, CaseTruth], list[str]]:
    """What the rows of the table say of each case, and where they contradict themselves."""
    groups = group(usable, unit, one_patient=False)
    by_case: dict[str, CaseTruth] = {}
    conflicts: list[str] = []
    for case, uid in enumerate(groups.uids):
        found = {row.line: row for position in groups.rows_of(case) for row in matched.by_row[position]}
        lines = sorted(found)
        merged: dict[str, str | None] = {}
        for name, label in declared.labels.items():
            said = {values[line][name] for line in lines} - {None}
            if said and label.boxes and label.read is None:
                said = {boxes_text(text for text in said if text is not None)}
            if said and label.lesions and label.read is None:
                said = {gathered((text for text in said if text is not None), label.lesions).text}
            if len(said) > 1:
                conflicts.append(
                    f"{table} lines {', '.join(map(str, lines[:SHOWN]))}: {name} contradicts "
                    f"itself within one {unit}"
                )
            merged[name] = next(iter(said)) if len(said) == 1 else None
        by_case[uid] = CaseTruth(
            labels=merged,
            method=_detail(declared.method, found, lines),
            readers=_detail(declared.readers, found, lines),
            date=_detail(declared.date, found, lines),
        )
    return by_case, conflicts


def _read_labels(
    declared: ReferenceDeclaration, rows: list[TableRow], table_path: Path
) -> dict[int, dict[str, str | None]]:
    problems: list[str] = []
    values: dict[int, dict[str, str | None]] = {}
    for row in rows:
        values[row.line] = {}
        for name, label in declared.labels.items():
            try:
                values[row.line][name] = label.said(row.cells)
            except ValueError:
                column = label.column or ", ".join(label.columns)
                problems.append(f"line {row.line}: {column} is {label.expected}")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ReferenceStandardError(f"{table_path}: " + "; ".join(problems[:SHOWN]) + more)
    return values


def _with_meanings(declared: ReferenceDeclaration, by_case: Mapping[str, CaseTruth]) -> dict[str, CaseTruth]:
    """Truth from objects, its texts with their declared meaning, and the details that are the same for all."""
    spoken = {
        name: label
        for name, label in declared.labels.items()
        if label.read is not None and label.read.form == "report" and not (label.boxes or label.lesions)
    }
    fixed = _fixed(declared)
    truths = {}
    for uid, truth in by_case.items():
        labels = dict(truth.labels)
        for name, label in spoken.items():
            try:
                labels[name] = label.meaning(labels[name] or "")
            except ValueError as error:
                raise ReferenceStandardError(f"objects: {name}: a value is {label.expected}") from error
        known = replace(truth, labels=labels)
        truths[uid] = replace(known, **fixed) if known.labelled else known
    return truths


def _fixed(declared: ReferenceDeclaration) -> dict[str, Any]:
    """Details that are the same for all cases."""
    details = {name: getattr(declared, name) for name in DETAILS}
    return {name: each.value for name, each in details.items() if each is not None and each.value is not None}


def _with_absent(
    by_case: Mapping[str, CaseTruth],
    declared: ReferenceDeclaration,
    matched: Matched,
    usable: pa.Table,
    unit: Unit,
) -> tuple[dict[str, CaseTruth], tuple[str, ...]]:
    """Truth in which cases that no row of the table is about have no lesion, where that is declared; and notes."""
    negative = {
        name: VolumeLesions(kind=label.lesions, lesions=()).text
        for name, label in declared.labels.items()
        if label.lesions is not None and label.absent == "negative"
    }
    if not negative:
        return dict(by_case), ()
    uids = usable[UNIT_COLUMNS[unit]].to_pylist()
    named = {uid for uid, rows in zip(uids, matched.by_row, strict=True) if rows}
    # Files that are no images make no case that a table could be silent about.
    images = set(usable.filter(pc.is_valid(usable["pixel_sample"]))[UNIT_COLUMNS[unit]].to_pylist())
    silent = images - named
    truths = {
        uid: replace(truth, labels={**truth.labels, **negative}, **_fixed(declared))
        if uid in silent
        else truth
        for uid, truth in by_case.items()
    }
    notes = (
        f"{name}: {len(silent)} of {len(images)} cases are negative because no row is about them"
        for name in negative
    )
    return truths, tuple(notes) if silent else ()


def _unread(truth: CaseTruth, names: list[str]) -> CaseTruth:
    """Truth without what stands in objects: names of files are no truth."""
    return replace(truth, labels={**truth.labels, **dict.fromkeys(names)})


def _detail(detail: Detail | None, found: Mapping[int, TableRow], lines: list[int]) -> str:
    """Value of a detail for a case; several rows that differ are all kept, apart by '+'."""
    if detail is None or not lines:
        return "unknown"
    if detail.column is None:
        return detail.value or "unknown"
    said = sorted({found[line].cells[detail.column] for line in lines} - {""})
    return "+".join(said) or "unknown"
