"""Truth that stands in objects beside the images: found, read in child processes, and put in the place of labels.

Nothing outside of the declaration's folder and the ingested folder is read, and no link is followed. What is taken is
sealed with the rest of the reference standard, with the hash of the object that it came from.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from holdout.bounded import BoundedPool, Failure
from holdout.boxes import boxes_text
from holdout.case_truth import CaseTruth
from holdout.cases import UNIT_COLUMNS, Unit, known_cases
from holdout.errors import MaskError, ReferenceStandardError
from holdout.mask_runs import TrueMask, from_numbers
from holdout.object_reading import CaseTruthFound, ReadingTask, read_object
from holdout.object_references import CaseImages, case_images, objects_by_case
from holdout.reference_forms import SOP_CLASSES, Reading
from holdout.reference_masks import refusal
from holdout.volume_lesions import LesionKind, VolumeLesions, checked_lesion

Progress = Callable[[int, int | None], None]

MEMORY_BYTES = 4 << 30
SECONDS_PER_TASK = 300.0
_IMAGES_AT_ONCE = 256
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReading:
    """A label that comes from objects: ``mask``, ``boxes``, ``lesions`` or none; ``named``: a column names the file."""

    name: str
    reading: Reading
    mask: bool
    boxes: bool
    named: bool
    lesions: LesionKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsRead:
    """The truth of the cases with what objects say, and sentences on how it came about."""

    by_case: dict[str, CaseTruth]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one object says of one case."""

    found: CaseTruthFound
    name: str
    sha256: str


def object_paths(index: pa.Table, readings: Sequence[LabelReading]) -> frozenset[str]:
    """Files of the index that hold truth of the declared forms, so that they are no images of any case."""
    classes = {uid for each in readings for uid in SOP_CLASSES.get(each.reading.form, ())}
    rows = index.select(["path", "sop_class_uid"]).to_pylist() if classes else []
    return frozenset(row["path"] for row in rows if row["sop_class_uid"] in classes)


def read_objects(
    by_case: Mapping[str, CaseTruth],
    readings: Sequence[LabelReading],
    index: pa.Table,
    *,
    declared: Path,
    source: Path,
    unit: Unit,
    progress: Progress | None = None,
) -> ObjectsRead:
    """Put what the objects say in the place of the labels.

    Args:
        by_case: truth by UID of the case, with a file name for each named label.
        readings: the labels that come from objects.
        index: the ingested folder, objects and all.
        declared: folder of the declaration, where named files are looked for first.
        source: the ingested folder.
        unit: what a case is.
        progress: called with (readings done, readings to do).

    Raises:
        ReferenceStandardError: an object is missing, cannot be read, does not fit its images, or several say
            something of one case (the first few are named).
    """
    usable = known_cases(index, unit)
    images = case_images(_without(usable, object_paths(usable, readings)), UNIT_COLUMNS[unit])
    problems: list[str] = []
    tasks: list[ReadingTask] = []
    for each in readings:
        found = _files(each, by_case, images, index, declared=declared, source=source)
        problems += found.problems
        tasks += _tasks(each, found.paths, images, source)
    told = _read(tasks, problems, progress)
    told |= _blank_masks(readings, told, images, source, problems)
    truths: dict[str, CaseTruth] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for case, truth in by_case.items():
        truths[case] = truth
        for each in readings:
            heard = told.get((each.name, case), [])
            # Files that are no images make no case that objects could speak of.
            text, how = _combined(each, heard, problems) if case in images.paths else (None, "no images")
            resampled = any(one.found.resampled for one in heard)
            counts[each.name, how] += 1
            counts[each.name, "resampled"] += resampled
            truths[case] = _with(truths[case], each.name, text, heard, resampled=resampled)
    if problems:
        listed = sorted(set(problems))
        more = f"; and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        raise ReferenceStandardError("objects: " + "; ".join(listed[:_SHOWN]) + more, listed)
    return ObjectsRead(by_case=truths, notes=tuple(_notes(readings, counts, len(images.paths))))


