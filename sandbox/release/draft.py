"""A draft: what would leave of one evaluation now, what it would cost, and what the audit says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sandbox.asking.run import run_key
from sandbox.canonical import canonical_json
from sandbox.custody import holdouts
from sandbox.disclosure.audit import AuditFinding
from sandbox.disclosure.fields import ReleasedField, RuleVerdict
from sandbox.disclosure.withholding import Kept, keep_safe
from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.evaluations.evaluation import Evaluation
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.ledger import Ledger
from sandbox.institution.policy import Policy, load_policy
from sandbox.institution.workspace import Workspace, secret_key
from sandbox.outcome.results import from_json
from sandbox.plan.protocol import Protocol
from sandbox.plan.protocols import find as find_protocol
from sandbox.release.answers import Question, answer, numbers_behind
from sandbox.release.budget import check_payable
from sandbox.release.certificate import Certificate, read_certificate
from sandbox.release.claims import Claims, find_claims
from sandbox.release.content import Content, Cost, Subject, make_content
from sandbox.release.differences import check_versions
from sandbox.release.issued import Issued, Told, charges, constraints, issued, protected
from sandbox.release.memory import Memory
from sandbox.release.selection import selection
from sandbox.release.similar import prediction_scope, withhold_similar
from sandbox.release.traces import refuse_traces
from sandbox.reuse.bits import charges as charges_of
from sandbox.reuse.chosen import Chosen, check_request, choose
from sandbox.reuse.mechanisms import Mechanism


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    evaluation: str
    mechanism: Mechanism
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One release as it would leave now.

    Attributes:
        cost: bits that the vendor has not paid yet.
        findings: what the audit found of every protected cell, after all that was told before.
        told: what would be kept inside.
        certificate: what shows the audit's findings again without solving.
        request: the bytes of ``request.json``.
    """

    subject: Subject
    root: str
    content: Content
    fields: tuple[ReleasedField, ...]
    verdicts: tuple[RuleVerdict, ...]
    findings: tuple[AuditFinding, ...]
    cost: float
    told: Told
    certificate: Certificate
    request: bytes


def make_draft(
    workspace: Workspace,
    ledger: Ledger,
    item: Evaluation,
    *,
    release: str,
    patterns: tuple[str, ...],
    mechanism: Mechanism,
) -> Draft:
    """Make the draft of a release of ``item``.

    Raises:
        ReleaseRefusedError: the evaluation is not finished, nothing of it may leave, or the budget cannot pay.
        ReuseRefusedError: the mechanism tells more than the protocol's, or the policy does not allow it.
    """
    policy = load_policy(workspace.policy_path)
    started = _started(ledger, item)
    registered = find_protocol(workspace, item.protocol)
    chosen = choose(registered.protocol.release, policy.reuse)
    check_request(mechanism, chosen, policy.reuse)
    earlier = issued(workspace, ledger, holdout=item.holdout, version=item.version)
    locked = holdouts.open_holdout(workspace, item.holdout, item.version)
    check_versions(workspace, ledger, locked, policy.disclosure.minimum_difference)
    claims: Claims | None = None
    if mechanism in ("claim", "thresholdout"):
        claims = find_claims(workspace, ledger, dict(started.subject), started.index).claims
    question = _question(workspace, ledger, item, policy, chosen, claims, patterns)
    kept = _safe_numbers(workspace, ledger, item, question, mechanism, earlier, release)
    fields = answer(question, mechanism, kept.screened)
    bits, before = check_payable(fields, charges(earlier), policy, vendor=item.vendor)
    subject = _subject(item, registered.protocol, release, mechanism)
    content = make_content(
        subject,
        fields,
        kept.screened.verdicts if mechanism == "full" else (),
        Cost(
            cost=bits,
            spent=before.spent + bits,
            budget=before.budget,
            pooled_spent=before.pooled_spent + bits,
            pooled_budget=before.pooled_budget,
            delta=policy.reuse.delta,
        ),
        patients=_coarse(int(_read(item.folder / "holdout.json")["patients"]), policy.disclosure.count_base),
    )
    refuse_traces(item, content.files, run_key(secret_key(workspace, "pseudonyms"), item.id))
    return Draft(
        subject=subject,
        root=started.subject["root"],
        content=content,
        fields=fields,
        verdicts=kept.screened.verdicts,
        findings=kept.audit.findings,
        cost=bits,
        told=Told(
            charges=charges_of(item.vendor, fields),
            constraints=kept.screened.constraints,
            protected=kept.screened.protected,
        ),
        certificate=Certificate(solutions=kept.audit.solutions, withheld=kept.withheld),
        request=canonical_json({"evaluation": item.id, "mechanism": mechanism, "patterns": list(patterns)}),
    )


