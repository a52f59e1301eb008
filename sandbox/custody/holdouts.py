"""Hold-outs of a workspace: from an ingested draft to a locked version whose root stands in the ledger.

Files of one hold-out, below ``holdouts/<name>/``::

    draft.json        where the DICOM folder and its declarations are
    index.parquet     a row for each file of the folder
    parts.parquet     the part of each patient, when the folder was partitioned
    locked/<version>/ a locked version
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import pyarrow as pa

from holdout import burned_in
from holdout import lock as locking
from holdout.cases import Unit
from holdout.lock import LockedHoldout, open_locked, open_reference
from holdout.locked import read_index as read_locked_index
from holdout.site_table import load_site_table
from holdout.verification import Sampling, Verification
from holdout.verification import verify as verify_locked
from sandbox.custody.drafts import Draft, draft, ingest, partition, truth
from sandbox.custody.lock_notes import write_lock_notes
from sandbox.custody.lock_request import note_request, remove_unfinished, request_digest, was_asked
from sandbox.errors import EvaluationRefusedError, ProtocolError, UsageError
from sandbox.institution.policy import Policy
from sandbox.institution.two_people import enter_act
from sandbox.institution.workspace import Workspace, checked_name, entry, open_ledger, secret_key
from sandbox.plan.applicability import check_against
from sandbox.plan.protocol import Protocol

__all__ = ["Draft", "draft", "ingest", "partition", "truth"]
Progress = Callable[[int, int | None], None]
ProgressBar = Callable[[str], AbstractContextManager[Progress]]
_REASON = re.compile(r"[a-z][a-z0-9_-]{0,47}")
_MOST_SAMPLED = 12
"""Images read for burned-in text at a lock: one for each of the most frequent devices and sizes."""


def lock(
    workspace: Workspace,
    name: str,
    *,
    unit: Unit = "image",
    exclusions: Mapping[str, str] | None = None,
    declared_training: frozenset[str] = frozenset(),
    progress: ProgressBar | None = None,
) -> LockedHoldout:
    """Lock the hold-out part of a draft as the next version, and enter its root into the ledger.

    The same request again gives the version that it made. ``progress`` opens a bar for each stage.

    Raises:
        LockRefusedError: defective files, duplicates or leaks that nothing excludes; each is named.
    """
    bar = progress or _no_bar
    item = draft(workspace, name)
    index = item.index()
    part_of_file = item.part_of_files(index)
    site = load_site_table(item.site, index) if item.site else None
    with bar("reading the reference standard") as counted:
        reference = truth(item, unit, progress=counted)
    request = request_digest(
        (item.folder / "index.parquet").read_bytes(),
        reference,
        parts=part_of_file,
        site=site,
        exclusions=exclusions or {},
        declared=declared_training,
    )
    known = versions(workspace, name)
    if known and was_asked(item.folder, known[-1], request):
        return open_holdout(workspace, name, known[-1])
    version = str(len(known) + 1)
    destination = item.folder / "locked" / version
    if destination.exists() and was_asked(item.folder, version, request):
        # A process was killed between the lock and its ledger entry: the entry is what is still missing.
        locked = open_locked(destination)
    else:
        if destination.exists():
            remove_unfinished(destination)
        note_request(item.folder, version, request)
        with bar("comparing and hashing") as counted:
            locked = locking.lock(
                item.source,
                index,
                reference,
                destination,
                name=name,
                version=version,
                dataset_key=secret_key(workspace, f"holdout:{name}:pseudonyms", make=True),
                reference_key=secret_key(workspace, f"holdout:{name}:reference", make=True),
                parts=part_of_file,
                site=site,
                exclusions=exclusions,
                declared=declared_training,
                progress=counted,
            )
    with bar("looking for burned-in text") as counted:
        warnings = burned_in.warn(
            read_locked_index(locked), item.source, most_sampled=_MOST_SAMPLED, progress=counted
        )
    write_lock_notes(workspace, locked, reference, warnings, declared=bool(declared_training))
    with open_ledger(workspace) as ledger:
        ledger.append(
            entry(
                "holdout-locked",
                subject={"holdout": name, "version": version, "root": locked.root},
                detail={
                    "cases": locked.cases.num_rows,
                    "patients": locked.patients,
                    "instances": locked.instances,
                    "bytes": locked.bytes,
                    "synthetic": is_synthetic(locked),
                },
            )
        )
    return locked


def _no_bar(_: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)


def versions(workspace: Workspace, name: str) -> list[str]:
    """Versions of a hold-out that the ledger knows, oldest first."""
    with open_ledger(workspace) as ledger:
        return [
            str(item.subject["version"])
            for item in ledger.find(kind="holdout-locked", holdout=checked_name(name))
        ]


def names(workspace: Workspace) -> list[str]:
    """Names of all hold-outs, drafts included."""
    return sorted(path.name for path in (workspace.home / "holdouts").iterdir() if path.is_dir())


def open_holdout(workspace: Workspace, name: str, version: str | None = None) -> LockedHoldout:
    """Open a locked version (the latest when none is named), checked against the ledger's root.

    Raises:
        UsageError: there is no such locked version.
        EvaluationRefusedError: the folder holds another hold-out than the ledger recorded.
    """
    known = versions(workspace, name)
    chosen = version or (known[-1] if known else None)
    if chosen is None or chosen not in known:
        raise UsageError(not_locked(name, version))
    locked = open_locked(workspace.holdout(name) / "locked" / chosen)
    with open_ledger(workspace) as ledger:
        recorded = ledger.find(kind="holdout-locked", holdout=name, version=chosen)[-1].subject["root"]
    # A hold-out that was replaced as a whole is sound in itself; only the ledger can tell.
    if locked.root != recorded:
        raise EvaluationRefusedError(
            f"The hold-out {name!r} version {chosen} is not the one that was locked: its root differs from the "
            "ledger's. Restore the folder from a backup, or lock the data as a new version."
        )
    return locked


def not_locked(name: str, version: str | None) -> str:
    """Say that there is no such locked version, and what to do."""
    return (
        f"The hold-out {name!r} has no locked version{f' {version}' if version else ''}. "
        f"Lock it with: proctor holdout lock {name}"
    )


def verify(
    workspace: Workspace,
    locked: LockedHoldout,
    policy: Policy | None,
    *,
    moment: str,
    evaluation: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Read a locked hold-out again, and enter the outcome into the ledger.

    Without a policy every file is read; with one its sampling rule decides. ``moment`` is ``before`` or ``after``
    the run of ``evaluation``, or ``request``.

    Raises:
        VerificationError: something is not as it was locked; the findings are named.
    """
    outcome = look_over(workspace, locked, policy, moment=moment, progress=progress)
    settle_verification(workspace, locked, outcome, moment=moment, evaluation=evaluation)
    return outcome


