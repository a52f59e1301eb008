"""From an evaluation's folder and the ledger to its report and its dossier.

Both are functions of what was recorded up to the evaluation's last entry: made again later, with a longer
ledger, they have the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox import protocols, stress_results, submissions
from sandbox.canonical import canonical_json, digest_bytes
from sandbox.errors import EvaluationError
from sandbox.evaluation import Evaluation
from sandbox.evidence.checkpoint import open_checkpoint
from sandbox.evidence.dossier import DossierParts, build_dossier, prove_entries
from sandbox.evidence.durable import write_durable
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.keys import load_signing_key
from sandbox.evidence.ledger import Ledger
from sandbox.mlflow_mirror import MirrorRun, mirror
from sandbox.policy import load_policy
from sandbox.release.issued import charges, issued
from sandbox.report.model import (
    BudgetFacts,
    ControlFact,
    DataUse,
    Fact,
    FlowStep,
    HoldoutFacts,
    IntegrityFacts,
    LedgerEntryFact,
    LedgerMark,
    LeftOut,
    MissingShare,
    OverlapCheck,
    PolicyFacts,
    ProtocolFacts,
    ReferenceMethod,
    ReportInput,
    RunFacts,
    SelfCheck,
    SubmissionFacts,
)
from sandbox.report.page import render
from sandbox.results import from_json
from sandbox.reuse.bits import account, reuse_adjusted_half_width
from sandbox.reuse.rules import ReuseRules
from sandbox.stress_results import StressResults
from sandbox.submissions import Submission
from sandbox.views import note_once_a_day
from sandbox.workspace import Workspace, entry, open_ledger, secret_key, write_json

NOT_BUILT = (
    "Containers share the host's kernel unless the policy names another runtime. What a container still sees of the "
    "host (processors, memory, kernel version) is listed in posture.json.",
    "This report is for the institution and the regulator. A vendor sees what a release lets out, and nothing else.",
    "No witness outside the institution has countersigned the ledger.",
)
NOT_STRESSED = (
    "Behaviour under stress (perturbed, degraded, out-of-distribution input) was not examined: the protocol asks for "
    "none."
)
_MIRRORED = ("name", "version", "root", "unit", "cases", "patients", "instances")


def publish(workspace: Workspace, item: Evaluation) -> str | None:
    """Write the report and show the evaluation in MLflow; returns why MLflow could not, if it could not."""
    write_report(workspace, item)
    policy, marker = load_policy(workspace.policy_path), item.folder / "mlflow.json"
    if policy.mlflow == "off" or marker.exists():
        return None
    with open_ledger(workspace) as ledger:
        story = {each.kind: each for each in _story(ledger, item)}
        head = ledger.checkpoint_at(story["evaluation-finished"].index + 1)
    started = story["evaluation-started"]
    holdout = _read(item, "holdout.json")
    outcome = mirror(
        MirrorRun(
            results=from_json((item.folder / "results.json").read_bytes()),
            protocol_name=item.protocol_name,
            protocol_digest=item.protocol,
            submission=item.submission,
            vendor=item.vendor,
            holdout={name: holdout[name] for name in _MIRRORED},
            started=started.time,
            finished=story["evaluation-finished"].time,
            artifacts=tuple(item.folder / name for name in ("report.html", "results.json", "posture.json")),
            tags={
                "ledger.index": str(story["evaluation-finished"].index),
                "ledger.checkpoint": digest_bytes(head),
                "policy": started.subject["policy"],
                "code": started.subject["code"],
            },
        ),
        workspace.home / "mlflow",
        None if policy.mlflow == "local" else policy.mlflow,
    )
    if outcome.run_id is not None:
        write_json(marker, {"run": outcome.run_id})
    return outcome.reason


def write_report(workspace: Workspace, item: Evaluation) -> Path:
    """Write report.html of a finished evaluation and enter its digest into the ledger, once.

    Raises:
        EvaluationError: the evaluation is not finished.
    """
    _finished(item)
    path = item.folder / "report.html"
    if path.exists():
        return path
    with open_ledger(workspace) as ledger:
        page = render(report_input(workspace, ledger, item))
        if not ledger.find(kind="report-made", evaluation=item.id, report=digest_bytes(page)):
            subject = {"evaluation": item.id, "report": digest_bytes(page), "audience": "institution"}
            ledger.append(entry("report-made", subject=subject))
    write_durable(path, page)
    return path


def write_dossier(workspace: Workspace, item: Evaluation, destination: Path) -> str:
    """Write the evidence file of a finished evaluation; returns its digest.

    Raises:
        EvaluationError: the evaluation is not finished.
        DossierError: a part contradicts the ledger; nothing is written.
    """
    report = write_report(workspace, item).read_bytes()
    registered = protocols.find(workspace, item.protocol)
    with open_ledger(workspace) as ledger:
        made = ledger.find(kind="report-made", evaluation=item.id, report=digest_bytes(report))[0]
        entries = _with_actors(ledger, [*_story(ledger, item), made])
        proven, checkpoint = prove_entries(ledger, entries)
        digest = build_dossier(
            DossierParts(
                protocol_yaml=registered.path.read_bytes(),
                protocol=canonical_json(registered.protocol.document),
                results=(item.folder / "results.json").read_bytes(),
                report=report,
                posture=(item.folder / "posture.json").read_bytes(),
                holdout=(item.folder / "holdout.json").read_bytes(),
                policy=(item.folder / "policy.json").read_bytes(),
                stress=(item.folder / "stress.json").read_bytes() if _stress(item) else None,
                entries=proven,
                checkpoint=checkpoint,
                key=load_signing_key(workspace.home / "keys" / "ledger.pem", workspace.origin),
                tool=_read(item, "run.json")["tool"]["proctor"],
            ),
            destination,
        )
        if not ledger.find(kind="dossier-made", evaluation=item.id, dossier=digest):
            ledger.append(entry("dossier-made", subject={"evaluation": item.id, "dossier": digest}))
    return digest


def note_view(workspace: Workspace, item: Evaluation) -> None:
    """Enter that the institution's report was looked at."""
    subject = {"evaluation": item.id, "audience": "institution"}
    with open_ledger(workspace) as ledger:
        note_once_a_day(workspace, ledger, "report-viewed", subject)


