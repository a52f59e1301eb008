"""Submissions of a workspace: a vendor's image archive, admitted once, known by its digest ever after."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runners import admission
from runners.contracts.answer_location import AnswerLocation, parse_location
from runners.contracts.declaration import FILE_BYTES, read_document
from runners.contracts.interface import ImageDeclaration
from runners.contracts.registry import Declared, declare
from runners.contracts.sockets import IMAGE
from runners.engine import Engine
from runners.errors import ContractRefused
from sandbox.errors import UsageError, WorkspaceError
from sandbox.policy import Policy
from sandbox.workspace import Workspace, checked_name, entry, open_ledger, utc_now, write_json

FORMAT = "proctor-submission/1"
ARCHIVE = "image.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One admitted image.

    ``facts`` is what admission read from the archive (architecture, user, layers, sizes, packages, warnings), as
    JSON; ``settings`` and ``answer`` are the contract's own (:mod:`runners.contracts.registry`).
    """

    vendor: str
    digest: str
    contract: str
    admitted: str
    archive: Path
    archive_sha256: str
    size: int
    facts: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    answer: str | None = None

    @property
    def answer_location(self) -> AnswerLocation | None:
        """Where the contract's output holds the answer; None for contracts without such a rule."""
        return None if self.answer is None else parse_location(self.answer)

    @property
    def user(self) -> str:
        """The image's user as numeric ``uid:gid``, as admission found it."""
        return str(self.facts["run_user"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a vendor says beside the image.

    Attributes:
        contract: None: what the image declares.
        contract_file: inputs, mount paths and the like, as the contract asks for.
        answer: ``FILE#/json/pointer``, where the contract does not say it.
        signature: file with the signature over the image's digest.
    """

    contract: str | None = None
    contract_file: Path | None = None
    answer: str | None = None
    signature: Path | None = None


def admit(
    workspace: Workspace,
    policy: Policy,
    archive: Path,
    *,
    vendor: str,
    wanted: Wanted | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Submission:
    """Read an image archive without running it, and keep it when every check holds.

    The archive is copied first and the copy is checked, so that what was checked is what will run.

    Raises:
        AdmissionRefused: a check does not hold; the message is a sentence for the vendor.
        ContractRefused: the contract is not known, or not declared in full.
        UsageError: there is no such file.
    """
    checked_name(vendor)
    wanted = wanted or Wanted()
    if not archive.is_file():
        raise UsageError(
            f"{archive} is not a file. Give the archive that `docker save -o IMAGE.tar IMAGE` writes."
        )
    waiting = workspace.home / "submissions" / f".{secrets.token_hex(8)}.partial"
    waiting.mkdir()
    try:
        archive_sha256, size = _copy_hashed(archive, waiting / ARCHIVE, progress)
        admitted, declared = examine(waiting / ARCHIVE, policy, wanted)
        folder = workspace.submission(admitted.digest)
        record = {
            "format": FORMAT,
            "vendor": vendor,
            "digest": admitted.digest,
            "contract": declared.contract,
            "settings": declared.settings,
            "answer": declared.answer,
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
            if (known.contract, known.settings, known.answer) != (
                declared.contract,
                declared.settings,
                declared.answer,
            ):
                raise WorkspaceError(
                    "This image was admitted before under another contract, contract file or place of the answer. "
                    "One image has one contract: give the same, or build the image again."
                )
            return known
        write_json(waiting / "record.json", record)
        with open_ledger(workspace) as ledger:
            ledger.append(
                entry(
                    "submission-admitted",
                    subject={"submission": admitted.digest, "vendor": vendor},
                    detail={"archive_sha256": archive_sha256, "size": size, "contract": declared.contract},
                )
            )
        waiting.rename(folder)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    return _read(folder)


def examine(archive: Path, policy: Policy, wanted: Wanted) -> tuple[admission.AdmittedImage, Declared]:
    """Check an archive and settle its contract, without keeping or running anything.

    Raises:
        AdmissionRefused, ContractRefused: a check does not hold.
        UsageError: a file named beside the archive is not there.
    """
    signature = None if wanted.signature is None else _small_file(wanted.signature)
    document = None if wanted.contract_file is None else read_document(_small_file(wanted.contract_file))
    admitted = admission.read_archive(archive, policy.admission_rules(), signature=signature)
    declared = declare(
        ImageDeclaration(labels=admitted.labels, manifests=admitted.manifests),
        contract=wanted.contract,
        document=document,
        answer=wanted.answer,
    )
    if any(item.get("kind") == IMAGE for item in declared.settings.get("inputs", ())):
        raise ContractRefused(
            "An input of kind 'Image' asks for a decoded image, which evaluations do not make yet. Declare the input "
            "as a 'DICOM Image Set' when the algorithm reads DICOM."
        )
    return admitted, declared


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
        UsageError: none or several match.
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
    raise UsageError(f"No submission {name!r} is admitted here. Known vendors: {names}.")


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
            settings=record.get("settings", {}),
            answer=record.get("answer"),
        )
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(f"{path} is damaged. Admit the image again into a fresh folder.") from error


def _small_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error


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
