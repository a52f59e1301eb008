"""The dossier: one file that lets a regulator check an evaluation without trusting who hands it over.

Content, all below the archive's root::

    README.txt                        how to check, with Proctor or by hand
    ro-crate-metadata.json            what the files are (RO-Crate 1.1)
    manifest-sha256.txt               SHA-256 of every other file, for ``sha256sum -c``
    statement.dsse.json               signed in-toto statement over all files but the manifest and itself
    protocol.yaml, protocol.json      as written, and in the canonical form whose digest was registered
    policy.json                       canonical form of the policy in force (may be absent)
    results.json, report.html, posture.json, holdout.json
    stress.json                       where the protocol asks for stress tests
    ledger/checkpoint, ledger/verifier.txt
    ledger/entries/<index>.json, ledger/proofs/<index>.tlog-proof

The same parts give the same bytes: times come from the ledger's entries, the archive has one spelling, and
Ed25519 signatures are deterministic. No case, image, label or UID is in it; a scan for UIDs refuses one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import DossierError
from sandbox.evidence import rocrate
from sandbox.evidence.archive import write_archive
from sandbox.evidence.checkpoint import open_checkpoint
from sandbox.evidence.durable import write_durable
from sandbox.evidence.entry import LedgerEntry, decode_entry
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.statement import (
    PREDICATE_TYPE,
    RESULT_OF_VERDICT,
    STATEMENT_TYPE,
    bare,
    descriptor,
    sign_statement,
)
from sandbox.evidence.strictjson import parse_canonical, parse_object
from sandbox.evidence.verification import verify_bytes
from sandbox.outcome.results import Results, from_json

MANIFEST = "manifest-sha256.txt"
STATEMENT = "statement.dsse.json"
# DICOM instance UIDs have many components; the standard's own UIDs (root 1.2.840.10008) name no instance.
_UID = re.compile(rb"(?<![\d.])[0-2](?:\.\d+){5,}(?![\d.])")
_STANDARD_ROOT = b"1.2.840.10008."
_SHORTEST_UID = 20  # version numbers have as many components, but are shorter
# Members that only a table with a row for each case, patient or file has.
_ROW = re.compile(
    rb'"(?:case_id|patient_key|patient_id|accession_number|[a-z_]+_instance_uid|study_date)"\s*:'
)

README = """\
Dossier of the evaluation of a medical-imaging algorithm on a locked hold-out
==============================================================================

Check it with Proctor, offline, giving the institution's verifier key as you got it from the institution
itself (not from this file):

    proctor verify DOSSIER.zip --key 'NAME+ID+KEY'

