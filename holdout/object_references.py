"""Which objects of an ingested folder are about which cases: by the images that they reference, else by their place.

An object that references no image of the folder, or none at all, is about those of its own patient in its Frame of
Reference (PS3.3 C.7.4.1), when they are of one series.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from holdout.bounded import BoundedPool, Failure
from holdout.keyed_table import UNKNOWN

_REFERENCED_INSTANCE = 0x00081155
_FRAMES_OF_REFERENCE = frozenset({0x00200052, 0x30060024})


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseImages:
    """The images of the cases: paths of each case (below the source), and the case, patient and series of each image.

    ``instances`` is keyed by SOP Instance UID, ``frames`` by Frame of Reference UID; both name cases.
    """

    paths: Mapping[str, tuple[str, ...]]
    instances: Mapping[str, str]
    frames: Mapping[str, frozenset[str]]
    patients: Mapping[str, str]
    series: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Referenced:
    """What an object references: SOP Instance UIDs and Frame of Reference UIDs; and the hash of its file."""

    instances: tuple[str, ...]
    frames: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsByCase:
    """Paths of objects by case, and what is wrong with an object, a sentence each."""

    paths: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...]


def case_images(index: pa.Table, case_column: str) -> CaseImages:
    """The images among the usable files of ``index``; ``case_column`` holds the UID of the case."""
    images = index.filter(pc.is_valid(index.column("pixel_sample")))
    paths: dict[str, list[str]] = defaultdict(list)
    frames: dict[str, set[str]] = defaultdict(set)
    series: dict[str, set[str]] = defaultdict(set)
    instances: dict[str, str] = {}
    patients: dict[str, str] = {}
    wanted = ("path", "sop_instance_uid", "series_instance_uid", "frame_of_reference_uid", "patient_id")
    for row in images.select([*dict.fromkeys((*wanted, case_column))]).to_pylist():
        case = row[case_column]
        paths[case].append(row["path"])
        instances[row["sop_instance_uid"]] = case
        patients[case] = row["patient_id"]
        series[case].add(row["series_instance_uid"])
        if row["frame_of_reference_uid"] not in (None, "", UNKNOWN):
            frames[row["frame_of_reference_uid"]].add(case)
    return CaseImages(
        paths={case: tuple(sorted(found)) for case, found in paths.items()},
        instances=instances,
        frames={uid: frozenset(cases) for uid, cases in frames.items()},
        patients=patients,
        series={case: frozenset(found) for case, found in series.items()},
    )


def objects_by_case(source: Path, objects: Sequence[Mapping[str, str]], images: CaseImages) -> ObjectsByCase:
    """Find the cases of each object.

    Args:
        source: the ingested folder.
        objects: rows of the index: ``path``, ``sha256``, ``patient_id``.
        images: what they may be about.
    """
    found: dict[str, list[str]] = defaultdict(list)
    problems: list[str] = []
    rows = {row["path"]: row for row in objects}
    with BoundedPool(scan_references, memory_bytes=2 << 30, seconds_per_task=60) as pool:
        for path, outcome in pool.map(str(source / path) for path in rows):
            name = str(Path(path).relative_to(source))
            row = rows[name]
            if isinstance(outcome, Failure):
                problems.append(f"{name[:100]!a}: reading it failed ({outcome.code})")
                continue
            if outcome.sha256 != row["sha256"]:
                problems.append(f"{name[:100]!a}: was changed since it was ingested; ingest the folder again")
                continue
            cases = {images.instances[uid] for uid in outcome.instances if uid in images.instances}
            if not cases:
                cases = _by_place(outcome, row["patient_id"], images)
                if len({uid for case in cases for uid in images.series[case]}) > 1:
                    problems.append(
                        f"{name[:100]!a}: references no image, and several series lie in its Frame of Reference; "
                        "name it in a column of the table"
                    )
                    continue
            if any(images.patients[case] != row["patient_id"] for case in cases):
                problems.append(f"{name[:100]!a}: references images of another patient than its own")
                continue
            for case in cases:
                found[case].append(name)
    return ObjectsByCase(
        paths={case: tuple(sorted(paths)) for case, paths in found.items()}, problems=tuple(sorted(problems))
    )


def _by_place(referenced: Referenced, patient: str, images: CaseImages) -> set[str]:
    return {
        case
        for uid in referenced.frames
        for case in images.frames.get(uid, ())
        if images.patients[case] == patient
    }


def scan_references(path: str) -> Referenced:
    """What the object in a file references; runs in a child process."""
    import pydicom

    content = Path(path).read_bytes()
    instances: set[str] = set()
    frames: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        _walk(dataset, instances, frames)
    return Referenced(
        instances=tuple(sorted(instances)),
        frames=tuple(sorted(frames)),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _walk(dataset: Any, instances: set[str], frames: set[str]) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _walk(item, instances, frames)
        elif element.tag == _REFERENCED_INSTANCE:
            instances.add(str(element.value))
        elif element.tag in _FRAMES_OF_REFERENCE:
            frames.add(str(element.value))
