"""``proctor release`` and ``proctor claim``: what a vendor is told, and what it said before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.institution.workspace import default_home, open_workspace

release_app = typer.Typer(
    help="What may leave: request, review by others, issue. A vendor sees nothing else.", no_args_is_help=True
)
claim_app = typer.Typer(help="What a vendor claims before the run.", no_args_is_help=True)
_Id = Annotated[str, typer.Argument(help="Release id, or its beginning.", metavar="RELEASE")]


@release_app.command("request")
def request(
    evaluation: Annotated[str, typer.Argument(help="Evaluation id, or its beginning.", metavar="EVALUATION")],
    field: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of fields to ask for, e.g. 'all/auroc/*'; default: the policy's."),
    ] = None,
    mechanism: Annotated[
        str | None,
        typer.Option(
            help="claim, thresholdout, ladder or full: the protocol's, or one before it in this list."
        ),
    ] = None,
) -> None:
    """Write down exactly what would leave, screened by the rules and paid from the budget, and ask for review.

    \b
      proctor release request e-2021611d
      proctor release request e-2021611d --field verdict --field 'all/auroc/*'
      proctor release request e-2021611d --mechanism claim

    The mechanism is the one that the protocol was registered with, or else the policy's default; a request may only
    ask for one that tells less.

    Fields that a rule, the comparison with earlier releases or the audit does not let out are left out and listed with
    the reason. That a field is withheld is an answer, so it is paid for too; ask without it to save its bits. Refused
    (exit code 3) when nothing is left, or the budget cannot pay. Of measurements and detections only verdicts leave.
    """
    from typing import get_args

    from sandbox.errors import UsageError
    from sandbox.release import workflow
    from sandbox.reuse.mechanisms import Mechanism

    if mechanism is not None and mechanism not in get_args(Mechanism):
        raise UsageError(f"--mechanism must be one of {', '.join(get_args(Mechanism))}.")
    workspace = open_workspace(default_home())
    now = workflow.request(workspace, evaluation, patterns=field, mechanism=mechanism)  # type: ignore[arg-type]
    _tell(now, workflow.withheld(workspace, now.release))
    if (reason := workflow.verdicts_only(workspace, evaluation)) is not None:
        console.message(reason)


@release_app.command("review")
def review(identifier: _Id) -> None:
    """Read what would leave: the exact bytes, what changed since the last release, its cost, the rules, the audit.

    Reviews are blind: what other approvers decided is shown when you have decided. That you read it is logged.

    \b
      proctor release review r-12ab --as ada
    """
    from sandbox.release import workflow

    sheet = workflow.review(open_workspace(default_home()), identifier)
    draft, now = sheet.draft, sheet.standing
    data = {
        "release": now.release,
        "state": now.state,
        "content": now.content,
        "files": {name: bytes_.decode() for name, bytes_ in sheet.content.files.items() if name.endswith(".json")},
        "bits": draft.cost,
        "change": sheet.change,
        "rules": [
            {"rule": v.rule, "field": v.field, "passed": v.passed, "sentence": v.sentence} for v in draft.verdicts
        ],
        "audit": [
            {"cell": f.cell, "width": f.width, "refused": f.refused} for f in draft.findings
        ],
    }  # fmt: skip

    def human() -> None:
        for name, content in sheet.content.files.items():
            if name.endswith(".json"):
                console.line(f"--- {name}, byte for byte (the page shows nothing else) ---")
                console.line(content.decode())
        console.line(sheet.change or "Nothing was released to this vendor from this hold-out before.")
        console.line("")
        console.table(
            ["rule", "field", "", "sentence"],
            [(v.rule, v.field, "passed" if v.passed else "WITHHELD", v.sentence) for v in draft.verdicts],
            title="Rules",
        )
        narrowest = min((f.width for f in draft.findings), default=None)
        refused = sum(f.refused for f in draft.findings)
        console.line("")
        console.line(
            f"Audit: {len(draft.findings)} protected counts, the narrowest free over {narrowest} values, {refused} too "
            "narrow."
            if draft.findings
            else "Audit: these fields touch no protected count."
        )
        console.line(f"Cost: {draft.cost:.1f} bits. Digest that a decision binds: {now.content}")
        console.message(f"Decide with: proctor release approve {now.release}, or reject")

    console.result(data, human)


@release_app.command("approve")
def approve(identifier: _Id) -> None:
    """Approve exactly the bytes that you reviewed. Needs the role approver, and that you did not ask for them.

    \b
      proctor release approve r-12ab --as ada
    """
    from sandbox.release import workflow

    _tell(workflow.decide(open_workspace(default_home()), identifier, "approve"))


@release_app.command("reject")
def reject(identifier: _Id) -> None:
    """Reject exactly the bytes that you reviewed. One rejection stops them.

    \b
      proctor release reject r-12ab --as ada
    """
    from sandbox.release import workflow

    _tell(workflow.decide(open_workspace(default_home()), identifier, "reject"))


@release_app.command("issue")
def issue(
    identifier: _Id,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Copy the issued files to this new folder.")
    ] = None,
) -> None:
    """Hand out what was approved, and charge it. The same command again changes nothing and charges nothing.

    \b
      proctor release issue r-12ab -o for-acme/
    """
    from sandbox.release import workflow

    now, folder = workflow.issue(open_workspace(default_home()), identifier, output)
    console.result(
        {"release": now.release, "state": now.state, "folder": str(folder), "content": now.content},
        lambda: console.line(f"{now.release} is issued: {folder}"),
    )


@release_app.command("list")
def list_() -> None:
    """List releases and where they stand.

    \b
      proctor release list
    """
    from sandbox.release import workflow

    found = workflow.releases(open_workspace(default_home()))
    console.result(
        [_data(each, counts=True) for each in found],
        lambda: console.table(
            ["release", "evaluation", "state", "approvals", "asked for by", "requested (UTC)"],
            [
                (r.release, r.evaluation, r.state, f"{r.approvals} of {r.needed}", r.author, r.requested)
                for r in found
            ],
        ),
    )


@release_app.command("show")
def show(identifier: _Id) -> None:
    """Show where one release stands. Who looked is logged, once a day.

    \b
      proctor release show r-12ab
    """
    from sandbox.release import workflow

    _tell(workflow.show(open_workspace(default_home()), identifier))


@release_app.command("budget")
def budget(
    holdout: Annotated[str, typer.Option(help="Name of the locked hold-out.")],
    vendor: Annotated[str | None, typer.Option(help="Only this vendor.")] = None,
) -> None:
    """Show what each vendor has learned of a hold-out, in bits, and what is left. Who looked is logged, once a day.

    \b
      proctor release budget --holdout cxr
      proctor release budget --holdout cxr --vendor acme
    """
    from sandbox.custody import holdouts
    from sandbox.institution.policy import load_policy
    from sandbox.institution.views import SEEN, note_once_a_day
    from sandbox.institution.workspace import open_ledger
    from sandbox.release.budget import account_of
    from sandbox.release.issued import charges, issued
    from sandbox.reuse.bits import reuse_adjusted_half_width, shares

    workspace = open_workspace(default_home())
    policy = load_policy(workspace.policy_path)
    locked = holdouts.open_holdout(workspace, holdout)
    about = {"what": "budget", "holdout": locked.name, "version": locked.version}
    with open_ledger(workspace) as ledger:
        note_once_a_day(workspace, ledger, SEEN, about if vendor is None else {**about, "vendor": vendor})
        told = charges(issued(workspace, ledger, holdout=locked.name, version=locked.version))
        names = [vendor] if vendor else sorted(shares(told)) or []
        accounts = [
            account_of(workspace, ledger, policy, vendor=name, holdout=locked.name, version=locked.version)
            for name in names
        ]
    pooled = accounts[0].pooled_spent if accounts else 0.0
    patients = len(set(locked.cases["patient_key"].to_pylist()))
    width = reuse_adjusted_half_width(pooled, patients, policy.reuse.delta)
    data = {
        "holdout": locked.name,
        "version": locked.version,
        "pooled_spent": pooled,
        "pooled_budget": policy.reuse.bits_pooled,
        "reuse_adjusted_half_width": width,
        "vendors": [
            {"vendor": a.vendor, "spent": a.spent, "budget": a.budget, "left": a.left} for a in accounts
        ],
    }

    def human() -> None:
        console.table(
            ["vendor", "spent (bits)", "budget", "left"],
            [(a.vendor, round(a.spent, 1), a.budget, round(a.left, 1)) for a in accounts],
        )
        console.line(
            f"All vendors: {pooled:.1f} of {policy.reuse.bits_pooled:g} bits. "
            f"Reuse-adjusted half-width of a proportion, or of a mean of values from 0 to 1, over {patients} patients: "
            f"{width:.3f}."
        )

    console.result(data, human)


@claim_app.command("register")
def register(
    path: Annotated[Path, typer.Argument(help="The claims, a YAML file.", metavar="CLAIMS.yaml")],
    holdout: Annotated[str, typer.Option(help="Name of the locked hold-out.")],
    submission: Annotated[str, typer.Option(help="Vendor name or image digest of an admitted submission.")],
    protocol: Annotated[str, typer.Option(help="Registered protocol: its file, name or digest.")],
) -> None:
    """Register what a vendor claims of its submission, before the run. The answer is one bit for each claim.

    \b
      proctor: claims/1
      claims:
        - {name: auroc-80, metric: auroc, bound: lower, at_least: "0.80"}

    \b
      proctor claim register CLAIMS.yaml --holdout cxr --submission acme --protocol PROTOCOL.yaml
      proctor evaluate --holdout cxr --submission acme --protocol PROTOCOL.yaml
      proctor release request EVALUATION --mechanism claim
    """
    from sandbox.release.claims import register_claims

    found = register_claims(
        open_workspace(default_home()), path, holdout=holdout, submission=submission, protocol=protocol
    )
    console.result(
        {"claim": found.digest, "entry": found.entry, "claims": len(found.claims.claims)},
        lambda: console.line(f"{len(found.claims.claims)} claims registered (ledger entry {found.entry})."),
    )


def _data(now: object, *, counts: bool = False) -> dict[str, object]:
    from sandbox.release.state import Standing

    assert isinstance(now, Standing)
    reviews = [{"actor": r.actor, "decision": r.decision, "entry": r.entry} for r in now.reviews]
    return {
        "release": now.release, "evaluation": now.evaluation, "state": now.state, "content": now.content,
        "author": now.author, "requested": now.requested, "approvals": now.approvals, "needed": now.needed,
        "reviews": [] if counts else reviews,
    }  # fmt: skip


def _tell(now: object, withheld: list[tuple[str, str]] | None = None) -> None:
    from sandbox.release.selection import field_name
    from sandbox.release.state import Standing

    assert isinstance(now, Standing)

    def human() -> None:
        console.line(f"Release {now.release} of {now.evaluation}: {now.state}")
        console.line(f"Approvals: {now.approvals} of {now.needed}. Asked for by {now.author}.")
        console.line(f"Bytes: {now.content}")
        for each in now.reviews:
            console.line(f"  {each.actor}: {each.decision} (ledger entry {each.entry})")
        if withheld:
            console.table(
                ["withheld", "why"],
                [(field_name(path), reason) for path, reason in withheld],
                title="Not in it",
            )
        if now.state == "requested":
            console.message(
                f"Next, by another than {now.author}: proctor release review {now.release} --as NAME"
            )

    data = _data(now)
    if withheld is not None:
        data["withheld"] = [{"path": path, "reason": reason} for path, reason in withheld]
    console.result(data, human)