def report_input(workspace: Workspace, ledger: Ledger, item: Evaluation) -> ReportInput:
    """Gather everything that the report shows."""
    entries = _story(ledger, item)
    story = {each.kind: each for each in entries}
    registered = protocols.find(workspace, item.protocol)
    submission = submissions.find(workspace, item.submission)
    finished = story["evaluation-finished"]
    checkpoint = open_checkpoint(ledger.checkpoint_at(finished.index + 1), ledger.verifier)
    run, posture, holdout = _read(item, "run.json"), _read(item, "posture.json"), _read(item, "holdout.json")
    stressed = _stress(item)
    return ReportInput(
        audience="institution",
        site=workspace.origin,
        results=from_json((item.folder / "results.json").read_bytes()),
        protocol=ProtocolFacts(
            name=registered.protocol.name,
            title=registered.protocol.title,
            digest=registered.digest,
            document=registered.protocol.document,
            registered=_mark(story["protocol-registered"]),
        ),
        policy=PolicyFacts(
            name=_read(item, "policy.json")["name"], digest=story["evaluation-started"].subject["policy"]
        ),
        submission=_submission(submission, story["submission-admitted"]),
        holdout=_holdout(holdout, story["holdout-locked"], ledger, item),
        run=RunFacts(
            started=_mark(story["evaluation-started"]),
            finished=_mark(finished),
            containers_started=run["containers"],
            engine=_facts(run["engine"]),
            tool=_facts(run["tool"]),
            deviations=_deviations(ledger, item, posture),
        ),
        posture=tuple(
            ControlFact(
                name=control["name"],
                expected=control["expected"],
                required=control["required"],
                measured=control["measured"],
                held=control["held"],
                waiver=posture["waived"].get(control["name"], ""),
            )
            for control in posture["controls"]
        ),
        earlier_use=_earlier_use(workspace, ledger, item, story["evaluation-started"]),
        budget=_budget(workspace, ledger, item, holdout["patients"], finished),
        integrity=IntegrityFacts(
            origin=checkpoint.origin,
            tree_size=checkpoint.size,
            root=checkpoint.root.hex(),
            key_id=ledger.verifier.fingerprint,
            verify_command=f"proctor verify DOSSIER.zip --key '{workspace.verifier_key}'",
            entries=tuple(_entry_fact(each) for each in entries),
        ),
        self_checks=tuple(
            SelfCheck(
                name=check["name"],
                expected=f"{check.get('measure', 'AUROC')} {check['expected']}",
                observed=f"{check.get('measure', 'AUROC')} {check['observed']}",
                passed=check["passed"],
            )
            for check in _read(item, "selfchecks.json")
        ),
        not_built=NOT_BUILT if stressed else (NOT_STRESSED, *NOT_BUILT),
        stress=stressed,
    )


