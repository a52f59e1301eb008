"""Checking a dossier offline: on any machine with Python and ``cryptography``, without workspace or engine.

Each check says in a sentence what was found. The bytes are read once; what a check hands on is what it
verified. Nothing in a dossier is trusted before the institution's key vouches for it, and without a key from
elsewhere the result says loudly that the dossier vouches for itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdout.merkle import ProofError
from sandbox.canonical import digest
from sandbox.errors import DossierError, ProctorError
from sandbox.evidence.archive import MAX_ARCHIVE, read_archive
from sandbox.evidence.arithmetic import contradictions, count_checked
from sandbox.evidence.checkpoint import Checkpoint, open_checkpoint
from sandbox.evidence.entry import LedgerEntry, decode_entry
from sandbox.evidence.keys import VerifierKey, parse_verifier
from sandbox.evidence.proof import verify_proof
from sandbox.evidence.statement import RESULT_OF_VERDICT, bare, open_statement
from sandbox.evidence.strictjson import parse_canonical, parse_object
from sandbox.identity import Identity
from sandbox.results import Results, from_json

REQUIRED = (
    "README.txt",
    "holdout.json",
    "ledger/checkpoint",
    "ledger/verifier.txt",
    "manifest-sha256.txt",
    "posture.json",
    "protocol.json",
    "protocol.yaml",
    "report.html",
    "results.json",
    "ro-crate-metadata.json",
    "statement.dsse.json",
)
OPTIONAL = ("policy.json",)
_ENTRY = re.compile(r"ledger/entries/([0-9]{6,12})\.json", re.ASCII)
_SENTENCE = 400
_UNSIGNED = {"statement.dsse.json", "manifest-sha256.txt"}
# The story every dossier tells, in the order in which the ledger must hold it.
STORY = (
    ("holdout-locked", "evaluation-started"),
    ("submission-admitted", "evaluation-started"),
    ("protocol-registered", "evaluation-started"),
    ("evaluation-started", "evaluation-finished"),
    ("evaluation-finished", "report-made"),
)
KINDS_NEEDED = tuple(dict.fromkeys(kind for pair in STORY for kind in pair))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its name, whether it held, and what was found; ``warning``: held, but mind the sentence."""

    name: str
    held: bool
    sentence: str
    warning: bool = False


@dataclass(slots=True, kw_only=True)
class _Evidence:
    """What the checks so far have established."""

    files: dict[str, bytes]
    verifier: VerifierKey
    head: Checkpoint | None = None
    entries: dict[int, LedgerEntry] = field(default_factory=dict)
    statement: dict[str, Any] = field(default_factory=dict)
    results: Results | None = None

    def the(self, kind: str) -> LedgerEntry:
        found = [entry for entry in self.entries.values() if entry.kind == kind]
        if len(found) != 1:
            raise DossierError(f"the dossier proves {len(found)} {kind} entries; exactly one is needed")
        return found[0]


