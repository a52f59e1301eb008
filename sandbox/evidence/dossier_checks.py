"""What is checked of a dossier's content, once its files are read and a key is chosen.

Each function looks at one thing, raises when it does not hold, and says in a sentence what it found. They run in
the order of ``CHECKS``; what one established, the next may use.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.canonical import digest
from sandbox.errors import DossierError
from sandbox.evaluations.identity import Identity
from sandbox.evidence.actors import unsigned
from sandbox.evidence.arithmetic import contradictions, count_checked
from sandbox.evidence.checkpoint import Checkpoint, open_checkpoint
from sandbox.evidence.entry import LedgerEntry, decode_entry
from sandbox.evidence.keys import VerifierKey
from sandbox.evidence.mix_arithmetic import mix_not_recomputed
from sandbox.evidence.proof import verify_proof
from sandbox.evidence.separation import breaches, duties
from sandbox.evidence.statement import RESULT_OF_VERDICT, bare, open_statement
from sandbox.evidence.stress_arithmetic import stress_contradictions
from sandbox.evidence.strictjson import parse_canonical, parse_object
from sandbox.evidence.task_arithmetic import not_recomputed
from sandbox.outcome import stress_results
from sandbox.outcome.results import Results, from_json

ENTRY = re.compile(r"ledger/entries/([0-9]{6,12})\.json", re.ASCII)
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


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What the checks so far have established."""

    files: dict[str, bytes]
    verifier: VerifierKey
    head: Checkpoint | None = None
    entries: dict[int, LedgerEntry] = field(default_factory=dict)
    statement: dict[str, Any] = field(default_factory=dict)
    results: Results | None = None

    def the(self, kind: str) -> LedgerEntry:
        """Return the only proven entry of ``kind``."""
        found = [entry for entry in self.entries.values() if entry.kind == kind]
        if len(found) != 1:
            raise DossierError(f"the dossier proves {len(found)} {kind} entries; exactly one is needed")
        return found[0]


def _manifest(evidence: Evidence) -> str:
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


def _signature(evidence: Evidence) -> str:
    evidence.statement = open_statement(evidence.files["statement.dsse.json"], evidence.verifier)
    return "The statement is signed by the institution's key."


def _checkpoint(evidence: Evidence) -> str:
    evidence.head = open_checkpoint(evidence.files["ledger/checkpoint"], evidence.verifier)
    claimed = evidence.statement["predicate"]["ledger"]
    head = evidence.head
    if claimed != {"origin": head.origin, "size": head.size, "root": head.root.hex()}:
        raise DossierError("the statement names another head of the ledger than the checkpoint")
    return f"The ledger's head at {head.size} entries is signed by the institution's key."


def _inclusion(evidence: Evidence) -> str:
    entries: dict[int, LedgerEntry] = {}
    for name, raw in sorted(evidence.files.items()):
        if not (match := ENTRY.fullmatch(name)):
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


def _actors(evidence: Evidence) -> str:
    entries = [evidence.entries[index] for index in sorted(evidence.entries)]
    for fault in unsigned(entries):
        raise DossierError(f"ledger entry {fault.index} does not count as its actor's: {fault.reason}")
    names = sorted({entry.actor for entry in entries})
    return f"Each entry is signed by an actor with a role for it ({', '.join(names)})."


def _separation(evidence: Evidence) -> str:
    entries = [evidence.entries[index] for index in sorted(evidence.entries)]
    for breach in breaches(entries):
        raise DossierError(f"ledger entry {breach.index} breaks the separation of duties: {breach.reason}")
    started = evidence.the("evaluation-started").index
    rules = duties(entry for entry in entries if entry.index < started).two_people
    if "policy.json" in evidence.files:
        policy = parse_object(evidence.files["policy.json"], what="policy.json")
        if rules != set(policy.get("two_people", ())):
            raise DossierError("policy.json and the ledger name different acts that need two people")
    said = (
        f"The policy leaves these acts to no single person: {', '.join(sorted(rules))}; each was proposed by another."
        if rules
        else "The policy asks for no second person."
    )
    asked = {entry.subject["release"] for entry in entries if entry.kind == "release-requested"}
    issued = {entry.subject["release"] for entry in entries if entry.kind == "release-issued"}
    return (
        f"{said} Releases of this result until then: {len(asked)} asked for, {len(issued)} issued; "
        "nobody approved a release of their own."
    )


def _order(evidence: Evidence) -> str:
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


def _one_story(evidence: Evidence) -> str:
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