def _story(ledger: Ledger, item: Evaluation) -> list[LedgerEntry]:
    """The entries that an evaluation rests on: the last of each kind before its end."""
    started = ledger.find(kind="evaluation-started", evaluation=item.id)[0]
    finished = ledger.find(kind="evaluation-finished", evaluation=item.id)[-1]
    root, version = started.subject["root"], started.subject["version"]
    chosen = [
        *_last(ledger.find(kind="holdout-locked", root=root, version=version), started),
        *_last(ledger.find(kind="submission-admitted", submission=started.subject["submission"]), started),
        *_last(ledger.find(kind="protocol-registered", protocol=started.subject["protocol"]), started),
        started,
        *_last(ledger.find(kind="posture-measured", evaluation=item.id), finished),
        *(
            granted
            for granted in ledger.find(kind="waiver-granted", policy=started.subject["policy"])
            if granted.index < finished.index
        ),
        *_verified(ledger, finished),
        *_last(ledger.find(kind="holdout-accessed", evaluation=item.id), finished),
        *_last(ledger.find(kind="reference-opened", evaluation=item.id), finished),
        finished,
    ]
    return _with_actors(ledger, chosen)


def _stress(item: Evaluation) -> StressResults | None:
    path = item.folder / "stress.json"
    return stress_results.from_json(path.read_bytes()) if path.exists() else None


