"""Stage cases for a container: per-run pseudonyms in random order, one folder a case, prefetching ahead.

Each case is built in a child process with memory and time limits, from files whose hash is checked first, and
looked over once more (``deidentification``) before its folder appears. A case that cannot be staged is a
``StagingFailure`` with a code from a closed set; the others go on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self, cast, get_args

import pyarrow as pa

from holdout import deidentification
from holdout.bounded import BoundedPool, Failure
from holdout.errors import StagingError
from holdout.keyed_table import UNKNOWN
from holdout.locked import LockedHoldout, read_index
from holdout.slice_order import Slice, in_order, numbers, whole_number
from holdout.uids import keyed_token
from holdout.view import INSTANCE_NUMBER, SERIES, Source, ViewError, ViewPlan, build, read_source
from holdout.view_attributes import NAMEABLE

Progress = Callable[[int, int | None], None]
StagingCode = Literal[
    "not_dicom",
    "sop_class_unsupported",
    "transfer_syntax_unsupported",
    "no_pixel_data",
    "pixel_data_inconsistent",
    "value_refused",
    "too_large",
    "altered",
    "unreadable",
    "violation",
    "memory",
    "timeout",
    "crash",
]
"""The closed set of reasons why a case was not staged."""

IMAGE_POSITION, IMAGE_ORIENTATION = 0x00200032, 0x00200037
SMALLEST_GROUP = 5
"""A text passes into the view only when at least so many patients of the hold-out share it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedCase:
    """A case ready for a container: files 000001.dcm ... in ``directory``, ``bytes`` in all."""

    pseudonym: str
    case_id: str
    directory: Path
    files: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingFailure:
    """A case that could not be staged, and why."""

    pseudonym: str
    case_id: str
    code: StagingCode


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTask:
    """One case for a child process; ``files`` are (path, SHA-256) below ``source``."""

    pseudonym: str
    case_key: bytes
    source: str
    files: tuple[tuple[str, str], ...]
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What a child process made of a case."""

    files: tuple[str, ...] = ()
    bytes: int = 0
    code: str = ""


def check_attributes(attributes: Sequence[str]) -> tuple[str, ...]:
    """Check the acquisition attributes that a protocol names.

    Raises:
        StagingError: one is not on the allow-list; the message has the whole list.
    """
    refused = sorted(set(attributes) - set(NAMEABLE))
    if refused:
        raise StagingError(
            f"{', '.join(refused)}: cannot be shown to a container; a protocol may name "
            f"{', '.join(sorted(NAMEABLE))}"
        )
    return tuple(dict.fromkeys(attributes))


def vocabulary(
    index: pa.Table, attributes: Sequence[str], *, smallest_group: int = SMALLEST_GROUP
) -> dict[str, frozenset[str]]:
    """Texts that may pass, by keyword: those that at least ``smallest_group`` patients of ``index`` share."""
    patients = index.column("patient_id").to_pylist()
    found: dict[str, frozenset[str]] = {}
    for keyword in attributes:
        rule = NAMEABLE[keyword]
        if rule.check != "vocabulary" or rule.column not in index.column_names:
            continue
        sharing: dict[str, set[str]] = defaultdict(set)
        for patient, value in zip(patients, index.column(rule.column).to_pylist(), strict=True):
            if value not in (None, "", UNKNOWN):
                sharing[value].add(patient)
        found[keyword] = frozenset(
            value for value, people in sharing.items() if len(people) >= smallest_group
        )
    return found


class Stager:
    """Stages the cases of a locked hold-out for one run; use as a context manager.

    Args:
        locked: the hold-out.
        run_key: secret of this run, 32 bytes or more; pseudonyms, UIDs and order follow from it.
        attributes: keywords of the acquisition attributes that the protocol names.
        destination: folder in which the case folders appear; on leaving, what is left of them is removed.
        processes: child processes; one for each usable processor when None.
        ahead: cases built ahead of the one asked for.
        memory_bytes: address space of a child.
        seconds_per_case: time that one case may take.
        smallest_group: patients that must share a text before it may pass.
        drop_notes: leave out comments and application segments of JPEG streams.
        check_hashes: refuse a case whose files are not what was locked.
    """

    def __init__(
        self,
        locked: LockedHoldout,
        *,
        run_key: bytes,
        destination: Path,
        attributes: Sequence[str] = (),
        processes: int | None = None,
        ahead: int = 8,
        memory_bytes: int = 2 << 30,
        seconds_per_case: float = 60.0,
        smallest_group: int = SMALLEST_GROUP,
        drop_notes: bool = True,
        check_hashes: bool = True,
    ) -> None:
        if len(run_key) < 32:
            raise StagingError(f"the run key has {len(run_key)} bytes; at least 32 are needed")
        named = check_attributes(attributes)
        index = read_index(locked)
        self._locked = locked
        self._run_key = run_key
        self._destination = destination
        hashes = index.column("sha256").to_pylist() if check_hashes else [""] * index.num_rows
        self._hashes = dict(zip(index.column("path").to_pylist(), hashes, strict=True))
        self._files = dict(
            zip(
                locked.cases.column("case_id").to_pylist(),
                locked.cases.column("files").to_pylist(),
                strict=True,
            )
        )
        self._case_ids = {self.pseudonym(case_id): case_id for case_id in self._files}
        self._plan = ViewPlan(
            attributes=named,
            vocabulary=vocabulary(index, named, smallest_group=smallest_group),
            drop_notes=drop_notes,
        )
        workers = processes or len(os.sched_getaffinity(0))
        self._pool: BoundedPool[StageTask, StageResult] = BoundedPool(
            partial(stage_case, plan=self._plan),
            processes=workers,
            memory_bytes=memory_bytes,
            seconds_per_task=seconds_per_case,
            largest_chunk=max(1, ahead // workers),
        )

    def __enter__(self) -> Self:
        self._destination.mkdir(parents=True, exist_ok=True)
        # A run that was killed and is run again meets its own left-overs.
        self._clear()
        self._pool.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._pool.close()
        self._clear()

    def _clear(self) -> None:
        """Remove what this run staged; other things in the folder are not touched."""
        for child in self._destination.iterdir():
            if child.name.removeprefix(".") in self._case_ids:
                shutil.rmtree(child, ignore_errors=True)

    def pseudonym(self, case_id: str) -> str:
        """Pseudonym of a case in this run."""
        return keyed_token(self._run_key, "pseudonym", case_id)

    def order(self) -> list[str]:
        """Pseudonyms in the order of this run: random to who does not have the run key."""
        return sorted(self._case_ids, key=lambda pseudonym: keyed_token(self._run_key, "order", pseudonym))

    def stage(
        self, pseudonyms: Collection[str] | None = None, *, progress: Progress | None = None
    ) -> Iterator[StagedCase | StagingFailure]:
        """Stage cases (all, or the given ones) in the run's order; at most about ``ahead`` wait on disk.

        The caller takes a case's folder away when it is done with it.
        """
        chosen = [name for name in self.order() if pseudonyms is None or name in pseudonyms]
        tasks = (self._task(name) for name in chosen)
        for done, (task, result) in enumerate(self._pool.map(tasks, ordered=True), start=1):
            yield self._outcome(task, result)
            if progress is not None:
                progress(done, len(chosen))

    @property
    def plan(self) -> ViewPlan:
        """What the views of this run may show."""
        return self._plan

    def task(self, case_id: str, pseudonym: str, destination: Path) -> StageTask:
        """The task that stages ``case_id`` as ``pseudonym`` below ``destination``, for who runs it himself."""
        return StageTask(
            pseudonym=pseudonym,
            # The child parses foreign bytes: it gets the key of this case alone.
            case_key=bytes.fromhex(keyed_token(self._run_key, "case key", pseudonym, length=64)),
            source=str(self._locked.source),
            files=tuple((path, self._hashes[path]) for path in self._files[case_id]),
            destination=str(destination),
        )

    def _task(self, pseudonym: str) -> StageTask:
        return self.task(self._case_ids[pseudonym], pseudonym, self._destination)

    def _outcome(self, task: StageTask, result: StageResult | Failure) -> StagedCase | StagingFailure:
        case_id = self._case_ids[task.pseudonym]
        if isinstance(result, Failure) or result.code:
            code = result.code
            if code not in get_args(StagingCode):
                code = "unreadable"
            shutil.rmtree(self._destination / f".{task.pseudonym}", ignore_errors=True)
            return StagingFailure(pseudonym=task.pseudonym, case_id=case_id, code=cast(StagingCode, code))
        return StagedCase(
            pseudonym=task.pseudonym,
            case_id=case_id,
            directory=self._destination / task.pseudonym,
            files=result.files,
            bytes=result.bytes,
        )


def stage_case(task: StageTask, *, plan: ViewPlan) -> StageResult:
    """Build the view of one case; runs in a child process."""
    rules = plan.rules()
    building = Path(task.destination) / f".{task.pseudonym}"
    building.mkdir(mode=0o755)
    total = 0
    try:
        names = []
        for number, (path, expected) in enumerate(_in_order(task, plan), start=1):
            source = read_source(_read(task, path, expected), rules)
            staged = build(
                source, plan, rules=rules, case_key=task.case_key, pseudonym=task.pseudonym, number=number
            )
            if deidentification.violations(staged, pseudonym=task.pseudonym, retained=plan.attributes):
                raise ViewError("violation")
            name = f"{number:06d}.dcm"
            (building / name).write_bytes(staged)
            names.append(name)
            total += len(staged)
        # Only what is complete appears under its name.
        building.rename(Path(task.destination) / task.pseudonym)
    except ViewError as exc:
        shutil.rmtree(building, ignore_errors=True)
        return StageResult(code=exc.code)
    return StageResult(files=tuple(names), bytes=total)


def _read(task: StageTask, path: str, expected: str) -> bytes:
    try:
        content = (Path(task.source) / path).read_bytes()
    except OSError as exc:
        raise ViewError("unreadable") from exc
    if expected and hashlib.sha256(content).hexdigest() != expected:
        raise ViewError("altered")
    return content


def _in_order(task: StageTask, plan: ViewPlan) -> Sequence[tuple[str, str]]:
    """Files of a case slice after slice."""
    if len(task.files) == 1:
        return task.files
    hashes = dict(task.files)
    return [(path, hashes[path]) for path in in_order(_slice(task, plan, path) for path in hashes)]


def _slice(task: StageTask, plan: ViewPlan, path: str) -> Slice:
    # Only values are kept: the files of a large series do not fit into a child's memory together.
    source: Source = read_source(_read(task, path, ""), plan.rules())
    return Slice(
        path=path,
        series=source.text(SERIES),
        number=whole_number(source.text(INSTANCE_NUMBER)),
        position=numbers(source.text(IMAGE_POSITION), 3),
        orientation=numbers(source.text(IMAGE_ORIENTATION), 6),
    )
