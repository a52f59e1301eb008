"""From an evaluation's folder and the ledger to everything that its report shows."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from sandbox import submissions
from sandbox.evaluations.evaluation import Evaluation
from sandbox.evaluations.evaluation_story import read_artefact, story_of, stress_of, verified
from sandbox.evidence.checkpoint import open_checkpoint
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import Workspace, secret_key
from sandbox.outcome.results import from_json
from sandbox.plan import protocols
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
from sandbox.reuse.bits import account, reuse_adjusted_half_width
from sandbox.reuse.rules import ReuseRules
from sandbox.submissions import Submission

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


def report_input(workspace: Workspace, ledger: Ledger, item: Evaluation) -> ReportInput:
    """Gather everything that the report shows."""
    entries = story_of(ledger, item)
    story = {each.kind: each for each in entries}
    registered = protocols.find(workspace, item.protocol)
    submission = submissions.find(workspace, item.submission)
    finished = story["evaluation-finished"]
    checkpoint = open_checkpoint(ledger.checkpoint_at(finished.index + 1), ledger.verifier)
    run, posture, holdout = (
        read_artefact(item, "run.json"),
        read_artefact(item, "posture.json"),
        read_artefact(item, "holdout.json"),
    )
    stressed = stress_of(item)
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
            name=read_artefact(item, "policy.json")["name"],
            digest=story["evaluation-started"].subject["policy"],
        ),
        submission=_submission(submission, story["submission-admitted"]),
        holdout=_holdout(holdout, story["holdout-locked"], ledger, item),
        run=RunFacts(
            started=_mark(story["evaluation-started"]),
            finished=_mark(finished),
            containers_started=run["containers"],
            engine=_facts(run["engine"]),
            tool=_facts(run["tool"]),
            deviations=_deviations(ledger, item, posture, run.get("asked_again", 0)),
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
            for check in read_artefact(item, "selfchecks.json")
        ),
        not_built=NOT_BUILT if stressed else (NOT_STRESSED, *NOT_BUILT),
        stress=stressed,
    )


def _holdout(facts: dict[str, Any], locked: LedgerEntry, ledger: Ledger, item: Evaluation) -> HoldoutFacts:
    finished = ledger.find(kind="evaluation-finished", evaluation=item.id)[-1]
    marks = {each.detail["moment"]: _mark(each) for each in verified(ledger, finished)}
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
    rules = ReuseRules.model_validate(read_artefact(item, "policy.json")["reuse"])
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


def _deviations(ledger: Ledger, item: Evaluation, posture: dict[str, Any], again: int) -> tuple[str, ...]:
    found = [f"Control {name} was waived by {person}." for name, person in posture["waived"].items()]
    resumed = ledger.find(kind="evaluation-resumed", evaluation=item.id)
    if resumed:
        found.append(
            f"The run was interrupted and went on {len(resumed)} time(s); no case that had ended was asked again."
        )
    if again:
        found.append(
            f"{again} case(s) whose container was lost among stressed asks were asked once more, of containers that "
            "had met none."
        )
    return tuple(found)


def _entry_fact(each: LedgerEntry) -> LedgerEntryFact:
    subject = "  ".join(f"{name} {str(value)[:23]}" for name, value in sorted(each.subject.items()))
    return LedgerEntryFact(index=each.index, time=each.time, kind=each.kind, subject=subject)


def _mark(each: LedgerEntry) -> LedgerMark:
    return LedgerMark(index=each.index, time=each.time)


def _facts(values: dict[str, Any]) -> tuple[Fact, ...]:
    return tuple(Fact(name=name, value=str(value)) for name, value in values.items())