def _with_actors(ledger: Ledger, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """``entries`` with what the ledger said of actors and rules before the last of them, in order."""
    last = max(each.index for each in entries)
    said = [each for each in ledger.governing() if each.index < last and "holdout" not in each.subject]
    chosen = {each.index: each for each in (*entries, *said)}
    return [chosen[index] for index in sorted(chosen)]


def _verified(ledger: Ledger, finished: LedgerEntry) -> list[LedgerEntry]:
    """The last verification of the hold-out before the run, and the last after it."""
    known = ledger.find(kind="holdout-verified", evaluation=finished.subject["evaluation"])
    return [
        each
        for moment in ("before", "after")
        for each in _last([each for each in known if each.detail["moment"] == moment], finished)
    ]


def _last(entries: list[LedgerEntry], end: LedgerEntry) -> list[LedgerEntry]:
    return [each for each in entries if each.index < end.index][-1:]


def _holdout(facts: dict[str, Any], locked: LedgerEntry, ledger: Ledger, item: Evaluation) -> HoldoutFacts:
    finished = ledger.find(kind="evaluation-finished", evaluation=item.id)[-1]
    marks = {each.detail["moment"]: _mark(each) for each in _verified(ledger, finished)}
    left_out = tuple(
        LeftOut(reason=each["reason"] or each["code"], count=each["files"]) for each in facts["left_out"]
    )
    found = facts["instances"] + sum(each.count for each in left_out)
    return HoldoutFacts(
        name=facts["name"],
        version=facts["version"],
        root=facts["root"],
        cases=facts["cases"],
        patients=facts["patients"],
        instances=facts["instances"],
        synthetic=facts["synthetic"],
        locked=_mark(locked),
        flow=(
            FlowStep(label="Files found", count=found, unit="files", left_out=left_out),
            FlowStep(label="Instances locked", count=facts["instances"], unit="files"),
        ),
        reference_methods=tuple(ReferenceMethod(**each) for each in facts["reference_methods"]),
        missing=tuple(
            MissingShare(attribute=name, cases=count, of=facts["cases"])
            for name, count in facts["missing"].items()
        ),
        overlap=tuple(OverlapCheck(**each) for each in facts["overlap"]),
        staging=(
            Fact(
                name="Attributes shown beside pixels and geometry",
                value=", ".join(facts["shown_to_container"]) or "none",
            ),
            Fact(name="Identifiers", value="fresh pseudonyms and UIDs for this run, cases in random order"),
            Fact(name="Second check", value="PS3.15 Annex E basic profile, on every staged file"),
        ),
        warnings=tuple(facts["warnings"]),
        verified_before=marks.get("before"),
        verified_after=marks.get("after"),
    )


def _earlier_use(
    workspace: Workspace, ledger: Ledger, item: Evaluation, started: LedgerEntry
) -> tuple[DataUse, ...]:
    key = secret_key(workspace, "pseudonyms")
    vendors = {
        each.subject["evaluation"]: each.subject["vendor"]
        for each in ledger.find(kind="evaluation-started", root=started.subject["root"])
    }
    uses = ledger.find(kind="holdout-accessed", root=started.subject["root"])
    return tuple(
        DataUse(
            time=use.time,
            vendor_pseudonym=_pseudonym(key, vendors.get(use.subject.get("evaluation"), "")),
            evaluation=use.subject.get("evaluation", ""),
            cases=use.detail.get("cases", 0),
            purpose=use.detail["purpose"] if use.detail["purpose"] in ("evaluation", "stress") else "other",
        )
        for use in uses
        if use.index < started.index and use.subject.get("evaluation") != item.id
    )


def _budget(
    workspace: Workspace, ledger: Ledger, item: Evaluation, patients: int, finished: LedgerEntry
) -> BudgetFacts:
    """What was told of the hold-out version before the evaluation's end, by the policy that it ran under."""
    rules = ReuseRules.model_validate(_read(item, "policy.json")["reuse"])
    told = [
        each
        for each in issued(workspace, ledger, holdout=item.holdout, version=item.version)
        if each.entry.index < finished.index
    ]
    spent = account(item.vendor, charges(told), budget=rules.bits_per_vendor, pooled_budget=rules.bits_pooled)
    return BudgetFacts(
        spent=spent.spent,
        budget=spent.budget,
        pooled_spent=spent.pooled_spent,
        pooled_budget=spent.pooled_budget,
        patients=patients,
        delta=rules.delta,
        half_width=reuse_adjusted_half_width(spent.pooled_spent, patients, rules.delta),
    )


def _pseudonym(key: bytes, vendor: str) -> str:
    return "vendor-" + hmac.new(key, b"vendor\0" + vendor.encode(), hashlib.sha256).hexdigest()[:8]


def _submission(submission: Submission, admitted: LedgerEntry) -> SubmissionFacts:
    facts = submission.facts
    return SubmissionFacts(
        vendor=submission.vendor,
        name=submission.vendor,
        image_digest=submission.digest,
        contract=submission.contract,
        size_bytes=submission.size,
        admitted=_mark(admitted),
        details=(
            Fact(name="architecture", value=str(facts["architecture"])),
            Fact(name="user", value=str(facts["run_user"])),
            Fact(name="layers", value=str(len(facts["layers"]))),
            Fact(name="files", value=str(facts["files"])),
            Fact(name="archive SHA-256", value=submission.archive_sha256),
            *(
                [Fact(name="image as it was run, stripped of set-user-id files", value=submission.loaded)]
                if submission.loaded != submission.digest
                else []
            ),
        ),
    )


def _deviations(ledger: Ledger, item: Evaluation, posture: dict[str, Any]) -> tuple[str, ...]:
    found = [f"Control {name} was waived by {person}." for name, person in posture["waived"].items()]
    resumed = ledger.find(kind="evaluation-resumed", evaluation=item.id)
    if resumed:
        found.append(
            f"The run was interrupted and went on {len(resumed)} time(s); no case that had ended was asked again."
        )
    return tuple(found)


def _entry_fact(each: LedgerEntry) -> LedgerEntryFact:
    subject = "  ".join(f"{name} {str(value)[:23]}" for name, value in sorted(each.subject.items()))
    return LedgerEntryFact(index=each.index, time=each.time, kind=each.kind, subject=subject)


def _mark(each: LedgerEntry) -> LedgerMark:
    return LedgerMark(index=each.index, time=each.time)


def _facts(values: dict[str, Any]) -> tuple[Fact, ...]:
    return tuple(Fact(name=name, value=str(value)) for name, value in values.items())


def _finished(item: Evaluation) -> None:
    if item.state != "finished":
        raise EvaluationError(
            f"{item.id} is not finished. Run its `proctor evaluate` command again to go on."
        )


def _read(item: Evaluation, name: str) -> Any:
    try:
        return json.loads((item.folder / name).read_bytes())
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{item.folder / name} is damaged. Restore it from a backup.") from error