def look_over(
    workspace: Workspace,
    locked: LockedHoldout,
    policy: Policy | None,
    *,
    moment: str,
    progress: Progress | None = None,
) -> Verification:
    """Read a locked hold-out again, without entering the outcome; :func:`settle_verification` must follow."""
    sampling = None
    if policy is not None and moment in ("before", "after"):
        files = policy.sampling(locked.bytes, "before" if moment == "before" else "after")
        if files is not None:
            sampling = Sampling(fraction=0.0, minimum=files)
    return verify_locked(
        locked, reference_key=reference_key(workspace, locked), sampling=sampling, progress=progress
    )


def settle_verification(
    workspace: Workspace, locked: LockedHoldout, outcome: Verification, *, moment: str, evaluation: str | None
) -> None:
    """Enter the outcome of :func:`look_over` into the ledger.

    Raises:
        VerificationError: something is not as it was locked; the findings are named.
    """
    subject = {"holdout": locked.name, "version": locked.version, "root": locked.root}
    enter_verification(
        workspace,
        outcome,
        subject=subject | ({"evaluation": evaluation} if evaluation else {}),
        moment=moment,
    )
    outcome.check()


def enter_verification(
    workspace: Workspace, outcome: Verification, *, subject: Mapping[str, str], moment: str
) -> None:
    """Enter what a verification came to, sound or not."""
    detail = {
        "held": outcome.sound,
        "checked": outcome.checked_files,
        "files": outcome.files,
        "findings": len(outcome.findings),
        "moment": moment,
    }
    with open_ledger(workspace) as ledger:
        ledger.append(entry("holdout-verified", subject=subject, detail=detail))


