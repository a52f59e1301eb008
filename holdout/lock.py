"""Lock a hold-out: fix its files by hash, seal its reference standard, make it read-only.

The lock appears whole or not at all: it is built beside its destination, flushed to disk and renamed. The
same input and keys give the same root.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785

from holdout import manifest, sealing
from holdout.cases import UNIT_COLUMNS, CaseGroups, Unit, case_id, case_table, group
from holdout.errors import LockRefusedError
from holdout.hashing import hash_files
from holdout.inclusion import ALWAYS_EXCLUDED, UNLABELLED, Excluded, Selection, select, without
from holdout.leakage import Leak, find_leaks
from holdout.locked import (
    COVERED,
    LOCK_FILE,
    SEALED_FILE,
    STATEMENT_FORMAT,
    LockedHoldout,
    LockRecord,
    open_locked,
    open_reference,
)
from holdout.mask_runs import MASK_BEGINS
from holdout.new_folder import new_folder
from holdout.reference import ReferenceStandard

__all__ = ["LockedHoldout", "lock", "open_locked", "open_reference"]

Progress = Callable[[int, int | None], None]
SHORTEST_KEY = 32
_SITE = "_site."


def lock(
    source: Path,
    index: pa.Table,
    reference: ReferenceStandard,
    destination: Path,
    *,
    name: str,
    version: str,
    dataset_key: bytes,
    reference_key: bytes,
    parts: Sequence[str] | None = None,
    site: Mapping[str, Sequence[str]] | None = None,
    exclusions: Mapping[str, str] | None = None,
    declared: Collection[str] = (),
    protect_source: bool = True,
    progress: Progress | None = None,
) -> LockedHoldout:
    """Lock the files of ``source`` as a hold-out in ``destination``, which must not exist.

    Args:
        source: the ingested folder; the files stay where they are.
        index: its index, one row a file.
        reference: the resolved reference standard; its unit is the hold-out's.
        destination: the lock's folder.
        name: name of the hold-out.
        version: version of the hold-out.
        dataset_key: key of the pseudonyms of cases and patients, 32 bytes or more.
        reference_key: key that the reference standard is encrypted under, 32 bytes or more.
        parts: part of each row of ``index`` (see ``partition.parts_of_files``); None: all are the hold-out.
        site: further stratum columns, a value for each row of ``index``.
        exclusions: what is left out, by code or path, with the reason (see ``inclusion.select``).
        declared: SHA-256 of files or pixel data that vendors declare as training data.
        protect_source: take the write permission from the locked files as well, where the owner may.
        progress: called with (files read, files to read), from the start for each reason to read them.

    Raises:
        LockRefusedError: defective files, duplicates or leaks that are not excluded, files changed since
            ingest, two patients in a case, or no case left.
        ReferenceStandardError: the reference standard contradicts itself.
    """
    _check_place_and_key(destination, dataset_key)
    reference.check()

    def leaks_of(table: pa.Table, parts: Sequence[str]) -> Sequence[Leak]:
        return find_leaks(table, source, parts=parts, declared=declared, progress=progress)

    index = _with_site(index, site or {})
    selection = select(
        index, parts=parts, exclusions=exclusions, objects=reference.objects, leaks_of=leaks_of
    )
    selection.check()
    selection = _labelled(selection, reference)
    lost = _lost(index, selection, reference.unit)
    _check_masks(lost, reference)
    groups = group(selection.kept, reference.unit)
    kept, kept_site = _apart_from_site(selection.kept)
    cases = case_table(kept, groups, dataset_key=dataset_key, site=kept_site)
    images = _hash_images(source, kept, progress)
    truths = _truths(reference, groups, dataset_key)
    notes = [*selection.notes, *_incomplete(lost, reference.unit), *reference.notes]
    covered = {
        "statement.json": _statement(name, version, reference, notes, cases, images),
        "cases.parquet": _parquet(cases),
        "index.parquet": _parquet(kept),
        "commitments.jsonl": sealing.commitments(truths, reference_key),
        "flow.jsonl": _flow(selection.excluded),
    }
    entries = [*images, *_entries(covered)]
    binding = sealing.Binding(name=name, version=version, root=manifest.root(entries))
    sealed = sealing.seal(truths, reference_key, binding)
    record = LockRecord(
        root=binding.root, source=str(source.resolve()), sealed_sha256=hashlib.sha256(sealed).hexdigest()
    )
    if protect_source:
        _protect(source, kept.column("path").to_pylist())
    _publish(
        destination,
        {
            **covered,
            manifest.FILE_NAME: manifest.encode(entries),
            SEALED_FILE: sealed,
            LOCK_FILE: record.encode(),
        },
    )
    return open_locked(destination)


def _check_place_and_key(destination: Path, dataset_key: bytes) -> None:
    if destination.exists():
        raise LockRefusedError(f"{destination}: exists already; a locked hold-out is never overwritten")
    if len(dataset_key) < SHORTEST_KEY:
        raise LockRefusedError(
            f"the dataset key has {len(dataset_key)} bytes; at least {SHORTEST_KEY} are needed"
        )


def _with_site(index: pa.Table, site: Mapping[str, Sequence[str]]) -> pa.Table:
    """Add the site's own columns to the index, so that they are selected and sorted with its rows."""
    for column, values in site.items():
        index = index.append_column(f"{_SITE}{column}", pa.array(list(values)))
    return index


def _apart_from_site(table: pa.Table) -> tuple[pa.Table, dict[str, list[str]]]:
    """Undo ``_with_site``: the index, and the site's columns."""
    columns = [column for column in table.column_names if column.startswith(_SITE)]
    site = {column.removeprefix(_SITE): table.column(column).to_pylist() for column in columns}
    return table.drop_columns(columns), site


