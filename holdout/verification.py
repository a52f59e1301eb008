"""Is a locked hold-out still what was locked? If not, which file, which label, and how.

All of the lock's own files, the presence, kind and size of every image, and the truth of every case are
always checked; on large sets a random share of the images' content may be (``Sampling``), which is then said.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import stat
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdout import manifest, sealing
from holdout.errors import LockError, SealError, VerificationError
from holdout.hashing import FileDigest, hash_file, hash_files
from holdout.locked import (
    FILES,
    LOCK_FILE,
    SEALED_FILE,
    LockedHoldout,
    LockRecord,
    read_manifest,
    read_record,
    read_statement,
)

Progress = Callable[[int, int | None], None]
Kind = Literal[
    "altered",
    "truncated",
    "grown",
    "missing",
    "added",
    "renamed",
    "swapped",
    "not_regular",
    "unreadable",
    "lock_altered",
    "manifest_altered",
    "another_root",
    "label_changed",
    "label_missing",
    "label_added",
    "seal_broken",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it was locked; ``subject`` is a path (as in the manifest) or a case_id."""

    kind: Kind
    subject: str
    detail: str

    @property
    def sentence(self) -> str:
        """The finding for a person."""
        return f"{self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Check the content of a random ``fraction`` of the images, at least ``minimum`` of them.

    ``seed`` decides which; None draws anew each time, so that nobody can know beforehand.
    """

    fraction: float
    minimum: int = 200
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Outcome of a verification.

    ``checked_files`` of ``files`` images had their content hashed; ``labels_checked`` tells whether the
    reference key was at hand.
    """

    root: str
    findings: tuple[Finding, ...]
    files: int
    checked_files: int
    bytes: int
    labels_checked: bool

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def check(self) -> None:
        """Refuse findings.

        Raises:
            VerificationError: there are some; the first few are named.
        """
        if self.findings:
            named = "; ".join(f.sentence for f in self.findings[:5])
            more = f"; and {len(self.findings) - 5} more" if len(self.findings) > 5 else ""
            raise VerificationError(f"the hold-out is not what was locked: {named}{more}")