def note_search(workspace: Workspace, name: str) -> None:
    """Enter a look into the index of a locked hold-out: whoever sees its rows knows its cases."""
    known = versions(workspace, name)
    if known:
        locked = open_holdout(workspace, name, known[-1])
        with open_ledger(workspace) as ledger:
            ledger.append(
                entry(
                    "holdout-accessed",
                    subject={"holdout": name, "version": locked.version, "root": locked.root},
                    detail={"purpose": "search"},
                )
            )


def reference_key(workspace: Workspace, locked: LockedHoldout) -> bytes:
    """The key that opens the sealed reference standard."""
    return secret_key(workspace, f"holdout:{locked.name}:reference")


def is_synthetic(locked: LockedHoldout) -> bool:
    """Whether the data call themselves synthetic; then every page that names them says so."""
    column = locked.cases["manufacturer"] if "manufacturer" in locked.cases.column_names else None
    return column is not None and any(
        str(value).lower().startswith("synthetic") for value in column.unique().to_pylist()
    )


def look_at_reference(workspace: Workspace, locked: LockedHoldout, purpose: str) -> pa.Table:
    """Open the reference standard; the entry with the purpose stands before: even counts of it are a look."""
    with open_ledger(workspace) as ledger:
        ledger.append(
            entry(
                "reference-opened",
                subject={"holdout": locked.name, "version": locked.version, "root": locked.root},
                detail={"cases": locked.cases.num_rows, "purpose": purpose},
            )
        )
    return open_reference(locked, reference_key(workspace, locked))


def check_protocol(locked: LockedHoldout, protocol: Protocol, reference: pa.Table) -> None:
    """See that a protocol fits a hold-out: unit, target, attributes, and both classes where it claims something.

    ``reference`` is the opened reference standard.

    Raises:
        ProtocolError: it names what the hold-out does not have.
    """
    if protocol.task.unit != locked.unit:
        raise ProtocolError(
            f"The protocol's unit is the {protocol.task.unit}, but {locked.name} was locked by {locked.unit}. "
            f"Change task.unit, or lock the hold-out with --unit {protocol.task.unit}."
        )
    check_against(protocol, locked.cases, reference)


def retire(workspace: Workspace, name: str, reason: str) -> LockedHoldout:
    """End the use of the newest locked version of a hold-out; a custodian's act, entered into the ledger once.

    Args:
        reason: a short code such as ``worn`` or ``replaced``.

    Raises:
        UsageError: there is no such locked version, ``reason`` is no short code, or it was retired for another.
        ActorError: who acts is no custodian, or the policy wants a second person.
    """
    if not _REASON.fullmatch(reason):
        raise UsageError(
            "A reason is a short lower-case code such as worn, replaced or consent-withdrawn: it stays in the ledger."
        )
    locked = open_holdout(workspace, name)
    with open_ledger(workspace) as ledger:
        known = ledger.find(kind="holdout-retired", holdout=locked.name, version=locked.version)
        if known and known[-1].subject["reason"] != reason:
            raise UsageError(
                f"{locked.name} version {locked.version} was retired already, with the reason "
                f"{known[-1].subject['reason']}."
            )
        if not known:
            subject = {
                "holdout": locked.name,
                "version": locked.version,
                "root": locked.root,
                "reason": reason,
            }
            enter_act(workspace, ledger, "holdout-retired", subject)
    return locked
