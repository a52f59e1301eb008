"""Import a folder of images with a metadata table as DICOM (``proctor holdout import``).

The destination holds ``dicom/`` and, beside it, ``patients.csv``, ``acquisition.csv``, ``reference.csv`` with
its declaration ``reference.yaml``, and ``site.csv`` with ``site.yaml`` where the mapping names site columns.
It appears whole or not at all.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from holdout import image_reading
from holdout.bounded import BoundedPool, Failure
from holdout.dicom_writer import ImageDescription, NativePixels, age_string, write_image
from holdout.errors import MappingError
from holdout.import_tables import ImportTask, WrittenImage, cell_text, write_tables
from holdout.mapping import ImageMapping, Source, check_columns, load_mapping
from holdout.new_folder import new_folder
from holdout.uids import content_uid

Progress = Callable[[int, int | None], None]
MAXIMUM_FILE_BYTES = 512_000_000
_SEXES = {"M": "M", "F": "F", "O": "O", "MALE": "M", "FEMALE": "F", "OTHER": "O"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDefect:
    """An image that was left out, with its line in the table and the reason."""

    line: int
    file: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """What an import made."""

    name: str
    destination: Path
    images: int
    patients: int
    studies: int
    labels: dict[str, dict[str, int]]
    """By label: counts of positive, negative and unlabelled images."""
    defects: tuple[ImportDefect, ...]
    seconds: float


def builtin_mapping(name: str) -> Path:
    """Path of a mapping that ships with Proctor.

    Raises:
        MappingError: there is none of this name.
    """
    folder = Path(__file__).parent / "mappings"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(entry.stem for entry in folder.glob("*.yaml")))
        raise MappingError(
            f"no mapping {name!r} ships with Proctor (there are: {known}); give a file instead"
        )
    return path


def import_folder(
    folder: Path,
    mapping_path: Path,
    destination: Path,
    *,
    processes: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ImportSummary:
    """Write the images of ``folder`` as DICOM into ``destination``, which must not exist yet.

    Images that cannot be read are listed with the reason; the rest is imported. The same folder and mapping
    give the same bytes. ``limit`` takes only the first images of the table.

    Raises:
        MappingError: the mapping is not valid or does not fit the table, or no image could be imported.
    """
    started = time.monotonic()
    mapping = load_mapping(mapping_path)
    if destination.exists():
        raise MappingError(f"{destination}: exists already; choose a folder that does not")
    rows = _read_table(folder, mapping, mapping_path)[:limit]
    with new_folder(destination) as building:
        defects: list[ImportDefect] = []
        tasks = list(_tasks(folder, mapping, rows, building, defects))
        imported: list[tuple[ImportTask, WrittenImage]] = []
        done = len(defects)
        with BoundedPool(
            _import_one,
            processes=processes or os.cpu_count() or 1,
            memory_bytes=2_000_000_000,
            seconds_per_task=60,
        ) as pool:
            for task, outcome in pool.map(tasks):
                done += 1
                result = (
                    WrittenImage(reason=f"reading it failed ({outcome.code})")
                    if isinstance(outcome, Failure)
                    else outcome
                )
                if result.reason:
                    defects.append(
                        ImportDefect(line=task.line, file=task.row[mapping.file], reason=result.reason)
                    )
                else:
                    imported.append((task, result))
                if progress is not None:
                    progress(done, len(rows))
        if not imported:
            first = f"; first: {defects[0].file}: {defects[0].reason}" if defects else ""
            raise MappingError(f"{folder}: none of {len(rows)} images could be imported{first}")
        imported.sort(key=lambda pair: pair[0].line)
        labels = write_tables(mapping, imported, building, folder)
    return ImportSummary(
        name=mapping.name,
        destination=destination,
        images=len(imported),
        patients=len({task.description.patient_id for task, _ in imported}),
        studies=len({task.description.study_instance_uid for task, _ in imported}),
        labels=labels,
        defects=tuple(sorted(defects, key=lambda defect: defect.line)),
        seconds=time.monotonic() - started,
    )


def _read_table(folder: Path, mapping: ImageMapping, mapping_path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of the metadata table with their line numbers."""
    table = folder / mapping.table
    try:
        # A stray byte in a place name must not end an import; it becomes U+FFFD, which counts as unknown.
        text = table.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as exc:
        raise MappingError(f"{table}: cannot be read ({exc.strerror or type(exc).__name__})") from exc
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    columns = reader.fieldnames or []
    if len(set(columns)) != len(columns):
        raise MappingError(f"{table}: a column name stands twice in the first line")
    check_columns(mapping_path, set(columns))
    try:
        return [(reader.line_num, {key: str(value or "") for key, value in row.items()}) for row in reader]
    except csv.Error as exc:
        raise MappingError(f"{table}: line {reader.line_num}: not valid CSV ({exc})") from exc