def _statement(
    name: str,
    version: str,
    reference: ReferenceStandard,
    notes: Sequence[str],
    cases: pa.Table,
    images: Sequence[manifest.Entry],
) -> bytes:
    """Bytes of statement.json: what the hold-out says of itself."""
    return rfc8785.dumps(
        {
            "format": STATEMENT_FORMAT,
            "name": name,
            "version": version,
            "unit": reference.unit,
            "labels": list(reference.labels),
            "binary": list(reference.binary),
            "notes": list(notes),
            "counts": {
                "cases": cases.num_rows,
                "patients": len(set(cases.column("patient_key").to_pylist())),
                "instances": len(images),
                "bytes": sum(entry.size for entry in images),
            },
        }
    )


def _entries(covered: Mapping[str, bytes]) -> list[manifest.Entry]:
    """Manifest entries of the lock's own files."""
    return [
        manifest.Entry(
            path=manifest.LOCK_PREFIX + file,
            role=COVERED[file],
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for file, data in covered.items()
    ]


def _labelled(selection: Selection, reference: ReferenceStandard) -> Selection:
    """Leave out the cases without truth."""
    groups = group(selection.kept, reference.unit)
    paths = selection.kept.column("path").to_pylist()
    leaving = [
        paths[row]
        for case, uid in enumerate(groups.uids)
        if uid not in reference.by_case or not reference.by_case[uid].labelled
        for row in groups.rows_of(case)
    ]
    return without(selection, leaving, UNLABELLED)


def _lost(index: pa.Table, selection: Selection, unit: Unit) -> dict[str, list[str]]:
    """Statuses of the files that the operator excluded, by UID of a case that is still there."""
    if unit == "image":
        return {}
    kept = set(selection.kept.column(UNIT_COLUMNS[unit]).to_pylist())
    left = {item.path for item in selection.excluded if item.code not in ALWAYS_EXCLUDED}
    found: dict[str, list[str]] = defaultdict(list)
    for row in index.select(["path", "status", UNIT_COLUMNS[unit]]).to_pylist():
        if row["path"] in left and row[UNIT_COLUMNS[unit]] in kept:
            found[row[UNIT_COLUMNS[unit]]].append(row["status"])
    return found


def _incomplete(lost: Mapping[str, Sequence[str]], unit: Unit) -> list[str]:
    """Say how many cases lost files that the operator excluded: what remains is asked as if it were whole."""
    if not lost:
        return []
    return [
        f"{len(lost)} cases lost {sum(map(len, lost.values()))} of their files to exclusions; a container is shown "
        f"what remains of the {unit}"
    ]


def _check_masks(lost: Mapping[str, Sequence[str]], reference: ReferenceStandard) -> None:
    """Refuse masks that cover slices which are no longer shown: no answer on the remaining ones could fit them.

    Files that could not be used when the masks were read never were a part of them.
    """
    torn = [
        uid
        for uid, statuses in lost.items()
        if "ok" in statuses
        and any((text or "").startswith(MASK_BEGINS) for text in reference.by_case[uid].labels.values())
    ]
    if torn:
        raise LockRefusedError(
            f"{len(torn)} cases have a mask over slices that are excluded; exclude the whole {reference.unit}, or "
            "remove its mask from the reference standard"
        )


def _hash_images(source: Path, kept: pa.Table, progress: Progress | None) -> list[manifest.Entry]:
    """Manifest entries of the images, read anew: an index may be older than its files."""
    paths = kept.column("path").to_pylist()
    expected = kept.column("sha256").to_pylist()
    entries: list[manifest.Entry] = []
    changed: list[str] = []
    for done, (digest, wanted) in enumerate(zip(hash_files(source, paths), expected, strict=True), start=1):
        if digest.problem or digest.sha256 != wanted:
            changed.append(digest.path)
        entries.append(
            manifest.Entry(
                path=manifest.SOURCE_PREFIX + digest.path,
                role="image",
                size=digest.size,
                sha256=digest.sha256,
            )
        )
        if progress is not None:
            progress(done, len(paths))
    if changed:
        raise LockRefusedError(
            f"{len(changed)} files are not what was ingested (first: {changed[0]}); ingest the folder again"
        )
    return entries


def _truths(reference: ReferenceStandard, groups: CaseGroups, dataset_key: bytes) -> dict[str, sealing.Truth]:
    rows: list[tuple[str, sealing.Truth]] = []
    from_objects = any(truth.objects for truth in reference.by_case.values())
    for uid in groups.uids:
        truth = reference.by_case[uid]
        details = {
            "reference.method": truth.method,
            "reference.readers": truth.readers,
            "reference.date": truth.date,
        }
        if from_objects:
            details |= {
                "reference.objects": "+".join(truth.objects),
                "reference.resampled": "yes" if truth.resampled else "no",
            }
        rows.append((case_id(dataset_key, uid), {**truth.labels, **details}))
    return sealing.new_truths(rows)


def _flow(excluded: Sequence[Excluded]) -> bytes:
    return b"".join(
        rfc8785.dumps({"path": item.path, "code": item.code, "reason": item.reason}) + b"\n"
        for item in excluded
    )


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(None).combine_chunks(), buffer, compression="zstd")
    return buffer.getvalue()


def _protect(source: Path, paths: Sequence[str]) -> None:
    """Take write permission from the files; a file system or owner that refuses is left as it is.

    The hash is what protects; the permission only keeps accidents away.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            (source / path).chmod(0o444)


def _publish(destination: Path, content: Mapping[str, bytes]) -> None:
    with new_folder(destination, mode=0o555) as building:
        for file, data in content.items():
            with (building / file).open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            (building / file).chmod(0o444)