Check it by hand:

    sha256sum -c manifest-sha256.txt      every file is the one that was packed
    ledger/checkpoint                     head of the institution's ledger, a signed note
                                          (c2sp.org/tlog-checkpoint)
    ledger/proofs/*.tlog-proof            proof that the entry of the same number is in it
                                          (c2sp.org/tlog-proof)
    statement.dsse.json                   in-toto statement in a DSSE envelope, signed with
                                          the same Ed25519 key

What it shows: the protocol was in the ledger before the run, the image, hold-out and results are the ones
that were logged, the numbers in results.json follow from their own counts, and which releases of this result
were asked for, approved and issued until the dossier was made. What it cannot show: that the
institution keeps no second ledger. Keep ledger/checkpoint, and ask at the next visit for proof that the
ledger only grew since.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenEntry:
    """A ledger entry's canonical bytes, its index, and its proof (tlog-proof)."""

    index: int
    entry: bytes
    proof: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierParts:
    """Everything a dossier is made of.

    Attributes:
        protocol_yaml: the protocol's file, as registered.
        protocol: canonical JSON of the protocol's document.
        results, report: ``results.json`` and ``report.html`` as their digests stand in the ledger.
        posture: JSON object whose ``controls`` were measured; the digest of their canonical JSON is in the
            ledger (``posture`` of evaluation-started or evaluation-finished).
        holdout: JSON object with ``name``, ``version``, ``root``, ``cases``, ``patients``, ``instances`` and
            whatever summary may leave; no case.
        policy: canonical JSON of the policy's document, or None.
        entries: the ledger entries that the evaluation rests on (:func:`prove_entries`).
        checkpoint: the signed head that the proofs lead to.
        key: the ledger's key, which signs the statement too.
        tool: Proctor's version.
        stress: ``stress.json`` as its digest stands in the ledger, or None.
    """

    protocol_yaml: bytes
    protocol: bytes
    results: bytes
    report: bytes
    posture: bytes
    holdout: bytes
    policy: bytes | None
    entries: tuple[ProvenEntry, ...]
    checkpoint: bytes
    key: SigningKey
    tool: str
    stress: bytes | None = None


def prove_entries(
    ledger: Ledger, entries: Sequence[LedgerEntry], *, size: int | None = None
) -> tuple[tuple[ProvenEntry, ...], bytes]:
    """Proofs of ``entries`` under one head, and that head.

    Args:
        ledger: opened with its signing key unless ``size`` is None.
        entries: as read from the ledger.
        size: the head to prove against; default: the smallest that holds them all, so that a dossier made
            again after the ledger grew has the same bytes.
    """
    chosen = {entry.index: entry for entry in entries}
    size = max(chosen) + 1 if size is None else size
    proven = tuple(
        ProvenEntry(index=index, entry=entry.raw, proof=ledger.prove(index, size=size))
        for index, entry in sorted(chosen.items())
    )
    return proven, ledger.checkpoint_at(size)


def build_dossier(parts: DossierParts, destination: Path) -> str:
    """Write the dossier to ``destination`` (whole or not at all) and return its digest (``sha256:...``).

    The bytes are verified before they are written, as a regulator would.

    Raises:
        DossierError: a part is missing, contradicts the ledger, or holds a UID; nothing is written.
    """
    data = dossier_bytes(parts)
    failed = [check for check in verify_bytes(data, trusted_key=parts.key.verifier.text) if not check.held]
    if failed:
        raise DossierError(f"the dossier would not hold ({failed[0].name}): {failed[0].sentence}")
    try:
        write_durable(destination, data)
    except OSError as error:
        raise DossierError(f"{destination} cannot be written: {error.strerror}") from error
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def dossier_bytes(parts: DossierParts) -> bytes:
    """Return the dossier's bytes without checking what they claim.

    Raises:
        DossierError: parts that no dossier can be made of, or a UID in one of them.
    """
    entries = [decode_entry(item.entry, item.index) for item in parts.entries]
    started, finished = (_the(entries, f"evaluation-{state}") for state in ("started", "finished"))
    results = from_json(parts.results)
    holdout = parse_object(parts.holdout, what="holdout.json")
    parse_canonical(parts.protocol, what="protocol.json")
    files = _content(parts)
    for name, data in files.items():
        _refuse_rows(name, data)
    listed = {**{name: len(data) for name, data in files.items()}, STATEMENT: 0, MANIFEST: 0}
    files[rocrate.FILE_NAME] = rocrate.describe(
        listed,
        evaluation=results.evaluation,
        origin=parts.key.name,
        tool=parts.tool,
        holdout=holdout,
        submission=started.subject["submission"],
        vendor=str(started.subject.get("vendor", "unnamed vendor")),
        started=started.time,
        finished=finished.time,
    )
    files[STATEMENT] = sign_statement(_statement(parts, files, results, started), parts.key)
    files[MANIFEST] = manifest_of(files)
    return write_archive(files, max(entry.time for entry in entries))


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """Lines of ``sha256sum`` for ``files``, in order of their names."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    return "".join(lines).encode("ascii")


def _content(parts: DossierParts) -> dict[str, bytes]:
    files = {
        "README.txt": README.encode("ascii"),
        "protocol.yaml": parts.protocol_yaml,
        "protocol.json": parts.protocol,
        "results.json": parts.results,
        "report.html": parts.report,
        "posture.json": parts.posture,
        "holdout.json": parts.holdout,
        "ledger/checkpoint": parts.checkpoint,
        "ledger/verifier.txt": parts.key.verifier.text.encode() + b"\n",
    }
    if parts.policy is not None:
        files["policy.json"] = parts.policy
    if parts.stress is not None:
        files["stress.json"] = parts.stress
    for item in parts.entries:
        files[f"ledger/entries/{item.index:06d}.json"] = item.entry
        files[f"ledger/proofs/{item.index:06d}.tlog-proof"] = item.proof
    return files


def _statement(
    parts: DossierParts, files: Mapping[str, bytes], results: Results, started: LedgerEntry
) -> dict[str, Any]:
    head = open_checkpoint(parts.checkpoint, parts.key.verifier)
    verdict = results.verdict or "none"
    subject = started.subject

    def criteria(wanted: str) -> list[str]:
        return [criterion.name for criterion in results.acceptance if criterion.verdict == wanted]

    configuration = [descriptor("protocol", subject["protocol"])]
    if "policy" in subject:
        configuration.append(descriptor("policy", subject["policy"]))
    root = {"name": f"holdout/{subject['holdout']}", "digest": {"merkleRootSha256": bare(subject["root"])}}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [descriptor(str(subject.get("vendor", "submission")), subject["submission"])],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": RESULT_OF_VERDICT[verdict],
            "configuration": [*configuration, root],
            "passedTests": criteria("met"),
            "warnedTests": criteria("cannot_tell"),
            "failedTests": criteria("not_met"),
            "evaluation": results.evaluation,
            "verdict": verdict,
            "files": [descriptor(n, hashlib.sha256(data).hexdigest()) for n, data in sorted(files.items())],
            "ledger": {"origin": head.origin, "size": head.size, "root": head.root.hex()},
        },
    }


def _the(entries: Sequence[LedgerEntry], kind: str) -> LedgerEntry:
    found = [entry for entry in entries if entry.kind == kind]
    if len(found) != 1:
        raise DossierError(f"a dossier rests on exactly one {kind} entry; {len(found)} were given")
    return found[0]


def _refuse_rows(name: str, data: bytes) -> None:
    if _ROW.search(data):
        raise DossierError(f"{name} holds rows of cases, patients or files; a dossier carries summaries only")
    found = [uid for uid in _UID.findall(data) if len(uid) >= _SHORTEST_UID]
    if any(not uid.startswith(_STANDARD_ROOT) for uid in found):
        raise DossierError(
            f"{name} holds what looks like a DICOM UID of an instance; a dossier never carries one"
        )
