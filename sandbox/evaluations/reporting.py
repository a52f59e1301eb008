"""From an evaluation's folder and the ledger to its report and its dossier.

The report is a function of what was recorded up to the evaluation's last entry: made again later, with a longer
ledger, it has the same bytes. So has the dossier, as long as nothing more of the evaluation was released.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.canonical import canonical_json, digest_bytes
from sandbox.errors import EvaluationError
from sandbox.evaluations.evaluation import Evaluation
from sandbox.evaluations.evaluation_story import (
    read_artefact,
    story_of,
    stress_of,
    told_of,
    with_actors,
)
from sandbox.evaluations.mlflow_mirror import MirrorRun, mirror
from sandbox.evaluations.report_facts import report_input
from sandbox.evidence.dossier import DossierParts, build_dossier, prove_entries
from sandbox.evidence.durable import write_durable
from sandbox.evidence.keys import load_signing_key
from sandbox.institution.policy import load_policy
from sandbox.institution.views import note_once_a_day
from sandbox.institution.workspace import Workspace, entry, open_ledger, write_json
from sandbox.outcome.results import from_json
from sandbox.plan import protocols
from sandbox.report.page import render

_MIRRORED = ("name", "version", "root", "unit", "cases", "patients", "instances")


def publish(workspace: Workspace, item: Evaluation) -> str | None:
    """Write the report and show the evaluation in MLflow; returns why MLflow could not, if it could not."""
    write_report(workspace, item)
    policy, marker = load_policy(workspace.policy_path), item.folder / "mlflow.json"
    if policy.mlflow == "off" or marker.exists():
        return None
    with open_ledger(workspace) as ledger:
        story = {each.kind: each for each in story_of(ledger, item)}
        head = ledger.checkpoint_at(story["evaluation-finished"].index + 1)
    started = story["evaluation-started"]
    holdout, stressed = read_artefact(item, "holdout.json"), stress_of(item)
    files = ("report.html", "results.json", "posture.json", *(("stress.json",) if stressed else ()))
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
            artifacts=tuple(item.folder / name for name in files),
            stress=stressed,
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
        entries = with_actors(ledger, [*story_of(ledger, item), made, *told_of(ledger, item)])
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
                stress=(item.folder / "stress.json").read_bytes() if stress_of(item) else None,
                entries=proven,
                checkpoint=checkpoint,
                key=load_signing_key(workspace.home / "keys" / "ledger.pem", workspace.origin),
                tool=read_artefact(item, "run.json")["tool"]["proctor"],
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


def _finished(item: Evaluation) -> None:
    if item.state != "finished":
        raise EvaluationError(
            f"{item.id} is not finished. Run its `proctor evaluate` command again to go on."
        )