def _files(evidence: Evidence) -> str:
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
    if ("stress" in finished) != ("stress.json" in evidence.files):
        raise DossierError("stress.json and the ledger do not both tell of stress tests")
    if "stress" in finished:
        expected["stress.json"] = finished["stress"]
    for name, logged in expected.items():
        if hashlib.sha256(evidence.files[name]).hexdigest() != bare(logged):
            raise DossierError(f"{name} is not the file whose digest is in the ledger")
    _holdout(evidence)
    return f"{', '.join(expected)} are the ones whose digests were logged."


def _posture(evidence: Evidence) -> str:
    posture = parse_object(evidence.files["posture.json"], what="posture.json")
    controls, waived = posture["controls"], posture.get("waived", {})
    logged = [e for e in evidence.entries.values() if "posture" in e.subject]
    if not logged or any(bare(e.subject["posture"]) != bare(digest(controls)) for e in logged):
        raise DossierError("posture.json does not hold the controls whose digest is in the ledger")
    required = [control for control in controls if control["required"]]
    lost = [c for c in required if c["held"] is not True and c["name"] not in waived]
    if lost or any(e.detail.get("missing", 0) for e in logged):
        raise DossierError(
            "the run was scored although a required isolation control was not measured to hold"
        )
    _granted(evidence, waived, posture.get("waivers", ()))
    return (
        f"The controls measured before the run are the ones that were logged: {len(controls)}, of which "
        f"{len(required)} required and held{f', {len(waived)} waived' if waived else ''}."
    )


def _granted(evidence: Evidence, waived: Iterable[str], waivers: Iterable[Mapping[str, Any]]) -> None:
    """See that the ledger grants each waiver under this policy, with the very words of ``posture.json``."""
    policy = evidence.the("evaluation-started").subject["policy"]
    granted = {
        entry.subject["control"]: entry
        for entry in evidence.entries.values()
        if entry.kind == "waiver-granted" and bare(entry.subject["policy"]) == bare(policy)
    }
    said = {
        digest({name: value for name, value in waiver.items() if name not in ("state", "sentence")})
        for waiver in waivers
    }
    for control in waived:
        if control not in granted:
            raise DossierError(f"the control {control} was waived, and no ledger entry grants that")
        if granted[control].detail.get("waiver") not in said:
            raise DossierError(f"posture.json holds another waiver of {control} than the ledger grants")


def _holdout(evidence: Evidence) -> None:
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


def _statement(evidence: Evidence) -> str:
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


def _results(evidence: Evidence) -> str:
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
    rest = (*not_recomputed(results), *mix_not_recomputed(results))
    beyond = f" Not recomputed, as they rest on single answers: {', '.join(rest)}." if rest else ""
    return (
        f"{count_checked(results)} estimates agree with their own counts; Wilson intervals were recomputed."
        f"{beyond}"
    )


def _stress(evidence: Evidence) -> str:
    if "stress.json" not in evidence.files:
        return "No stress tests were part of the protocol."
    parse_canonical(evidence.files["stress.json"], what="stress.json")
    stress = stress_results.from_json(evidence.files["stress.json"])
    started = evidence.the("evaluation-started").subject
    if stress.evaluation != started["evaluation"] or bare(stress.protocol_digest) != bare(
        started["protocol"]
    ):
        raise DossierError("stress.json is about another evaluation or protocol than the ledger's")
    found = stress_contradictions(stress, parse_object(evidence.files["protocol.json"], what="protocol.json"))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise DossierError(f"stress.json contradicts itself: {found[0]}{more}")
    cells = sum(len(test.cells) for test in stress.tests)
    return (
        f"{len(stress.tests)} stress tests at {cells} severities agree with their own counts and with the protocol; "
        "Tango intervals of paired rates were recomputed."
    )


def _verdict(evidence: Evidence) -> str:
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


CHECKS: tuple[tuple[str, Callable[[Evidence], str]], ...] = (
    ("manifest", _manifest),
    ("signature", _signature),
    ("checkpoint", _checkpoint),
    ("inclusion", _inclusion),
    ("actors", _actors),
    ("separation of duties", _separation),
    ("order", _order),
    ("one story", _one_story),
    ("files", _files),
    ("posture", _posture),
    ("statement", _statement),
    ("results", _results),
    ("stress", _stress),
    ("verdict", _verdict),
)


def _same(entry: LedgerEntry, started: Any, *names: str) -> None:
    for name in names:
        values = [entry.subject.get(name, started[name]), started[name]]
        plain = [value.removeprefix("sha256:") for value in values]
        if plain[0] != plain[1]:
            raise DossierError(f"the {entry.kind} entry is about another {name} than the run")