def verify_dossier(path: Path, trusted_key: str | None) -> list[Check]:
    """Check the dossier at ``path``; never raises for a bad one.

    Args:
        path: the zip file; read once, size-capped.
        trusted_key: the institution's verifier key (``name+id+base64``) as known from elsewhere, or None.

    Returns:
        The checks in order; the dossier holds when all of them held.
    """
    try:
        data = _read(path)
    except (OSError, DossierError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return [Check(name="file", held=False, sentence=f"{path} cannot be read: {reason}.")]
    return verify_bytes(data, trusted_key=trusted_key)


def verify_bytes(data: bytes, trusted_key: str | None) -> list[Check]:
    """Check a dossier's bytes; see :func:`verify_dossier`."""
    checks: list[Check] = []
    try:
        files, _ = read_archive(data)
        _check_names(files)
    except ProctorError as error:
        return [Check(name="file", held=False, sentence=_sentence(error))]
    checks.append(Check(name="file", held=True, sentence=f"{len(files)} files, none hidden, doubled or cut."))
    try:
        verifier, key_check = _key(files, trusted_key)
    except ProctorError as error:
        return [*checks, Check(name="key", held=False, sentence=_sentence(error))]
    checks.append(key_check)
    if not key_check.held:
        return checks
    evidence = _Evidence(files=files, verifier=verifier)
    for name, check in _CHECKS:
        try:
            checks.append(Check(name=name, held=True, sentence=check(evidence)))
        except (ProctorError, ProofError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            known = isinstance(error, ProctorError | ProofError)
            sentence = _sentence(error) if known else "What this check needs is missing or malformed."
            checks.append(Check(name=name, held=False, sentence=sentence))
    return checks


def _read(path: Path) -> bytes:
    # Opened without waiting: a FIFO in place of the file must not hang the check.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise DossierError("it is not a regular file")
        if facts.st_size > MAX_ARCHIVE:
            raise DossierError(f"it is larger than the {MAX_ARCHIVE} bytes that a dossier may have")
        return file.read(MAX_ARCHIVE + 1)


def _check_names(files: dict[str, bytes]) -> None:
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise DossierError(f"the dossier has no {missing[0]}")
    expected = {*REQUIRED, *OPTIONAL}
    for name in files:
        if match := _ENTRY.fullmatch(name):
            expected |= {name, f"ledger/proofs/{match[1]}.tlog-proof"}
    unknown = set(files) - expected
    if unknown:
        raise DossierError(f"the dossier holds {len(unknown)} files that do not belong into one")
    lone = [name for name in expected - set(files) if name not in OPTIONAL]
    if lone:
        raise DossierError(f"the dossier has no {min(lone)}")


def _key(files: dict[str, bytes], trusted_key: str | None) -> tuple[VerifierKey, Check]:
    try:
        own = parse_verifier(files["ledger/verifier.txt"].decode("utf-8").removesuffix("\n"))
    except UnicodeDecodeError:
        raise DossierError("the dossier's verifier key is not text") from None
    if trusted_key is None:
        sentence = (
            "NO KEY WAS GIVEN. The key was taken from the dossier itself: this shows that the dossier is "
            "whole, NOT who made it. Compare this fingerprint with the institution by another way, or give "
            "--key: "
            f"{own.fingerprint} ({own.name})."
        )
        return own, Check(name="key", held=True, warning=True, sentence=sentence)
    trusted = parse_verifier(trusted_key.strip())
    if own != trusted:
        sentence = f"The dossier was made with another key than the given one; it names {own.fingerprint}."
        return trusted, Check(name="key", held=False, sentence=sentence)
    return trusted, Check(name="key", held=True, sentence=f"Made with the given key ({trusted.name}).")


def _manifest(evidence: _Evidence) -> str:
    listed = evidence.files["manifest-sha256.txt"]
    others = {name: data for name, data in evidence.files.items() if name != "manifest-sha256.txt"}
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(others.items())]
    if listed != "".join(lines).encode():
        found = set(listed.decode("utf-8", errors="replace").splitlines(keepends=True))
        wrong = [
            name for (name, _), line in zip(sorted(others.items()), lines, strict=True) if line not in found
        ]
        where = f"{wrong[0]} is not the file that was listed" if wrong else "it lists other files"
        raise DossierError(f"the manifest does not fit: {where}")
    return f"All {len(others)} files are the ones listed in manifest-sha256.txt."


def _signature(evidence: _Evidence) -> str:
    evidence.statement = open_statement(evidence.files["statement.dsse.json"], evidence.verifier)
    return "The statement is signed by the institution's key."


def _checkpoint(evidence: _Evidence) -> str:
    evidence.head = open_checkpoint(evidence.files["ledger/checkpoint"], evidence.verifier)
    claimed = evidence.statement["predicate"]["ledger"]
    head = evidence.head
    if claimed != {"origin": head.origin, "size": head.size, "root": head.root.hex()}:
        raise DossierError("the statement names another head of the ledger than the checkpoint")
    return f"The ledger's head at {head.size} entries is signed by the institution's key."


def _inclusion(evidence: _Evidence) -> str:
    entries: dict[int, LedgerEntry] = {}
    for name, raw in sorted(evidence.files.items()):
        if not (match := _ENTRY.fullmatch(name)):
            continue
        index = int(match[1])
        proof_bytes = evidence.files[f"ledger/proofs/{match[1]}.tlog-proof"]
        proof, head = verify_proof(raw, proof_bytes, evidence.verifier)
        if head != evidence.head or proof.checkpoint != evidence.files["ledger/checkpoint"]:
            raise DossierError(f"the proof of entry {index} leads to another head than ledger/checkpoint")
        if proof.index != index or f"{index:06d}" != match[1]:
            raise DossierError(f"the proof filed as {index} is that of entry {proof.index}")
        entries[index] = decode_entry(raw, index)
    evidence.entries = entries
    for kind in KINDS_NEEDED:
        evidence.the(kind)
    return f"{len(entries)} ledger entries are proven to be in that ledger."


def _order(evidence: _Evidence) -> str:
    for first, second in STORY:
        before, after = evidence.the(first), evidence.the(second)
        if before.index >= after.index:
            raise DossierError(f"{first} (entry {before.index}) comes after {second} (entry {after.index})")
        if before.time > after.time:
            raise DossierError(f"{first} bears a later time than {second}, which follows it in the ledger")
    registered, started = evidence.the("protocol-registered"), evidence.the("evaluation-started")
    return (
        f"The protocol was registered (entry {registered.index}, {registered.time}) and the hold-out locked "
        f"before the run began (entry {started.index}, {started.time})."
    )


def _one_story(evidence: _Evidence) -> str:
    started = evidence.the("evaluation-started").subject
    _same(evidence.the("holdout-locked"), started, "root", "holdout", "version")
    _same(evidence.the("submission-admitted"), started, "submission", "vendor")
    _same(evidence.the("protocol-registered"), started, "protocol")
    for kind in ("evaluation-finished", "report-made"):
        _same(evidence.the(kind), started, "evaluation")
    for entry in evidence.entries.values():
        if "root" in entry.subject:
            _same(entry, started, "root", "holdout", "version")
        if entry.kind == "holdout-verified" and entry.detail.get("held") is not True:
            raise DossierError(
                f"the hold-out was found changed (entry {entry.index}), yet the run was scored"
            )
        if entry.subject.get("evaluation", started["evaluation"]) != started["evaluation"]:
            raise DossierError(f"entry {entry.index} is about another evaluation")
    identity = {name: started[name] for name in Identity.__dataclass_fields__}
    if Identity(**identity).evaluation != started["evaluation"]:
        raise DossierError(
            "the evaluation's name is not the digest of hold-out, image, protocol, policy and code"
        )
    return "All entries are about one image, one hold-out, one protocol and one evaluation."


def _files(evidence: _Evidence) -> str:
    started, finished = (
        evidence.the("evaluation-started").subject,
        evidence.the("evaluation-finished").subject,
    )
    registered = evidence.the("protocol-registered").subject
    parse_canonical(evidence.files["protocol.json"], what="protocol.json")
    expected = {
        "protocol.json": started["protocol"],
        "results.json": finished["results"],
        "report.html": evidence.the("report-made").subject["report"],
    }
    if "source" in registered:
        expected["protocol.yaml"] = registered["source"]
    if "policy.json" in evidence.files:
        expected["policy.json"] = started["policy"]
    for name, logged in expected.items():
        if hashlib.sha256(evidence.files[name]).hexdigest() != bare(logged):
            raise DossierError(f"{name} is not the file whose digest is in the ledger")
    measured = [e.subject["posture"] for e in evidence.entries.values() if "posture" in e.subject]
    controls = parse_object(evidence.files["posture.json"], what="posture.json")["controls"]
    if not measured or any(bare(item) != bare(digest(controls)) for item in measured):
        raise DossierError("posture.json does not hold the controls whose digest is in the ledger")
    _holdout(evidence)
    return f"{', '.join(expected)} and the measured controls are the ones whose digests were logged."


def _holdout(evidence: _Evidence) -> None:
    summary = parse_object(evidence.files["holdout.json"], what="holdout.json")
    locked = evidence.the("holdout-locked")
    claims = {"name": locked.subject["holdout"], "version": locked.subject["version"]}
    claims |= {
        name: locked.detail[name] for name in ("cases", "patients", "instances") if name in locked.detail
    }
    if any(summary[name] != value for name, value in claims.items()):
        raise DossierError("holdout.json is not about the hold-out that was locked")
    if bare(summary["root"]) != bare(locked.subject["root"]):
        raise DossierError("holdout.json names another Merkle root than the ledger")
    logged = locked.subject.get("summary")
    if logged and hashlib.sha256(evidence.files["holdout.json"]).hexdigest() != bare(logged):
        raise DossierError("holdout.json is not the file whose digest is in the ledger")


def _statement(evidence: _Evidence) -> str:
    statement, predicate = evidence.statement, evidence.statement["predicate"]
    started = evidence.the("evaluation-started").subject
    named = {item["name"]: item["digest"].get("sha256") for item in predicate["files"]}
    signed = {name: data for name, data in evidence.files.items() if name not in _UNSIGNED}
    if len(named) != len(predicate["files"]) or set(named) != set(signed):
        raise DossierError("the signed statement covers other files than the dossier holds")
    for name, data in signed.items():
        if hashlib.sha256(data).hexdigest() != named[name]:
            raise DossierError(f"{name} is not the file that was signed for")
    if [item["digest"] for item in statement["subject"]] != [{"sha256": bare(started["submission"])}]:
        raise DossierError("the statement is about another image than the ledger's")
    digests = {
        item["name"].partition("/")[0]: next(iter(item["digest"].values()))
        for item in predicate["configuration"]
    }
    wanted = {"protocol": started["protocol"], "holdout": started["root"], "policy": started["policy"]}
    if digests != {name: bare(value) for name, value in wanted.items()}:
        raise DossierError("the statement names another protocol, policy or hold-out than the ledger")
    if predicate["evaluation"] != started["evaluation"]:
        raise DossierError("the statement is about another evaluation than the ledger's")
    return f"The signed statement covers all {len(signed)} files, the image, the protocol and the hold-out."


def _results(evidence: _Evidence) -> str:
    parse_canonical(evidence.files["results.json"], what="results.json")
    results = evidence.results = from_json(evidence.files["results.json"])
    started = evidence.the("evaluation-started").subject
    if results.evaluation != started["evaluation"] or bare(results.protocol_digest) != bare(
        started["protocol"]
    ):
        raise DossierError("results.json is about another evaluation or protocol than the ledger's")
    found = contradictions(results)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise DossierError(f"results.json contradicts itself: {found[0]}{more}")
    locked = evidence.the("holdout-locked").detail.get("cases")
    if locked is not None and results.flow.cases + results.flow.unlabelled > locked:
        raise DossierError("results.json counts more cases than were locked")
    return (
        f"{count_checked(results)} estimates agree with their own counts; Wilson intervals were recomputed."
    )


def _verdict(evidence: _Evidence) -> str:
    if evidence.results is None:
        raise DossierError("the results did not hold, so no verdict is read from them")
    verdict = evidence.results.verdict or "none"
    finished = evidence.the("evaluation-finished")
    logged = finished.detail.get("verdict", finished.subject.get("verdict", verdict))
    predicate = evidence.statement["predicate"]
    if (
        verdict != logged
        or predicate["verdict"] != verdict
        or predicate["result"] != RESULT_OF_VERDICT[verdict]
    ):
        raise DossierError("results, ledger and statement give different verdicts")
    for tests, wanted in (("passedTests", "met"), ("warnedTests", "cannot_tell"), ("failedTests", "not_met")):
        if predicate[tests] != [c.name for c in evidence.results.acceptance if c.verdict == wanted]:
            raise DossierError("statement and results judge the criteria differently")
    words = {"none": "no criterion was registered"}.get(verdict, verdict.replace("_", " "))
    return f"Results, ledger and statement agree: {words}."


_CHECKS: tuple[tuple[str, Callable[[_Evidence], str]], ...] = (
    ("manifest", _manifest),
    ("signature", _signature),
    ("checkpoint", _checkpoint),
    ("inclusion", _inclusion),
    ("order", _order),
    ("one story", _one_story),
    ("files", _files),
    ("statement", _statement),
    ("results", _results),
    ("verdict", _verdict),
)


def _same(entry: LedgerEntry, started: Any, *names: str) -> None:
    for name in names:
        values = [entry.subject.get(name, started[name]), started[name]]
        plain = [value.removeprefix("sha256:") for value in values]
        if plain[0] != plain[1]:
            raise DossierError(f"the {entry.kind} entry is about another {name} than the run")


def _sentence(error: Exception) -> str:
    # Names inside a forged dossier may carry terminal control sequences; a sentence never does.
    text = "".join(c if c.isprintable() else "?" for c in str(error))[:_SENTENCE]
    return f"{text[:1].upper()}{text[1:]}."