def _tasks(
    folder: Path,
    mapping: ImageMapping,
    rows: list[tuple[int, dict[str, str]]],
    building: Path,
    defects: list[ImportDefect],
) -> Iterator[ImportTask]:
    seen: set[str] = set()
    numbers: dict[str, int] = defaultdict(int)
    for line, row in rows:
        name = row[mapping.file].strip()
        patient = row[mapping.patient].strip()
        reason = _refusal(folder, name, patient, seen)
        if reason:
            defects.append(ImportDefect(line=line, file=name, reason=reason))
            continue
        seen.add(name)
        described = _describe(mapping, row, name, patient)
        numbers[described.series_instance_uid] += 1
        # The name tells nothing of the case; it is what the SOP Instance UID would tell anyway.
        stem = hashlib.sha256(f"{mapping.name}\0{name}".encode()).hexdigest()[:20]
        scale = None
        if mapping.pixel_spacing is not None and mapping.pixel_spacing.original_rows is not None:
            assert mapping.pixel_spacing.original_columns is not None
            sizes = (
                _number(row[mapping.pixel_spacing.original_rows]),
                _number(row[mapping.pixel_spacing.original_columns]),
            )
            scale = (sizes[0], sizes[1]) if sizes[0] and sizes[1] else None
        yield ImportTask(
            line=line,
            source=folder / name,
            target=building / "dicom" / stem[:2] / f"{stem}.dcm",
            kind=mapping.object,
            description=replace(described, instance_number=numbers[described.series_instance_uid]),
            namespace=f"{mapping.name}\0{name}",
            scale=scale,
            row=row,
        )


def _refusal(folder: Path, name: str, patient: str, seen: set[str]) -> str:
    """Why a row cannot be imported; '' when it can."""
    if not name:
        return "the table names no file"
    if not patient:
        return "the table names no patient"
    if name in seen:
        return "the table names this file twice"
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        return "the name leads out of the folder"
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        return "is a link"
    if not path.is_file():
        return "no such file"
    if path.stat().st_size > MAXIMUM_FILE_BYTES:
        return f"larger than {MAXIMUM_FILE_BYTES} bytes"
    return ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e7 else None


def _age(source: Source | None, row: dict[str, str]) -> str:
    text = cell_text(source, row)
    try:
        return age_string(float(text)) if text else ""
    except ValueError:
        return ""


def _study_date(mapping: ImageMapping, row: dict[str, str]) -> str:
    declared = mapping.study_date
    text = row[declared.column].strip() if declared is not None else ""
    if declared is None or not text:
        return ""
    try:
        if declared.format is not None:
            return datetime.datetime.strptime(text, declared.format).strftime("%Y%m%d")
        assert declared.base is not None
        base = datetime.date.fromisoformat(declared.base)
        return (base + datetime.timedelta(days=float(text))).strftime("%Y%m%d")
    except (ValueError, OverflowError):
        return ""


def _describe(mapping: ImageMapping, row: dict[str, str], name: str, patient: str) -> ImageDescription:
    study = row[mapping.study].strip() if mapping.study is not None else ""
    # Without a value that tells studies apart, joining images into one study would be a guess.
    study_key = f"study {study}" if study else f"file {name}"
    body_part = cell_text(mapping.body_part, row).upper()[:16]
    view = cell_text(mapping.view, row).upper()[:16]
    laterality = cell_text(mapping.laterality, row).upper()
    study_uid = content_uid("proctor import", mapping.name, "study", patient, study_key)
    spacing = None
    if mapping.pixel_spacing is not None:
        pair = (
            _number(cell_text(mapping.pixel_spacing.row, row)),
            _number(cell_text(mapping.pixel_spacing.column, row)),
        )
        spacing = (pair[0], pair[1]) if pair[0] and pair[1] else None
    return ImageDescription(
        kind=mapping.object,
        sop_instance_uid="",
        study_instance_uid=study_uid,
        series_instance_uid=content_uid(study_uid, "series", body_part, view, laterality),
        patient_id=patient,
        patient_sex=_SEXES.get(cell_text(mapping.sex, row).upper(), ""),
        patient_age=_age(mapping.age, row),
        study_date=_study_date(mapping, row),
        study_description=cell_text(mapping.study_description, row),
        body_part=body_part,
        view=view,
        laterality=laterality if laterality in ("L", "R", "B", "U") else "",
        institution=cell_text(mapping.institution, row),
        manufacturer=cell_text(mapping.manufacturer, row),
        model=cell_text(mapping.model, row),
        pixel_spacing=spacing,
    )


def _import_one(task: ImportTask) -> WrittenImage:
    """Turn one image into DICOM; runs in a child process."""
    content = task.source.read_bytes()
    try:
        pixels = image_reading.read_image(content, colour=task.kind == "VL")
        rows, columns = (
            pixels.array.shape[:2] if isinstance(pixels, NativePixels) else (pixels.rows, pixels.columns)
        )
        spacing = task.description.pixel_spacing
        if spacing is not None and task.scale is not None:
            spacing = (spacing[0] * task.scale[0] / rows, spacing[1] * task.scale[1] / columns)
        uid = content_uid("proctor import", task.namespace, hashlib.sha256(content).hexdigest())
        described = replace(task.description, sop_instance_uid=uid, pixel_spacing=spacing)
        written = write_image(described, pixels)
    except ValueError as exc:
        return WrittenImage(reason=str(exc))
    task.target.parent.mkdir(parents=True, exist_ok=True)
    task.target.write_bytes(written)
    return WrittenImage(sop_instance_uid=uid, rows=rows, columns=columns)