def verify(
    locked: LockedHoldout | Path,
    *,
    reference_key: bytes | None = None,
    expected_root: str | None = None,
    source: Path | None = None,
    sampling: Sampling | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check a locked hold-out (or the folder of one that no longer opens) against its manifest.

    ``expected_root`` is what an independent record (the ledger) says; without it a hold-out that was replaced
    as a whole by another sound one cannot be told.

    Raises:
        LockError: there is no locked hold-out in the folder.
    """
    path = locked if isinstance(locked, Path) else locked.path
    if isinstance(locked, LockedHoldout):
        expected_root, source = expected_root or locked.root, source or locked.source
    if not (path / LOCK_FILE).exists():
        raise LockError(f"{path}: is not a locked hold-out (no {LOCK_FILE})")
    try:
        record = read_record(path)
        entries = read_manifest(path)
    except VerificationError as exc:
        kind: Kind = "lock_altered" if LOCK_FILE in str(exc) else "manifest_altered"
        name = LOCK_FILE if kind == "lock_altered" else manifest.FILE_NAME
        return Verification(
            root=expected_root or "",
            findings=(Finding(kind=kind, subject=manifest.LOCK_PREFIX + name, detail=str(exc)),),
            files=0,
            checked_files=0,
            bytes=0,
            labels_checked=False,
        )
    findings = _check_root(record, entries, expected_root)
    findings += _check_own_files(path, entries)
    images = [entry for entry in entries if entry.role == "image"]
    folder = source or Path(record.source)
    checked, size, found = _check_images(folder, images, path, sampling, threads, progress)
    findings += found
    labels_checked = reference_key is not None
    findings += _check_reference(path, entries, record.root, record.sealed_sha256, reference_key)
    return Verification(
        root=record.root,
        findings=tuple(findings),
        files=len(images),
        checked_files=checked,
        bytes=size,
        labels_checked=labels_checked,
    )


def _check_root(
    record: LockRecord, entries: Sequence[manifest.Entry], expected_root: str | None
) -> list[Finding]:
    findings: list[Finding] = []
    if manifest.root(entries) != record.root:
        findings.append(
            Finding(
                kind="manifest_altered",
                subject=manifest.LOCK_PREFIX + manifest.FILE_NAME,
                detail="the manifest and the recorded root do not belong together",
            )
        )
    if expected_root is not None and record.root != expected_root:
        findings.append(
            Finding(
                kind="another_root",
                subject=manifest.LOCK_PREFIX + LOCK_FILE,
                detail="the root is another than the one recorded at the lock",
            )
        )
    return findings


def _check_own_files(path: Path, entries: Sequence[manifest.Entry]) -> list[Finding]:
    findings = []
    for entry in entries:
        if entry.path.startswith(manifest.LOCK_PREFIX):
            name = entry.path.removeprefix(manifest.LOCK_PREFIX)
            findings += _compare(entry, hash_file(path, name))
    for extra in sorted({child.name for child in path.iterdir()} - FILES):
        findings.append(
            Finding(kind="added", subject=manifest.LOCK_PREFIX + extra, detail="was not there at the lock")
        )
    return findings


def _compare(entry: manifest.Entry, digest: FileDigest) -> list[Finding]:
    if digest.problem == "missing":
        return [Finding(kind="missing", subject=entry.path, detail="is missing")]
    if digest.problem == "not_regular":
        return [Finding(kind="not_regular", subject=entry.path, detail="is a link or no regular file")]
    if digest.problem:
        return [Finding(kind="unreadable", subject=entry.path, detail="cannot be read")]
    if digest.size < entry.size:
        detail = f"is {entry.size - digest.size} bytes shorter than locked"
        return [Finding(kind="truncated", subject=entry.path, detail=detail)]
    if digest.size > entry.size:
        detail = f"is {digest.size - entry.size} bytes longer than locked"
        return [Finding(kind="grown", subject=entry.path, detail=detail)]
    if digest.sha256 != entry.sha256:
        return [Finding(kind="altered", subject=entry.path, detail="has other content than locked")]
    return []


def _check_images(
    folder: Path,
    images: Sequence[manifest.Entry],
    path: Path,
    sampling: Sampling | None,
    threads: int | None,
    progress: Progress | None,
) -> tuple[int, int, list[Finding]]:
    """Files and bytes whose content was checked, and what was found."""
    expected = {entry.path.removeprefix(manifest.SOURCE_PREFIX): entry for entry in images}
    if not folder.is_dir():
        # A share that is not mounted is one fact, not a missing file for each image.
        detail = f"the folder {folder} is not there, so none of its {len(images)} files; mount or restore it"
        return 0, 0, [Finding(kind="missing", subject=manifest.SOURCE_PREFIX.rstrip("/"), detail=detail)]
    present = _walk(folder)
    chosen = set(expected) if sampling is None else _sample(sorted(expected), sampling)
    # A file that is not as long as locked is looked at in any case: it says how it differs.
    chosen |= {name for name, entry in expected.items() if present.get(name) != entry.size}
    added = sorted(present.keys() - expected.keys() - _left_out(path))
    order = sorted(chosen)
    digests: dict[str, FileDigest] = {}
    for done, digest in enumerate(hash_files(folder, [*order, *added], threads=threads), start=1):
        digests[digest.path] = digest
        if progress is not None:
            progress(done, len(order) + len(added))
    wrong = {name: _compare(expected[name], digests[name]) for name in order}
    findings = _explain({name: found for name, found in wrong.items() if found}, expected, digests, added)
    return len(order), sum(digests[name].size for name in order), findings


def _explain(
    wrong: Mapping[str, list[Finding]],
    expected: Mapping[str, manifest.Entry],
    digests: Mapping[str, FileDigest],
    added: Sequence[str],
) -> list[Finding]:
    """Turn single differences into what happened: renamed, swapped, or just different."""
    findings: list[Finding] = []
    told: set[str] = set()
    new = set(added)
    by_content: dict[str, list[str]] = defaultdict(list)
    for name in [*wrong, *added]:
        by_content[digests[name].sha256].append(name)
    for name, found in wrong.items():
        if name in told:
            continue
        holders = [other for other in by_content.get(expected[name].sha256, []) if other not in told]
        moved = [other for other in holders if other in new]
        swapped = [
            other for other in holders if other in wrong and digests[name].sha256 == expected[other].sha256
        ]
        subject = expected[name].path
        if found[0].kind == "missing" and moved:
            told |= {name, moved[0]}
            detail = f"is now called {moved[0]}"
            findings.append(Finding(kind="renamed", subject=subject, detail=detail))
        elif swapped and digests[name].sha256:
            told |= {name, swapped[0]}
            detail = f"has changed places with {expected[swapped[0]].path}"
            findings.append(Finding(kind="swapped", subject=subject, detail=detail))
        else:
            findings += found
    for name in added:
        if name not in told:
            detail = "was not there at the lock"
            findings.append(Finding(kind="added", subject=manifest.SOURCE_PREFIX + name, detail=detail))
    return findings


def _walk(folder: Path) -> dict[str, int]:
    """Every file below ``folder`` with its size; -1 for what is not a regular file."""
    found: dict[str, int] = {}
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as children:
                for child in children:
                    name = prefix + child.name
                    if child.is_dir(follow_symlinks=False):
                        pending.append(name + "/")
                        continue
                    status = child.stat(follow_symlinks=False)
                    found[name] = status.st_size if stat.S_ISREG(status.st_mode) else -1
        except OSError:
            # What was locked in there shows as missing or unreadable.
            continue
    return found


def _left_out(path: Path) -> set[str]:
    """Files that were in the folder at the lock, but not of the hold-out."""
    try:
        lines = (path / "flow.jsonl").read_bytes().splitlines()
        return {str(json.loads(line)["path"]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _sample(names: Sequence[str], sampling: Sampling) -> set[str]:
    wanted = min(len(names), max(sampling.minimum, math.ceil(sampling.fraction * len(names))))
    chooser = random.SystemRandom() if sampling.seed is None else random.Random(sampling.seed)  # noqa: S311
    return set(chooser.sample(names, wanted))


def _check_reference(
    path: Path,
    entries: Sequence[manifest.Entry],
    root: str,
    sealed_sha256: str,
    reference_key: bytes | None,
) -> list[Finding]:
    subject = manifest.LOCK_PREFIX + SEALED_FILE
    try:
        sealed = (path / SEALED_FILE).read_bytes()
    except OSError:
        return [Finding(kind="missing", subject=subject, detail="is missing")]
    findings: list[Finding] = []
    if hashlib.sha256(sealed).hexdigest() != sealed_sha256:
        findings.append(Finding(kind="altered", subject=subject, detail="has other content than locked"))
    if reference_key is None:
        return findings
    try:
        statement = read_statement((path / "statement.json").read_bytes(), path)
        binding = sealing.Binding(name=str(statement["name"]), version=str(statement["version"]), root=root)
        opened = sealing.unseal(sealed, reference_key, binding)
        committed = (path / "commitments.jsonl").read_bytes()
        broken = sealing.broken_commitments(committed, opened.truths, reference_key)
        known = sealing.read_commitments(committed)
    except (SealError, VerificationError) as exc:
        return [*findings, Finding(kind="seal_broken", subject=subject, detail=str(exc))]
    except (OSError, ValueError, KeyError):
        detail = "cannot be opened without a sound statement and commitments"
        return [*findings, Finding(kind="seal_broken", subject=subject, detail=detail)]
    for case_id in sorted({*broken, *opened.broken}):
        if case_id not in known:
            findings.append(
                Finding(kind="label_added", subject=case_id, detail="has a truth that was not locked")
            )
        elif case_id not in opened.truths and case_id not in opened.broken:
            findings.append(Finding(kind="label_missing", subject=case_id, detail="its truth is missing"))
        else:
            detail = "its truth is not the one that was locked"
            findings.append(Finding(kind="label_changed", subject=case_id, detail=detail))
    return findings