def _started(ledger: Ledger, item: Evaluation) -> LedgerEntry:
    """The entry of a finished evaluation's start, of one that may be released."""
    if item.state != "finished":
        raise ReleaseRefusedError(f"{item.id} is not finished, so there is nothing to release.")
    started = ledger.find(kind="evaluation-started", evaluation=item.id)[0]
    if started.detail.get("internal"):
        raise ReleaseRefusedError(
            f"{item.id} was run for the institution alone (--internal); nothing of it is ever released."
        )
    return started


def _question(
    workspace: Workspace,
    ledger: Ledger,
    item: Evaluation,
    policy: Policy,
    chosen: Chosen,
    claims: Claims | None,
    patterns: tuple[str, ...],
) -> Question:
    return Question(
        results=from_json((item.folder / "results.json").read_bytes()),
        policy=policy,
        scope=prediction_scope(ledger, item.id),
        evaluation=item.id,
        folder=item.folder,
        chosen=chosen,
        memory=Memory(
            ledger=ledger,
            folder=workspace.home / "releases" / "memory",
            holdout=item.holdout,
            version=item.version,
            vendor=item.vendor,
        ),
        folders=item.folder.parent,
        claims=claims,
        selection=selection(patterns),
        secret=secret_key(workspace, "pseudonyms"),
    )


def _safe_numbers(
    workspace: Workspace,
    ledger: Ledger,
    item: Evaluation,
    question: Question,
    mechanism: Mechanism,
    earlier: Sequence[Issued],
    release: str,
) -> Kept:
    """The numbers behind an answer: after the rules, differencing against earlier releases, and the audit.

    Raises:
        ReleaseRefusedError: some cell could be told too exactly, whatever is left out.
    """
    rules = question.policy.disclosure
    screened = numbers_behind(question, mechanism)
    screened, links = withhold_similar(workspace, ledger, item, screened, earlier, rules)
    certificate = read_certificate(workspace.release(release))
    kept = keep_safe(
        screened,
        constraints(earlier),
        protected=protected(earlier),
        minimum_width=rules.minimum_width,
        links=links,
        known=certificate.solutions,
        withheld=certificate.withheld,
    )
    if not kept.audit.safe:
        raise ReleaseRefusedError(
            f"The disclosure audit refuses this, whichever of its fields are left out: {len(kept.audit.refused)} of "
            f"{len(kept.audit.findings)} protected counts could be told too exactly by what was released of this "
            "hold-out before. Ask for nothing more of this version, or lock a fresh hold-out."
        )
    return kept


def _subject(item: Evaluation, protocol: Protocol, release: str, mechanism: Mechanism) -> Subject:
    return Subject(
        release=release,
        evaluation=item.id,
        vendor=item.vendor,
        submission=item.submission,
        holdout=item.holdout,
        version=item.version,
        protocol_name=protocol.name,
        protocol_title=protocol.title,
        protocol=item.protocol,
        mechanism=mechanism,
        synthetic=bool(_read(item.folder / "holdout.json")["synthetic"]),
    )


def read_request(folder: Path) -> Request:
    """Read ``request.json`` back.

    Raises:
        ReleaseError: it is damaged.
    """
    try:
        plain = _read(folder / "request.json")
        mechanism: Mechanism = next(each for each in get_args(Mechanism) if each == plain["mechanism"])
        return Request(
            evaluation=str(plain["evaluation"]),
            mechanism=mechanism,
            patterns=tuple(map(str, plain["patterns"])),
        )
    except (LookupError, TypeError, StopIteration) as error:
        raise ReleaseError(f"{folder / 'request.json'} is damaged. Request the release again.") from error


def _coarse(count: int, base: int) -> int:
    """``count`` rounded down to the base of counts, so that what is computed from it tells no more than that."""
    return max(1, count // base * base)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path} is damaged. Restore it from a backup of the workspace.") from error
    return found
