"""A draft: what would leave of one evaluation now, what it would cost, and what the audit says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sandbox import holdouts
from sandbox.canonical import canonical_json
from sandbox.disclosure.audit import AuditFinding, audit
from sandbox.disclosure.fields import ReleasedField, RuleVerdict
from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.evaluation import Evaluation
from sandbox.evidence.ledger import Ledger
from sandbox.policy import load_policy
from sandbox.protocols import find as find_protocol
from sandbox.release.answers import Question, answer
from sandbox.release.budget import check_payable
from sandbox.release.claims import Claims, find_claims
from sandbox.release.content import Content, Cost, Subject, make_content
from sandbox.release.differences import check_calls, check_versions, prediction_scope
from sandbox.release.issued import Told, charges, constraints, issued, protected
from sandbox.release.memory import Memory
from sandbox.release.selection import selection
from sandbox.release.traces import refuse_traces
from sandbox.results import from_json
from sandbox.reuse.bits import charges as charges_of
from sandbox.reuse.chosen import check_request, choose
from sandbox.reuse.mechanisms import Mechanism
from sandbox.run import run_key
from sandbox.workspace import Workspace, secret_key


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
    request: bytes

    def refuse_if_disclosive(self) -> None:
        """Let pass what leaves every protected cell free enough.

        Raises:
            ReleaseRefusedError: some cell could be told too exactly.
        """
        narrow = [finding for finding in self.findings if finding.refused]
        if narrow:
            raise ReleaseRefusedError(
                f"The disclosure audit refuses this: with all that was released of this hold-out before, "
                f"{len(narrow)} of {len(self.findings)} protected counts could be told too exactly. Ask for fewer "
                "fields, without strata first, or coarser ones (disclosure in the policy)."
            )


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
        ReleaseRefusedError: the evaluation is not finished, or the budget cannot pay.
        ReuseRefusedError: the mechanism tells more than the protocol's, or the policy does not allow it.
    """
    if item.state != "finished":
        raise ReleaseRefusedError(f"{item.id} is not finished, so there is nothing to release.")
    policy = load_policy(workspace.policy_path)
    earlier = issued(workspace, ledger, holdout=item.holdout, version=item.version)
    results = from_json((item.folder / "results.json").read_bytes())
    holdout = _read(item.folder / "holdout.json")
    started = ledger.find(kind="evaluation-started", evaluation=item.id)[0]
    if started.detail.get("internal"):
        raise ReleaseRefusedError(
            f"{item.id} was run for the institution alone (--internal); nothing of it is ever released."
        )
    registered = find_protocol(workspace, item.protocol)
    chosen = choose(registered.protocol.release, policy.reuse)
    check_request(mechanism, chosen, policy.reuse)
    claims: Claims | None = None
    if mechanism in ("claim", "thresholdout"):
        claims = find_claims(workspace, ledger, dict(started.subject), started.index).claims
    scope = prediction_scope(ledger, item.id)
    told = answer(
        Question(
            results=results,
            policy=policy,
            scope=scope,
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
        ),
        mechanism,
    )
    screened, rules = told.screened, policy.disclosure
    locked = holdouts.open_holdout(workspace, item.holdout, item.version)
    check_versions(workspace, ledger, locked, rules.minimum_difference)
    check_calls(workspace, ledger, item, results, screened, earlier, rules)
    bits, before = check_payable(told.fields, charges(earlier), policy, vendor=item.vendor)
    findings = audit(
        constraints(earlier),
        screened.constraints,
        protected=tuple(dict.fromkeys((*protected(earlier), *screened.protected))),
        minimum_width=rules.minimum_width,
    ).findings
    subject = Subject(
        release=release,
        evaluation=item.id,
        vendor=item.vendor,
        submission=item.submission,
        holdout=item.holdout,
        version=item.version,
        protocol_name=registered.protocol.name,
        protocol_title=registered.protocol.title,
        protocol=item.protocol,
        mechanism=mechanism,
        synthetic=bool(holdout["synthetic"]),
    )
    content = make_content(
        subject,
        told.fields,
        screened.verdicts if mechanism == "full" else (),
        Cost(
            cost=bits,
            spent=before.spent + bits,
            budget=before.budget,
            pooled_spent=before.pooled_spent + bits,
            pooled_budget=before.pooled_budget,
            delta=policy.reuse.delta,
        ),
        patients=_coarse(int(holdout["patients"]), rules.count_base),
    )
    refuse_traces(item, content.files, run_key(secret_key(workspace, "pseudonyms"), item.id))
    return Draft(
        subject=subject,
        root=started.subject["root"],
        content=content,
        fields=told.fields,
        verdicts=screened.verdicts,
        findings=findings,
        cost=bits,
        told=Told(
            charges=charges_of(item.vendor, told.fields),
            constraints=screened.constraints,
            protected=screened.protected,
        ),
        request=canonical_json({"evaluation": item.id, "mechanism": mechanism, "patterns": list(patterns)}),
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
