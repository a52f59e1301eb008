"""Which files of an index become part of a hold-out, and why the others do not.

What a rule forbids is a ``Problem`` and refuses the lock, until the operator excludes it by naming its code
(or a file's path) with a reason. The reasons and counts are kept in the locked hold-out (participant flow,
STARD 2015 item 19).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from holdout import leakage
from holdout.errors import LockRefusedError
from holdout.headers import STATUSES
from holdout.keyed_table import UNKNOWN
from holdout.leakage import Leak
from holdout.partition import HOLDOUT
from holdout.view_attributes import STAGED_SOP_CLASSES, STAGED_TRANSFER_SYNTAXES

SHOWN = 5
_NEEDED = ("path", "status", "patient_id", "sop_class_uid", "transfer_syntax_uid", "pixel_sample")

ANOTHER_PART = "another_part"
NO_PIXELS = "no_pixels"
UNLABELLED = "unlabelled"
REFERENCE_OBJECT = "reference_object"
ALWAYS_EXCLUDED = {
    ANOTHER_PART: "belongs to another part of the partition",
    NO_PIXELS: "holds no pixel data",
    UNLABELLED: "has no reference standard",
    REFERENCE_OBJECT: "holds truth, and is sealed with the reference standard instead of shown",
}
"""What leaves the flow by itself, counted; everything else must be excluded by the operator."""
EXCLUDABLE = frozenset(
    {
        *STATUSES,
        "without_patient_id",
        "unsupported_sop_class",
        "unsupported_transfer_syntax",
        leakage.PATIENT,
        leakage.SOP_INSTANCE,
        leakage.BYTE_EQUAL,
        leakage.PIXEL_EQUAL,
        leakage.DECODED_EQUAL,
        leakage.DECLARED,
    }
) - {"ok"}
"""Codes that an operator can exclude by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a hold-out cannot be locked: a code, a sentence, and the files that would have to go."""

    code: str
    sentence: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A file that is not in the hold-out."""

    path: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files kept (rows of the index, sorted by path), those excluded, and what forbids the lock."""

    kept: pa.Table
    excluded: tuple[Excluded, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    """What the operator should know, though it forbids nothing."""

    def check(self) -> None:
        """Refuse problems.

        Raises:
            LockRefusedError: there are some; the message names the first few, the error holds all.
        """
        if not self.problems:
            return
        sentences = "; ".join(problem.sentence for problem in self.problems[:SHOWN])
        count = len(self.problems)
        counted = f"{count} problems, the first {SHOWN}: " if count > SHOWN else ""
        codes = ", ".join(sorted({problem.code for problem in self.problems}))
        raise LockRefusedError(
            f"{counted}{sentences}. Correct them, or exclude the "
            f"files by code ({codes}) or by path, with a reason",
            self.problems,
        )


def select(
    index: pa.Table,
    *,
    parts: Sequence[str] | None = None,
    exclusions: Mapping[str, str] | None = None,
    objects: Collection[str] = (),
    leaks_of: Callable[[pa.Table, Sequence[str]], Sequence[Leak]] | None = None,
) -> Selection:
    """Choose the files of a hold-out.

    Args:
        index: the ingested folder.
        parts: part of each file of ``index``; None when all belong to the hold-out.
        exclusions: code or path to the operator's reason.
        objects: files that the reference standard was read from.
        leaks_of: the leakage guard, called with the index (sorted by path) and the part of each row.

    Raises:
        LockRefusedError: an exclusion has no reason, or names a path that the index does not have.
    """
    index = index.append_column(
        "_part", pa.array(list(parts) if parts is not None else [HOLDOUT] * index.num_rows, pa.string())
    ).sort_by("path")
    rows = index.select([*_NEEDED, "_part"]).to_pylist()
    flow = _Flow(excluding=dict(exclusions or {}))
    _check_exclusions(flow.excluding, {row["path"] for row in rows})
    for row in rows:
        if row["_part"] != HOLDOUT:
            flow.leave(row["path"], ANOTHER_PART)
        elif row["path"] in flow.excluding:
            flow.leave(row["path"], "by_path", flow.excluding[row["path"]])
        elif row["path"] in objects:
            flow.leave(row["path"], REFERENCE_OBJECT)
    for code, paths in _unusable(rows, flow.gone).items():
        flow.forbid(code, f"{len(paths)} files are {code.replace('_', ' ')} (first: {paths[0]})", paths)
    for row in rows:
        if row["path"] not in flow.gone and row["status"] == "ok" and row["pixel_sample"] is None:
            flow.leave(row["path"], NO_PIXELS)
    for code, images in _not_stageable(rows, flow.gone).items():
        flow.forbid(
            code, f"{len(images)} files have an {code.replace('_', ' ')} (first: {images[0]})", images
        )
    index = index.drop_columns(["_part"])
    leaks = leaks_of(index, _places(rows, flow.gone)) if leaks_of is not None else ()
    for leak in leaks:
        if leak.severity == "refuse":
            flow.forbid(leak.kind, leak.sentence, leak.excludable)
    return Selection(
        kept=index.filter(pa.array([row["path"] not in flow.gone for row in rows], pa.bool_())),
        excluded=tuple(flow.gone[path] for path in sorted(flow.gone)),
        problems=tuple(flow.problems),
        notes=tuple(leak.sentence for leak in leaks if leak.severity == "note"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flow:
    """What left so far, and what forbids the lock; rule by rule, the first rule that meets a file counts."""

    excluding: Mapping[str, str]
    gone: dict[str, Excluded] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def leave(self, path: str, code: str, reason: str | None = None) -> None:
        """Take a file out, for the reason that goes with the code unless another is given."""
        if reason is None:
            reason = ALWAYS_EXCLUDED.get(code, self.excluding.get(code, ""))
        self.gone.setdefault(path, Excluded(path=path, code=code, reason=reason))

    def forbid(self, code: str, sentence: str, paths: Sequence[str]) -> None:
        """Take files out if the operator excludes them by this code, else note the problem."""
        remaining = tuple(path for path in paths if path not in self.gone)
        if code in self.excluding:
            for path in remaining:
                self.leave(path, code)
        elif remaining:
            self.problems.append(Problem(code=code, sentence=sentence, paths=remaining))


def _places(rows: Sequence[dict[str, Any]], gone: Mapping[str, Excluded]) -> list[str]:
    """Part of each file for the leakage guard; what already left is nowhere and leaks nothing."""
    return [
        UNKNOWN if row["path"] in gone and gone[row["path"]].code != ANOTHER_PART else row["_part"]
        for row in rows
    ]


def without(selection: Selection, paths: Iterable[str], code: str) -> Selection:
    """Exclude further files of a selection, for one of the reasons that need no operator."""
    leaving = set(paths)
    known = selection.kept.column("path").to_pylist()
    added = [
        Excluded(path=path, code=code, reason=ALWAYS_EXCLUDED[code]) for path in known if path in leaving
    ]
    return Selection(
        kept=selection.kept.filter(pa.array([path not in leaving for path in known], pa.bool_())),
        excluded=tuple(sorted([*selection.excluded, *added], key=lambda item: item.path)),
        problems=selection.problems,
        notes=selection.notes,
    )


def _check_exclusions(excluding: Mapping[str, str], paths: set[str]) -> None:
    for name, reason in excluding.items():
        if not reason.strip():
            raise LockRefusedError(f"the exclusion of {name} has no reason; say why")
        if name not in paths and name not in EXCLUDABLE:
            # A misspelt code would leave out nothing, and stay unnoticed until its problem turns up.
            raise LockRefusedError(
                f"{name} is to be excluded, but the index has no such file and there is no such code "
                f"(codes: {', '.join(sorted(EXCLUDABLE))})"
            )


def _unusable(rows: Sequence[dict[str, object]], gone: Mapping[str, Excluded]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        path = str(row["path"])
        if path in gone:
            continue
        if row["status"] != "ok":
            found[str(row["status"])].append(path)
        elif row["patient_id"] in (None, "", UNKNOWN):
            found["without_patient_id"].append(path)
    return found


def _not_stageable(rows: Sequence[dict[str, object]], gone: Mapping[str, Excluded]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        path = str(row["path"])
        if path in gone or row["status"] != "ok":
            continue
        if row["sop_class_uid"] not in STAGED_SOP_CLASSES:
            found["unsupported_sop_class"].append(path)
        elif row["transfer_syntax_uid"] not in STAGED_TRANSFER_SYNTAXES:
            found["unsupported_transfer_syntax"].append(path)
    return found
