"""Submissions of a workspace: a vendor's image archive, admitted once, known by its digest ever after."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runners import admission
from runners.engine import Engine
from sandbox.errors import UsageError, WorkspaceError
from sandbox.policy import Policy
from sandbox.workspace import Workspace, checked_name, entry, open_ledger, utc_now, write_json

FORMAT = "proctor-submission/1"
ARCHIVE = "image.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One admitted image.

    ``facts`` is what admission read from the archive (architecture, user, layers, sizes, warnings), as JSON.
    """

    vendor: str
    digest: str
    contract: str
    admitted: str
    archive: Path
    archive_sha256: str
    size: int
    facts: dict[str, Any]

    @property
    def user(self) -> str:
        """The image's user as numeric ``uid:gid``, as admission found it."""
        return str(self.facts["run_user"])


def admit(
    workspace: Workspace,
    policy: Policy,
    archive: Path,
    *,
    vendor: str,
    progress: Callable[[int, int | None], None] | None = None,
) -> Submission:
    """Read an image archive without running it, and keep it when every check holds.

    The archive is copied first and the copy is checked, so that what was checked is what will run.

    Raises:
        AdmissionRefused: a check does not hold; the message is a sentence for the vendor.
        UsageError: there is no such file.
    """
    checked_name(vendor)
    if not archive.is_file():
        raise UsageError(
            f"{archive} is not a file. Give the archive that `docker save -o IMAGE.tar IMAGE` writes."
        )
    waiting = workspace.home / "submissions" / f".{secrets.token_hex(8)}.partial"
    waiting.mkdir()
    try:
        archive_sha256, size = _copy_hashed(archive, waiting / ARCHIVE, progress)
        admitted = admission.read_archive(waiting / ARCHIVE, policy.admission_rules())
        folder = workspace.submission(admitted.digest)
        record = {
            "format": FORMAT,
            "vendor": vendor,
            "digest": admitted.digest,
            "contract": "worker",
            "admitted": utc_now(),
            "archive_sha256": archive_sha256,
            "size": size,
            "facts": _plain(asdict(admitted)),
        }
        if folder.exists():
            known = _read(folder)
            if known.vendor != vendor:
                raise WorkspaceError(
                    f"This image was admitted before under the vendor {known.vendor!r}. "
                    "One image has one vendor: use that name."
                )
            return known
        write_json(waiting / "record.json", record)
        with open_ledger(workspace) as ledger:
            ledger.append(
                entry(
                    "submission-admitted",
                    subject={"submission": admitted.digest, "vendor": vendor},
                    detail={"archive_sha256": archive_sha256, "size": size, "contract": "worker"},
                )
            )
        waiting.rename(folder)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    return _read(folder)


def load(engine: Engine, submission: Submission, policy: Policy) -> None:
    """See that the engine holds the admitted image, loading its archive if need be.

    Raises:
        ImageRefused: the archive is not the one that was admitted.
    """
    admission.load(engine, submission.archive, submission.digest, policy.admission_rules())


def submissions(workspace: Workspace) -> list[Submission]:
    """All admitted submissions, oldest first."""
    folders = (path for path in (workspace.home / "submissions").iterdir() if not path.name.startswith("."))
    return sorted((_read(folder) for folder in folders), key=lambda item: (item.admitted, item.digest))


def find(workspace: Workspace, name: str) -> Submission:
    """The submission with digest (or its beginning) ``name``, or the latest one of the vendor ``name``.

    Raises:
        WorkspaceError: none or several match.
    """
    known = submissions(workspace)
    wanted = name.removeprefix("sha256:")
    by_digest = [
        item for item in known if len(wanted) >= 8 and item.digest.removeprefix("sha256:").startswith(wanted)
    ]
    if len(by_digest) == 1:
        return by_digest[0]
    by_vendor = [item for item in known if item.vendor == name]
    if by_vendor:
        return by_vendor[-1]
    names = ", ".join(sorted({item.vendor for item in known})) or "none"
    raise WorkspaceError(f"No submission {name!r} is admitted here. Known vendors: {names}.")


def _read(folder: Path) -> Submission:
    path = folder / "record.json"
    try:
        record = json.loads(path.read_bytes())
        return Submission(
            vendor=record["vendor"],
            digest=record["digest"],
            contract=record["contract"],
            admitted=record["admitted"],
            archive=folder / ARCHIVE,
            archive_sha256=record["archive_sha256"],
            size=record["size"],
            facts=record["facts"],
        )
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(f"{path} is damaged. Admit the image again into a fresh folder.") from error


def _copy_hashed(
    source: Path, destination: Path, progress: Callable[[int, int | None], None] | None
) -> tuple[str, int]:
    digest, done, total = hashlib.sha256(), 0, source.stat().st_size
    with source.open("rb") as reading, destination.open("xb") as writing:
        while block := reading.read(1 << 20):
            digest.update(block)
            writing.write(block)
            done += len(block)
            if progress:
                progress(done, total)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest(), done


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
