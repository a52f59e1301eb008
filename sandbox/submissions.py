"""Submissions of a workspace: a vendor's image archive, admitted once, known by its digest ever after."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runners import admission
from runners.attachments import ADDITIONAL, PARAMETERS, check_attachments, keep_additional, keep_parameters
from runners.contracts.answer_location import AnswerLocation, parse_location
from runners.contracts.declaration import FILE_BYTES, read_document
from runners.contracts.interface import ImageDeclaration
from runners.contracts.registry import Declared, declare
from runners.engine import Engine
from runners.signature import SignatureFiles
from sandbox.canonical import digest
from sandbox.errors import UsageError, WorkspaceError
from sandbox.institution.policy import Policy
from sandbox.institution.workspace import Workspace, checked_name, entry, open_ledger, utc_now, write_json
from sandbox.waiting_folder import waiting_folder

FORMAT = "proctor-submission/1"
ARCHIVE = "image.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One admitted image.

    ``facts`` is what admission read from the archive (architecture, user, layers, sizes, packages, warnings), as
    JSON; ``settings`` and ``answer`` are the contract's own (:mod:`runners.contracts.registry`); ``attached`` are
    digests of what was handed in beside the image, by name.
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
    attached: dict[str, str] = field(default_factory=dict)

    @property
    def attachments(self) -> dict[str, Path]:
        """Where the attachments are kept, by name."""
        return {name: self.archive.with_name(name) for name in self.attached}

    @property
    def answer_location(self) -> AnswerLocation | None:
        """Where the contract's output holds the answer; None for contracts without such a rule."""
        return None if self.answer is None else parse_location(self.answer)

    @property
    def loaded(self) -> str:
        """Digest of what the engine runs: the image's own, or that of the image stripped of files that give rights."""
        return str(self.facts.get("loaded", self.digest))

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
        signature, signature_payload: files of :mod:`runners.signature`.
        parameters_file, additional_files: files of :mod:`runners.attachments`.
    """

    contract: str | None = None
    contract_file: Path | None = None
    answer: str | None = None
    signature: Path | None = None
    signature_payload: Path | None = None
    parameters_file: Path | None = None
    additional_files: Path | None = None

    @property
    def attached(self) -> frozenset[str]:
        """Names of the attachments that are given."""
        given = {PARAMETERS: self.parameters_file, ADDITIONAL: self.additional_files}
        return frozenset(name for name, path in given.items() if path is not None)


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
    with waiting_folder(workspace.home / "submissions") as waiting:
        archive_sha256, size = _copy_hashed(archive, waiting / ARCHIVE, progress)
        admitted, declared = examine(waiting / ARCHIVE, policy, wanted)
        attached = keep_attachments(waiting, policy, wanted)
        folder = workspace.submission(admitted.digest)
        record = {
            "format": FORMAT,
            "vendor": vendor,
            "digest": admitted.digest,
            "contract": declared.contract,
            "settings": declared.settings,
            "answer": declared.answer,
            "attached": attached,
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
            if (known.contract, known.settings, known.answer, known.attached) != (
                declared.contract,
                declared.settings,
                declared.answer,
                attached,
            ):
                raise WorkspaceError(
                    "This image was admitted before under another contract, contract file, attachment or place of "
                    "the answer. One image has one contract: give the same, or build the image again."
                )
            return known
        write_json(waiting / "record.json", record)
        subject = {"submission": admitted.digest, "vendor": vendor}
        detail = {
            "archive_sha256": archive_sha256,
            "size": size,
            "loaded": admitted.loaded,
            "contract": declared.contract,
            # How it is asked, and with what beside it, is as much the submission as its image.
            "settings": digest([declared.settings, declared.answer, attached]),
        }
        with open_ledger(workspace) as ledger:
            # A process that was killed before the last step has made the entry already.
            known_entries = ledger.find(kind="submission-admitted", **subject)
            if not any(dict(item.detail) == detail for item in known_entries):
                ledger.append(entry("submission-admitted", subject=subject, detail=detail))
        waiting.rename(folder)
    return _read(folder)


def examine(archive: Path, policy: Policy, wanted: Wanted) -> tuple[admission.AdmittedImage, Declared]:
    """Check an archive and settle its contract, without keeping or running anything.

    Raises:
        AdmissionRefused, ContractRefused: a check does not hold.
        UsageError: a file named beside the archive is not there.
    """
    signed = SignatureFiles(signature=_given(wanted.signature), payload=_given(wanted.signature_payload))
    content = _given(wanted.contract_file)
    document = None if content is None else read_document(content)
    admitted = admission.read_archive(archive, policy.admission_rules(), signed=signed)
    declared = declare(
        ImageDeclaration(labels=admitted.labels, manifests=admitted.manifests),
        contract=wanted.contract,
        document=document,
        answer=wanted.answer,
        attached=wanted.attached,
    )
    return admitted, declared


def keep_attachments(folder: Path, policy: Policy, wanted: Wanted) -> dict[str, str]:
    """Copy and unpack what was handed in beside the image into ``folder``; returns digests by name.

    Raises:
        AdmissionRefused, RunnerError: one cannot be read, or is not what it must be.
    """
    attached = {}
    if wanted.parameters_file is not None:
        attached[PARAMETERS] = keep_parameters(wanted.parameters_file, folder / PARAMETERS)
    if wanted.additional_files is not None:
        attached[ADDITIONAL] = keep_additional(
            wanted.additional_files, folder / ADDITIONAL, policy.admission_rules()
        )
    return attached


def load(engine: Engine, submission: Submission, policy: Policy) -> None:
    """See that the engine holds the admitted image, loading its archive if need be.

    Raises:
        ImageRefused: the archive is not the one that was admitted.
        RunnerError: an attachment is not.
    """
    check_attachments(submission.attachments, submission.attached)
    admission.load(
        engine,
        submission.archive,
        submission.loaded,
        policy.admission_rules(),
        strip=submission.loaded != submission.digest,
    )


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
            attached=record.get("attached", {}),
        )
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(f"{path} is damaged. Admit the image again into a fresh folder.") from error


def _given(path: Path | None) -> bytes | None:
    if path is None:
        return None
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
