"""The tables beside imported DICOM: patients, acquisition, reference standard, site columns."""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from holdout.dicom_writer import ImageDescription
from holdout.errors import MappingError
from holdout.mapping import ImageMapping, Source
from holdout.reference_masks import refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTask:
    """One image of the table, described; ``target`` is where its DICOM file goes."""

    line: int
    source: Path
    target: Path
    kind: str
    description: ImageDescription
    namespace: str
    scale: tuple[float, float] | None
    row: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenImage:
    """What came of an image; ``reason`` says why nothing did."""

    sop_instance_uid: str = ""
    rows: int = 0
    columns: int = 0
    reason: str = ""


def cell_text(source: Source | None, row: dict[str, str]) -> str:
    """Read a value as one clean line; '' where it is unknown, mojibake, or cannot stand in a DICOM value."""
    value = "" if source is None else source.read(row) or ""
    return "" if "�" in value or "\\" in value else " ".join(value.split())


def write_tables(
    mapping: ImageMapping, imported: list[tuple[ImportTask, WrittenImage]], building: Path, folder: Path
) -> dict[str, dict[str, int]]:
    """Write the tables, and copies of the masks, beside the DICOM; returns the label counts.

    Raises:
        MappingError: a mask that the table names cannot be taken.
    """
    patients: dict[str, list[ImportTask]] = defaultdict(list)
    acquisition: list[dict[str, str]] = []
    reference: list[dict[str, str]] = []
    site: list[dict[str, str]] = []
    counts = {name: {"positive": 0, "negative": 0, "unlabelled": 0} for name in mapping.labels}
    site_sources = dict(mapping.site)
    if mapping.partition is not None:
        site_sources["partition"] = mapping.partition
    for task, written in imported:
        described = task.description
        patients[described.patient_id].append(task)
        acquisition.append(
            {
                "file": task.target.relative_to(building / "dicom").as_posix(),
                "source_file": task.row[mapping.file].strip(),
                "sop_instance_uid": written.sop_instance_uid,
                "series_instance_uid": described.series_instance_uid,
                "study_instance_uid": described.study_instance_uid,
                "patient_id": described.patient_id,
                "patient_age": described.patient_age,
                "patient_sex": described.patient_sex,
                "body_part_examined": described.body_part,
                "view_position": described.view,
                "laterality": described.laterality,
                "study_date": described.study_date,
                "institution_name": described.institution,
                "manufacturer": described.manufacturer,
                "manufacturer_model_name": described.model,
                "rows": str(written.rows),
                "columns": str(written.columns),
            }
        )
        truth = {"sop_instance_uid": written.sop_instance_uid}
        for name, label in mapping.labels.items():
            cell = task.row[label.column].strip()
            value = "1" if cell in label.positive else "0" if cell in label.negative else ""
            counts[name][{"1": "positive", "0": "negative", "": "unlabelled"}[value]] += 1
            truth[name] = value
        for name, mask in mapping.masks.items():
            truth[name] = _copy_mask(folder, task, name, mask.column, building)
        truth["method"] = cell_text(mapping.truth.method, task.row)
        truth["readers"] = cell_text(mapping.truth.readers, task.row)
        truth["date"] = cell_text(mapping.truth.date, task.row)
        reference.append(truth)
        site.append(
            {"sop_instance_uid": written.sop_instance_uid}
            | {name: cell_text(source, task.row) for name, source in site_sources.items()}
        )
    write_csv(building / "patients.csv", [_patient_row(name, patients[name]) for name in sorted(patients)])
    write_csv(building / "acquisition.csv", acquisition)
    write_csv(building / "reference.csv", reference)
    declare_reference(building / "reference.yaml", list(mapping.labels), mapping.title, list(mapping.masks))
    if site_sources:
        write_csv(building / "site.csv", site)
        declare_site(building / "site.yaml", list(site_sources))
    return counts


def _copy_mask(folder: Path, task: ImportTask, label: str, column: str, building: Path) -> str:
    """Copy the mask of an image; gives its name below ``building``, '' where the table names none."""
    name = task.row[column].strip()
    if not name:
        return ""
    reason = refusal(folder, name)
    if reason:
        raise MappingError(f"line {task.line}: the mask of column {column}: {reason}")
    # Named as the DICOM file is: nothing of the source's own name goes on.
    copied = building / "masks" / label / f"{task.target.stem}.png"
    copied.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / name, copied)
    return copied.relative_to(building).as_posix()


def _patient_row(patient: str, tasks: list[ImportTask]) -> dict[str, str]:
    ages = sorted({task.description.patient_age for task in tasks} - {""})
    sexes = sorted({task.description.patient_sex for task in tasks} - {""})
    return {
        "patient_id": patient,
        "patient_sex": sexes[0] if len(sexes) == 1 else "",
        "youngest": ages[0] if ages else "",
        "oldest": ages[-1] if ages else "",
        "studies": str(len({task.description.study_instance_uid for task in tasks})),
        "images": str(len(tasks)),
    }


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    """Write rows of equal keys as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def declare_reference(path: Path, labels: list[str], title: str, masks: list[str] | None = None) -> None:
    """Write the declaration of a ``reference.csv`` with columns 1/0, mask files, method, readers and date."""
    declared: dict[str, dict[str, object]] = {
        name: {"column": name, "positive": ["1"], "negative": ["0"]} for name in labels
    }
    declared |= {name: {"column": name, "mask": True} for name in masks or ()}
    document = {
        "proctor": "reference/1",
        "title": title,
        "table": "reference.csv",
        "key": {"sop_instance_uid": "sop_instance_uid"},
        "labels": declared,
        "method": "method",
        "readers": "readers",
        "date": "date",
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def declare_site(path: Path, columns: list[str]) -> None:
    """Write the declaration of a ``site.csv`` keyed by SOP Instance UID."""
    document = {
        "proctor": "site/1",
        "table": "site.csv",
        "key": {"sop_instance_uid": "sop_instance_uid"},
        "columns": {name: name for name in columns},
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