def _with(
    truth: CaseTruth, label: str, text: str | None, heard: Sequence[_Told], *, resampled: bool
) -> CaseTruth:
    hashes = {one.sha256 for one in heard if _speaks(one.found) and one.sha256}
    return replace(
        truth,
        labels={**truth.labels, label: text},
        objects=tuple(sorted({*truth.objects, *hashes})),
        resampled=truth.resampled or resampled,
    )


def _blank_masks(
    readings: Sequence[LabelReading],
    told: Mapping[tuple[str, str], Sequence[_Told]],
    images: CaseImages,
    source: Path,
    problems: list[str],
) -> dict[tuple[str, str], list[_Told]]:
    """Empty masks, on the grid of their images, of the cases that are negative because no object speaks of them."""
    found: dict[tuple[str, str], list[_Told]] = {}
    for each in readings:
        if each.mask and each.reading.absent == "negative":
            silent = [
                case for case in images.paths if not any(map(_matters, told.get((each.name, case), ())))
            ]
            found |= _read(list(_tasks(each, dict.fromkeys(silent, (None,)), images, source)), problems)
    return found


def _without(index: pa.Table, paths: frozenset[str]) -> pa.Table:
    return index.filter(
        pa.array([path not in paths for path in index.column("path").to_pylist()], pa.bool_())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Absolute paths of the objects of each case."""

    paths: dict[str, tuple[Path, ...]]
    problems: list[str]


def _files(
    each: LabelReading,
    by_case: Mapping[str, CaseTruth],
    images: CaseImages,
    index: pa.Table,
    *,
    declared: Path,
    source: Path,
) -> _Files:
    paths: dict[str, tuple[Path, ...]] = {}
    problems: list[str] = []
    if not each.named:
        own = object_paths(index, [each])
        rows = [
            row
            for row in index.select(["path", "sha256", "patient_id", "status"]).to_pylist()
            if row["path"] in own
        ]
        problems += [
            f"{row['path'][:100]!a}: is {row['status']} and cannot be read as truth; mend it, or take it "
            "out of the folder"
            for row in rows
            if row["status"] != "ok"
        ]
        found = objects_by_case(source, [row for row in rows if row["status"] == "ok"], images)
        problems += found.problems
        paths = {case: tuple(source / path for path in names) for case, names in found.paths.items()}
        return _Files(paths=paths, problems=problems)
    for case, truth in by_case.items():
        name = truth.labels[each.name]
        if name is None or case not in images.paths:
            continue
        refused = {folder: refusal(folder, name) for folder in (declared, source)}
        place = next((folder for folder, why in refused.items() if not why), None)
        if place is None:
            whys = sorted(refused.values(), key=lambda why: why == "no such file")
            problems.append(f"{name[:100]!a}: {whys[0]}")
        else:
            paths[case] = (place / name,)
    return _Files(paths=paths, problems=problems)


def _tasks(
    each: LabelReading, paths: Mapping[str, Sequence[Path | None]], images: CaseImages, source: Path
) -> Iterator[ReadingTask]:
    cases_of: dict[Path | None, list[str]] = defaultdict(list)
    for case, found in paths.items():
        for path in found:
            cases_of[path].append(case)
    for path, cases in cases_of.items():
        batch: list[tuple[str, tuple[str, ...]]] = []
        for case in sorted(cases):
            batch.append((case, tuple(str(source / image) for image in images.paths[case])))
            if sum(len(files) for _, files in batch) >= _IMAGES_AT_ONCE:
                yield _task(each, path, batch)
                batch = []
        if batch:
            yield _task(each, path, batch)


def _task(each: LabelReading, path: Path | None, batch: Sequence[tuple[str, tuple[str, ...]]]) -> ReadingTask:
    return ReadingTask(
        label=each.name,
        reading=each.reading,
        mask=each.mask,
        boxes=each.boxes,
        path=str(path or ""),
        cases=tuple(batch),
        lesions=each.lesions,
    )


def _read(
    tasks: Sequence[ReadingTask], problems: list[str], progress: Progress | None = None
) -> dict[tuple[str, str], list[_Told]]:
    told: dict[tuple[str, str], list[_Told]] = defaultdict(list)
    if not tasks:
        return told
    with BoundedPool(
        read_object, memory_bytes=MEMORY_BYTES, seconds_per_task=SECONDS_PER_TASK, largest_chunk=4
    ) as pool:
        for done, (task, outcome) in enumerate(pool.map(tasks), start=1):
            if progress is not None:
                progress(done, len(tasks))
            name = Path(task.path).name[:100]
            if isinstance(outcome, Failure):
                problems.append(f"{name!a}: reading it failed ({outcome.code})")
                continue
            for found in outcome.cases:
                if found.problem:
                    problems.append(f"{name!a}, {task.label}: {found.problem}")
                told[task.label, found.case].append(_Told(found=found, name=name, sha256=outcome.sha256))
    return told


def _speaks(found: CaseTruthFound) -> bool:
    return any(each is not None for each in (found.mask, found.boxes, found.lesions, found.text))


def _matters(one: _Told) -> bool:
    return _speaks(one.found) or bool(one.found.problem)


def _combined(each: LabelReading, told: Sequence[_Told], problems: list[str]) -> tuple[str | None, str]:
    """Text of a label, and how it came about: ``found``, ``negative``, ``unlabelled``."""
    if any(one.found.problem for one in told):
        return None, "unlabelled"
    speaking = [one for one in told if _speaks(one.found)]
    if len(speaking) > 1 and each.reading.form != "key_objects":
        names = ", ".join(sorted(ascii(one.name) for one in speaking)[:_SHOWN])
        problems.append(
            f"{each.name}: {len(speaking)} objects speak of one case ({names}); name one in a column of the table"
        )
        return None, "unlabelled"
    if speaking:
        how = "found" if speaking[0].sha256 else "negative"
        try:
            return _text(speaking[0].found, each.lesions), how
        except (MaskError, ValueError, TypeError):
            # Children are not believed: what they send need not be of its type.
            problems.append(f"{speaking[0].name!a}, {each.name}: what was read of it is no truth")
            return None, "unlabelled"
    if each.reading.absent == "unlabelled":
        problems += [f"{one.name!a}, {each.name}: has no such part" for one in told if each.named]
        return None, "unlabelled"
    return _negative(each), "negative"


def _text(found: CaseTruthFound, kind: LesionKind | None) -> str | None:
    """The label as a reference standard keeps it.

    Raises:
        MaskError, ValueError: the numbers are no mask, no boxes, or no lesions.
    """
    if found.lesions is not None and kind is not None:
        checked = tuple(checked_lesion(lesion, kind) for lesion in found.lesions)
        return VolumeLesions(kind=kind, lesions=checked).text
    if found.mask is not None:
        return TrueMask(runs=from_numbers(found.mask), spacing=found.spacing).text
    return boxes_text([], found.boxes) if found.boxes is not None else found.text


def _negative(each: LabelReading) -> str | None:
    if each.boxes:
        return boxes_text([])
    if each.lesions is not None:
        return VolumeLesions(kind=each.lesions, lesions=()).text
    return "0" if each.reading.form == "key_objects" else None


def _notes(readings: Sequence[LabelReading], counts: Counter[tuple[str, str]], cases: int) -> Iterator[str]:
    for each in readings:
        if count := counts[each.name, "resampled"]:
            yield (
                f"{each.name}: {count} of {cases} cases have a mask that lay on another grid and was resampled to "
                "that of their images (stratum reference.resampled)"
            )
        if count := counts[each.name, "negative"]:
            yield f"{each.name}: {count} of {cases} cases are negative because no object says otherwise"
